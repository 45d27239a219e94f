"""Places that messages are sent to. `destination` builds the one that a sync's definition names."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from rowcast.definition import Account, Definition, EventBridgeDestination, LambdaDestination, Rate, SecretRef, Triggers
from rowcast.models import Deployment
from rowcast.ports import Address, Destination, Oversize

_MAX_CONNECTIONS = 50
RATE_USED = 0.97


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
    target = definition.destination
    rate = definition.limits.rate
    connections = min(definition.limits.concurrency, _MAX_CONNECTIONS)
    service = "events" if isinstance(target, EventBridgeDestination) else "lambda"
    client = _client(
        service,
        definition.sync,
        deployment.delivery_role_arn,
        _account(target.account, deployment),
        _region(target),
        connections,
        secrets,
    )
    if isinstance(target, EventBridgeDestination):
        from rowcast.destinations.eventbridge import ENTRIES, EventBridge

        return EventBridge(
            client=client,
            triggers=definition.triggers,
            address=address(definition.triggers),
            oversize=oversize,
            batch_size=batch_size(ENTRIES, rate),
        )
    from rowcast.destinations.function import LambdaFunction

    return LambdaFunction(
        client=client,
        function=target.function,
        batch_size=batch_size(target.batch_size, rate),
        primary_key=definition.primary_key,
        oversize=oversize,
    )


def batch_size(wanted: int, rate: Rate | None) -> int:
    """The largest size up to `wanted` of which whole calls use up the rate: the rest of a window is lost, and a call
    that carries more than a window allows cannot keep the rate at all."""
    if rate is None:
        return wanted
    sizes = range(min(wanted, rate.count), 0, -1)
    return next(size for size in sizes if rate.count // size * size >= RATE_USED * rate.count)


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


def _account(account: Account | None, deployment: Deployment) -> Account | None:
    """A role is always assumed with an external id: the user's, or the one that the deployment made for this sync."""
    if account is None or account.role_arn is None or account.external_id is not None:
        return account
    return msgspec.structs.replace(account, external_id=deployment.external_id)


def _region(target: EventBridgeDestination | LambdaDestination) -> str | None:
    """A function's ARN names its region; None is the deployment's own."""
    if target.region is None and isinstance(target, LambdaDestination) and target.function.startswith("arn:"):
        return target.function.split(":")[3]
    return target.region
