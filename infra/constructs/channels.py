"""Where alerts and alarms go: the channels of rowcast.yaml, each some rules on the buses that announce them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aws_cdk import ArnFormat, CfnTag, SecretValue, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs import tidings
from infra.constructs.grants import Grant, document
from infra.constructs.storage import refusing_others
from project.model import AlertChannel
from rowcast.definition import SecretRef

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
CALLS_PER_SECOND = 5


@dataclass(frozen=True)
class Target:
    """`role`: whom EventBridge acts as; a topic's own policy lets it in."""

    arn: str
    role: iam.Role | None = None


class Channels(Construct):
    """`bus`: the name of the bus of alerts. `key` encrypts the topics. What a channel does not take ends in
    `undelivered`. `alarmed`: the channels that are told of alarms too, those whose names begin with `alarms`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        bus: str,
        channels: Mapping[str, AlertChannel],
        alarmed: Collection[str],
        alarms: str,
        key: kms.Key,
        undelivered: sqs.Queue,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name, self._bus, self._key, self._undelivered = name, bus, key, undelivered
        self.topics: dict[str, sns.Topic] = {}
        for channel in channels.values():
            part = Construct(self, channel.name)
            target = getattr(self, f"_{channel.type}")(part, channel)
            rules = [*tidings.alerts(channel.type, name, channel.name)]
            if channel.name in alarmed:
                rules += tidings.alarms(channel.type, alarms)
            for rule in rules:
                self._rule(part, rule, channel, target)
        if channels:
            self._keep_undelivered("events", "rule/*")
        if self.topics:
            self._keep_undelivered("sns", "*")
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                    resources=["*"],
                )
            )

    def _email(self, scope: Construct, channel: AlertChannel) -> Target:
        return self._topic(scope, channel, "email", str(channel.fields["address"]))

    def _sms(self, scope: Construct, channel: AlertChannel) -> Target:
        return self._topic(scope, channel, "sms", str(channel.fields["number"]))

    def _topic(self, scope: Construct, channel: AlertChannel, protocol: str, endpoint: str) -> Target:
        topic = sns.Topic(scope, "Topic", display_name="Rowcast", master_key=self._key, enforce_ssl=True)
        sns.CfnSubscription(
            scope,
            "Subscription",
            topic_arn=topic.topic_arn,
            protocol=protocol,
            endpoint=endpoint,
            redrive_policy={"deadLetterTargetArn": self._undelivered.queue_arn},
        )
        # EventBridge publishes without saying for whom, so a condition would refuse it:
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
            )
        )
        topic.add_to_resource_policy(refusing_others(self, "sns:Publish", topic.topic_arn))
        self.topics[channel.name] = topic
        return Target(topic.topic_arn)

    def _slack(self, scope: Construct, channel: AlertChannel) -> Target:
        return self._destination(scope, _value(channel.fields["webhook"]))

    def _webhook(self, scope: Construct, channel: AlertChannel) -> Target:
        token = channel.fields.get("token")
        authorization = f"Bearer {_value(token)}" if token else None
        return self._destination(scope, _value(channel.fields["url"]), authorization=authorization)

    def _pagerduty(self, scope: Construct, channel: AlertChannel) -> Target:
        """A recovery resolves what its alert triggered, by their common key."""
        return self._destination(scope, PAGERDUTY, body={"routing_key": _value(channel.fields["routing_key"])})

    def _eventbridge(self, scope: Construct, channel: AlertChannel) -> Target:
        bus = str(channel.fields["bus"])
        if not bus.startswith("arn:"):
            bus = Stack.of(self).format_arn(service="events", resource="event-bus", resource_name=bus)
        return Target(bus, self._role(scope, Grant(("events:PutEvents",), (bus,))))

    def _destination(
        self, scope: Construct, url: str, *, authorization: str | None = None, body: Mapping[str, str] | None = None
    ) -> Target:
        """A connection has to carry some header: where none is a secret, it says who calls."""
        given = events.CfnConnection.ApiKeyAuthParametersProperty(
            api_key_name="Authorization" if authorization else "X-Rowcast",
            api_key_value=authorization or self._name,
        )
        secret_body = [
            events.CfnConnection.ParameterProperty(key=key, value=value, is_value_secret=True)
            for key, value in (body or {}).items()
        ]
        connection = events.CfnConnection(
            scope,
            "Connection",
            authorization_type="API_KEY",
            auth_parameters=events.CfnConnection.AuthParametersProperty(
                api_key_auth_parameters=given,
                invocation_http_parameters=events.CfnConnection.ConnectionHttpParametersProperty(
                    body_parameters=secret_body
                )
                if secret_body
                else None,
            ),
        )
        arn = events.CfnApiDestination(
            scope,
            "Destination",
            connection_arn=connection.attr_arn,
            http_method="POST",
            invocation_endpoint=url,
            invocation_rate_limit_per_second=CALLS_PER_SECOND,
        ).attr_arn
        return Target(arn, self._role(scope, Grant(("events:InvokeApiDestination",), (arn,))))

    def _role(self, scope: Construct, grant: Grant) -> iam.Role:
        here = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        principal = iam.ServicePrincipal("events.amazonaws.com", conditions=here)
        return iam.Role(scope, "Role", assumed_by=principal, inline_policies={"Send": document([grant])})

    def _rule(self, scope: Construct, rule: tidings.Rule, channel: AlertChannel, target: Target) -> None:
        """What AWS's own services tell, they tell on the default bus."""
        transformer = events.CfnRule.InputTransformerProperty(
            input_template=rule.template or "", input_paths_map=rule.paths
        )
        events.CfnRule(
            scope,
            rule.construct_id,
            description=f"Rowcast's {'alarms' if rule.of_alarms else 'alerts'} to {channel.name}",
            event_bus_name="default" if rule.of_alarms else self._bus,
            event_pattern=rule.pattern,
            tags=[CfnTag(key="rowcast:channel", value=channel.name)],
            targets=[
                events.CfnRule.TargetProperty(
                    id="Channel",
                    arn=target.arn,
                    role_arn=target.role.role_arn if target.role else None,
                    input_transformer=transformer if rule.template else None,
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=self._undelivered.queue_arn),
                )
            ],
        )

    def _keep_undelivered(self, service: str, resource: str) -> None:
        """For all rules or topics of this account in one statement: a queue's policy takes 20.
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html"""
        queue = self._undelivered
        source = Stack.of(self).format_arn(service=service, resource=resource, arn_format=ArnFormat.NO_RESOURCE_NAME)
        statement = Grant(("sqs:SendMessage",), (queue.queue_arn,), {"ArnLike": {"aws:SourceArn": source}}).statement()
        statement.add_service_principal(f"{service}.amazonaws.com")
        queue.add_to_resource_policy(statement)


def _value(field: str | SecretRef) -> str:
    """CloudFormation puts a secret in when it deploys: the template holds its name alone."""
    if isinstance(field, str):
        return field
    return SecretValue.secrets_manager(field.name, json_field=field.key or None).unsafe_unwrap()
