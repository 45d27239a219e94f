"""Places that messages are sent to. `destination` builds the one that a sync's definition names."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from rowcast.definition import Account, Definition, EventBridgeDestination, LambdaDestination, SecretRef, Triggers
from rowcast.models import Deployment
from rowcast.ports import Address, Destination, Oversize

_MAX_CONNECTIONS = 50


class SecretFields(Protocol):
    def __hash__(self) -> int: ...

    def fields(self, ref: SecretRef) -> dict[str, str]: ...


def destination(
    definition: Definition,
    deployment: Deployment,
    *,
    secrets: SecretFields,
    address: Callable[[Triggers], Address],
    oversize: Oversize,
) -> Destination:
    """Batches never exceed the sync's rate, which could not be kept if one call carried more than a window allows."""
    target = definition.destination
    most = definition.limits.rate.count if definition.limits.rate else 1_000_000
    connections = min(definition.limits.concurrency, _MAX_CONNECTIONS)
    service = "events" if isinstance(target, EventBridgeDestination) else "lambda"
    client = _client(
        service, definition.sync, deployment.delivery_role_arn, target.account, _region(target), connections, secrets
    )
    if isinstance(target, EventBridgeDestination):
        from rowcast.destinations.eventbridge import ENTRIES, EventBridge

        return EventBridge(
            client=client,
            triggers=definition.triggers,
            address=address(definition.triggers),
            oversize=oversize,
            batch_size=min(ENTRIES, most),
        )
    from rowcast.destinations.function import LambdaFunction

    return LambdaFunction(
        client=client,
        function=target.function,
        batch_size=min(target.batch_size, most),
        primary_key=definition.primary_key,
        oversize=oversize,
    )


@lru_cache(maxsize=32)
def _client(
    service: str,
    sync: str,
    role_arn: str,
    account: Account | None,
    region: str | None,
    connections: int,
    secrets: Any,
) -> Any:
    """Kept for the process: a warm worker assumes no role again before its credentials end."""
    from rowcast.destinations.session import delivery_config, delivery_session

    session: Any = delivery_session(
        sync=sync, delivery_role_arn=role_arn, account=account, region=region, secret_fields=secrets.fields
    )
    return session.client(service, config=delivery_config(connections=connections))


def _region(target: EventBridgeDestination | LambdaDestination) -> str | None:
    """A function's ARN names its region; None is the deployment's own."""
    if target.region is None and isinstance(target, LambdaDestination) and target.function.startswith("arn:"):
        return target.function.split(":")[3]
    return target.region
