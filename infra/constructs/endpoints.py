"""The endpoints by which a function inside a VPC reaches AWS without a NAT gateway."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from project.model import Endpoints, Network

HTTPS = 443
STORES = {"secretsmanager": "secretsmanager", "parameter": "ssm"}
"""The service, by the `store` of a reference to a secret."""


class NetworkEndpoints(Construct):
    """Gateways of S3 and DynamoDB, which cost nothing, and an interface of the password's store, if there is one.

    They have the policy that AWS gives them, since they serve all that is routed through them; what the function may do
    is its role's affair.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, network: Network, wanted: Endpoints, store: str | None
    ) -> None:
        super().__init__(scope, construct_id)
        prefix = f"com.amazonaws.{Stack.of(self).region}"
        for construct_name, service in (("S3", "s3"), ("DynamoDB", "dynamodb")):
            ec2.CfnVPCEndpoint(
                self,
                construct_name,
                vpc_id=wanted.vpc,
                service_name=f"{prefix}.{service}",
                vpc_endpoint_type="Gateway",
                route_table_ids=list(wanted.route_tables),
            )
        if store:
            ec2.CfnVPCEndpoint(
                self,
                "Secrets",
                vpc_id=wanted.vpc,
                service_name=f"{prefix}.{STORES[store]}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=list(network.subnets),
                security_group_ids=[self._open_to(network, wanted).attr_group_id],
            )

    def _open_to(self, network: Network, wanted: Endpoints) -> ec2.CfnSecurityGroup:
        return ec2.CfnSecurityGroup(
            self,
            "SecurityGroup",
            vpc_id=wanted.vpc,
            group_description="Rowcast: lets the function of a source reach the store of its password",
            security_group_ingress=[
                ec2.CfnSecurityGroup.IngressProperty(
                    ip_protocol="tcp",
                    from_port=HTTPS,
                    to_port=HTTPS,
                    source_security_group_id=group,
                    description="HTTPS from the function",
                )
                for group in network.security_groups
            ],
        )
