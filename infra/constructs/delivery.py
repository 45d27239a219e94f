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
        grants = targets(Stack.of(self), definition)
        self.role = iam.Role(
            self,
            "Role",
            path=delivery_path(name, kind),
            description=f"Rowcast sends what the sync {definition.sync} owes",
            assumed_by=iam.CompositePrincipal(*(iam.ArnPrincipal(role.role_arn) for role in trusted)),
            inline_policies={"Targets": document(grants)} if grants else None,
        )
        acknowledge_patterns(self.role, grants)


def targets(stack: Stack, definition: Definition) -> list[Grant]:
    """Empty when every trigger is off: then nothing is ever sent."""
    destination = definition.destination
    account = destination.account
    if account is not None and account.role_arn is not None:
        return [Grant(("sts:AssumeRole",), (account.role_arn,))]
    if account is not None and account.access_key_secret is not None:
        return secret(stack, account.access_key_secret)
    if isinstance(destination, EventBridgeDestination):
        buses = _buses(stack, definition)
        return [Grant(("events:PutEvents", "events:DescribeEventBus"), buses)] if buses else []
    function = _function(stack, destination)
    return [Grant(("lambda:InvokeFunction", "lambda:GetFunctionConfiguration"), (function,))]


def _buses(stack: Stack, definition: Definition) -> tuple[str, ...]:
    triggers = [definition.triggers.of(operation) for operation in OPERATIONS]
    names = {trigger.bus or "default" for trigger in triggers if trigger is not None}
    return tuple(sorted(_bus(stack, name, definition.destination.region) for name in names))


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
