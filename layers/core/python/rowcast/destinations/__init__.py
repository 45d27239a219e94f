"""Places that messages are sent to. `destination` builds the one that a sync's definition names."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from rowcast.definition import Account, Definition, EventBridgeDestination, LambdaDestination, Rate, SecretRef, Triggers
from rowcast.destinations.wire import Connect, Operation, Wire
from rowcast.models import Deployment
from rowcast.ports import Address, Destination, Oversize

RATE_USED = 0.97
ReadSecrets = Callable[[Any], Callable[[SecretRef], dict[str, str]]]
"""From a boto3 session to what reads all fields of a secret with that session's rights."""


def destination(
    definition: Definition,
    deployment: Deployment,
    *,
    secrets: ReadSecrets,
    address: Callable[[Triggers], Address],
    oversize: Oversize,
) -> Destination:
    target = definition.destination
    rate = definition.limits.rate
    client, connect = _sending(
        "events" if isinstance(target, EventBridgeDestination) else "lambda",
        definition.sync,
        deployment.delivery_role_arn,
        _account(target.account, deployment),
        _region(target),
        secrets,
    )
    if isinstance(target, EventBridgeDestination):
        from rowcast.destinations.eventbridge import ENTRIES, EventBridge

        return EventBridge(
            client=client,
            connect=connect,
            triggers=definition.triggers,
            address=address(definition.triggers),
            oversize=oversize,
            batch_size=batch_size(ENTRIES, rate),
        )
    from rowcast.destinations.function import LambdaFunction

    return LambdaFunction(
        client=client,
        connect=connect,
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
def _sending(
    service: str, sync: str, role_arn: str, account: Account | None, region: str | None, secrets: ReadSecrets
) -> tuple[Any, Connect]:
    """A client that looks at targets, and what connects to the operation that sends. Kept for the process: a warm
    worker assumes no role again before its credentials end, and its connections stay open."""
    from rowcast.destinations.session import delivery_config, delivery_session, looking_config

    session: Any = delivery_session(
        sync=sync, delivery_role_arn=role_arn, account=account, region=region, secrets=secrets
    )
    client = session.client(service, config=delivery_config())
    wires: dict[str, Wire] = {}

    def connected(operation: Operation) -> Wire:
        name = f"{operation.name} {operation.given}"
        if name not in wires:
            wires[name] = connect(client, session, operation)
        return wires[name]

    return session.client(service, config=looking_config()), connected


def connect(client: Any, session: Any, operation: Operation) -> Wire:
    """The way that the client itself would take to the operation: straight, or through a proxy."""
    from botocore.utils import get_environ_proxies

    if get_environ_proxies(client.meta.endpoint_url):
        from rowcast.destinations.sdk import SdkWire

        return SdkWire(client, operation)
    from rowcast.destinations import http

    return http.connect(client, session.get_credentials(), operation)


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
