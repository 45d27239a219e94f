"""The role in which a sync sends: it names that sync's targets and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.grants import Grant, acknowledge_patterns, document
from infra.constructs.permissions import delivery_path, secret
from rowcast.definition import Definition, EventBridgeDestination, LambdaDestination
from rowcast.models import OPERATIONS


class DeliveryRole(Construct):
    """Assumed by the function that sends, and by open, which checks the target before a run."""

    def __init__(
        self, scope: Construct, construct_id: str, *, name: str, definition: Definition, trusted: Sequence[iam.Role]
    ) -> None:
        super().__init__(scope, construct_id)
        destination = definition.destination
        kind = "eventbridge" if isinstance(destination, EventBridgeDestination) else "lambda"
        grants = _grants(Stack.of(self), definition)
        self.role = iam.Role(
            self,
            "Role",
            path=delivery_path(name, kind),
            description=f"Rowcast sends what the sync {definition.sync} owes",
            assumed_by=iam.CompositePrincipal(*(iam.ArnPrincipal(role.role_arn) for role in trusted)),
            inline_policies={"Targets": document(grants)},
        )
        acknowledge_patterns(self.role, grants)


def _grants(stack: Stack, definition: Definition) -> list[Grant]:
    destination = definition.destination
    account = destination.account
    if account is not None and account.role_arn is not None:
        return [Grant(("sts:AssumeRole",), (account.role_arn,))]
    if account is not None and account.access_key_secret is not None:
        return secret(stack, account.access_key_secret)
    if isinstance(destination, EventBridgeDestination):
        return [Grant(("events:PutEvents", "events:DescribeEventBus"), tuple(_buses(stack, definition)))]
    function = _function(stack, destination)
    return [
        Grant(
            (
                "lambda:InvokeFunction",
                "lambda:GetFunctionConfiguration",
            ),
            (function,),
        )
    ]


def _buses(stack: Stack, definition: Definition) -> list[str]:
    triggers = [definition.triggers.of(operation) for operation in OPERATIONS]
    names = {trigger.bus for trigger in triggers if trigger is not None and trigger.bus is not None}
    region = definition.destination.region
    return sorted(_bus(stack, name, region) for name in names)


def _bus(stack: Stack, name: str, region: str | None) -> str:
    if name.startswith("arn:"):
        return name
    return stack.format_arn(service="events", region=region, resource="event-bus", resource_name=name)


def _function(stack: Stack, destination: LambdaDestination) -> str:
    """Exactly as it is invoked: an alias's permission is not its function's."""
    if destination.function.startswith("arn:"):
        return destination.function
    return stack.format_arn(
        service="lambda",
        region=destination.region,
        resource="function",
        resource_name=destination.function,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
