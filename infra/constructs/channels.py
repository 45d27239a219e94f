"""Where alerts go: the channels of rowcast.yaml, each a rule on the bus on which alerts are announced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import CfnTag, SecretValue, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.grants import Grant, document
from infra.constructs.storage import refusing_others
from project.model import AlertChannel
from rowcast.definition import SecretRef

RAISED, RECOVERED = "Rowcast Alert Raised", "Rowcast Alert Recovered"
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
CALLS_PER_SECOND = 5

_SLACK = '{"text": <text>}'
_LINES = '"<title>"\n"<what>"\n"<summary>"\n"Severity <severity>, since <since>. Look deeper: <command>"'
_SHORT = '"[<severity>] <title>. <what>"'
_WHOLE = "<detail>"
_PAGE = (
    '{"event_action": "%s", "dedup_key": <key>, "client": "Rowcast", "payload": {"summary": <title>, "source": <sync>, '
    '"severity": <severity>, "timestamp": <at>, "component": <deployment>, "group": <sync>, "class": <alert>, '
    '"custom_details": <detail>}}'
)


class Channels(Construct):
    """`bus`: the name of the bus. `key` encrypts the topics. What a channel does not take ends in `undelivered`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        bus: str,
        channels: Mapping[str, AlertChannel],
        key: kms.Key,
        undelivered: sqs.Queue,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name, self._bus, self._key, self._undelivered = name, bus, key, undelivered
        self.topics: dict[str, sns.Topic] = {}
        for channel in channels.values():
            getattr(self, f"_{channel.type}")(Construct(self, channel.name), channel)
        if self.topics:
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                    resources=["*"],
                )
            )

    def _email(self, scope: Construct, channel: AlertChannel) -> None:
        self._topic(scope, channel, "email", str(channel.fields["address"]), _LINES)

    def _sms(self, scope: Construct, channel: AlertChannel) -> None:
        self._topic(scope, channel, "sms", str(channel.fields["number"]), _SHORT)

    def _topic(self, scope: Construct, channel: AlertChannel, protocol: str, endpoint: str, template: str) -> None:
        topic = sns.Topic(scope, "Topic", display_name="Rowcast", master_key=self._key, enforce_ssl=True)
        sns.CfnSubscription(
            scope,
            "Subscription",
            topic_arn=topic.topic_arn,
            protocol=protocol,
            endpoint=endpoint,
            redrive_policy={"deadLetterTargetArn": self._undelivered.queue_arn},
        )
        self._keep_undelivered("sns.amazonaws.com", topic.topic_arn)
        here = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("events.amazonaws.com", conditions=here)],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
            )
        )
        topic.add_to_resource_policy(refusing_others(self, "sns:Publish", topic.topic_arn))
        self.topics[channel.name] = topic
        self._rule(scope, "Rule", channel, topic.topic_arn, template=template)

    def _slack(self, scope: Construct, channel: AlertChannel) -> None:
        arn = self._destination(scope, _value(channel.fields["webhook"]))
        self._rule(scope, "Rule", channel, arn, template=_SLACK, role=self._caller(scope, arn))

    def _webhook(self, scope: Construct, channel: AlertChannel) -> None:
        token = channel.fields.get("token")
        arn = self._destination(
            scope, _value(channel.fields["url"]), authorization=f"Bearer {_value(token)}" if token else None
        )
        self._rule(scope, "Rule", channel, arn, template=_WHOLE, role=self._caller(scope, arn))

    def _pagerduty(self, scope: Construct, channel: AlertChannel) -> None:
        """A recovery resolves what its alert triggered, by their common key."""
        arn = self._destination(scope, PAGERDUTY, body={"routing_key": _value(channel.fields["routing_key"])})
        role = self._caller(scope, arn)
        for construct_id, detail_type, action in (("Rule", RAISED, "trigger"), ("Resolve", RECOVERED, "resolve")):
            self._rule(scope, construct_id, channel, arn, detail_type, template=_PAGE % action, role=role)

    def _eventbridge(self, scope: Construct, channel: AlertChannel) -> None:
        bus = str(channel.fields["bus"])
        if not bus.startswith("arn:"):
            bus = Stack.of(self).format_arn(service="events", resource="event-bus", resource_name=bus)
        self._rule(scope, "Rule", channel, bus, role=self._role(scope, Grant(("events:PutEvents",), (bus,))))

    def _destination(
        self, scope: Construct, url: str, *, authorization: str | None = None, body: Mapping[str, str] | None = None
    ) -> str:
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
        return events.CfnApiDestination(
            scope,
            "Destination",
            connection_arn=connection.attr_arn,
            http_method="POST",
            invocation_endpoint=url,
            invocation_rate_limit_per_second=CALLS_PER_SECOND,
        ).attr_arn

    def _caller(self, scope: Construct, destination: str) -> iam.Role:
        return self._role(scope, Grant(("events:InvokeApiDestination",), (destination,)))

    def _role(self, scope: Construct, grant: Grant) -> iam.Role:
        here = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        principal = iam.ServicePrincipal("events.amazonaws.com", conditions=here)
        return iam.Role(scope, "Role", assumed_by=principal, inline_policies={"Send": document([grant])})

    def _rule(
        self,
        scope: Construct,
        construct_id: str,
        channel: AlertChannel,
        target: str,
        *detail_types: str,
        template: str | None = None,
        role: iam.Role | None = None,
    ) -> None:
        rule = events.CfnRule(
            scope,
            construct_id,
            description=f"Rowcast's alerts to {channel.name}",
            event_bus_name=self._bus,
            event_pattern={
                "source": ["rowcast"],
                "detail-type": list(detail_types) or [RAISED, RECOVERED],
                "detail": {"deployment": [self._name], "channels": [channel.name]},
            },
            tags=[CfnTag(key="rowcast:channel", value=channel.name)],
            targets=[
                events.CfnRule.TargetProperty(
                    id="Channel",
                    arn=target,
                    role_arn=role.role_arn if role else None,
                    input_transformer=_transformer(template) if template else None,
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=self._undelivered.queue_arn),
                )
            ],
        )
        self._keep_undelivered("events.amazonaws.com", rule.attr_arn)

    def _keep_undelivered(self, service: str, source: str) -> None:
        queue = self._undelivered
        statement = Grant(
            ("sqs:SendMessage",), (queue.queue_arn,), {"ArnEquals": {"aws:SourceArn": source}}
        ).statement()
        statement.add_service_principal(service)
        queue.add_to_resource_policy(statement)


def _transformer(template: str) -> Any:
    """Takes the whole texts from the event, so that the template quotes nothing but what EventBridge escapes itself."""
    names = {part.partition(">")[0] for part in template.split("<")[1:]}
    paths = {name: "$.detail" if name == "detail" else f"$.detail.{name}" for name in sorted(names)}
    return events.CfnRule.InputTransformerProperty(input_template=template, input_paths_map=paths)


def _value(field: str | SecretRef) -> str:
    """CloudFormation puts a secret in when it deploys: the template holds its name alone."""
    if isinstance(field, str):
        return field
    return SecretValue.secrets_manager(field.name, json_field=field.key or None).unsafe_unwrap()
