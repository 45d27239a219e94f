"""The wire that deliveries take: requests that are signed here and sent over kept connections, without retries.

botocore stays the one who knows: where an operation is reached and with which headers, who signs, whom to trust.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.session
from botocore import xform_name
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path

from rowcast import in_flight
from rowcast.destinations import faults
from rowcast.destinations.connection import Connections, Origin
from rowcast.destinations.signing import Keys, Route, Signer
from rowcast.destinations.wire import Operation, Reply
from rowcast.errors import DestinationRefused, Throttled

_TRACE = "X-Amzn-Trace-Id"


class HttpWire:
    """`credentials`: botocore's, which renew themselves. They are asked once a second."""

    def __init__(self, route: Route, credentials: Any, *, connect_seconds: float, read_seconds: float) -> None:
        self._signer = Signer(route)
        self._credentials = credentials
        self._read_seconds = read_seconds
        self.connections = Connections(origin(route.url), connect_seconds=connect_seconds)
        self._keys: Keys | None = None
        self._asked_at = -1
        self._asking: asyncio.Future[None] | None = None

    async def ready(self) -> None:
        with suppress(faults.CallFailed, DestinationRefused):
            if int(time.time()) != self._asked_at:
                await self._current(int(time.time()))
            await self.connections.ready()

    async def send(self, body: bytes) -> Reply:
        now = time.time()
        keys = self._keys
        if keys is None or int(now) != self._asked_at:
            keys = await self._current(int(now))
            now = time.time()
        head = self._signer.head(body, keys, now)
        return await self.connections.exchange(b"%b%b\r\n%b" % (head, _trace(), body), self._read_seconds)

    async def _current(self, second: int) -> Keys:
        """All who ask at once wait for one look, which may have to assume a role."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask(second))
        await asyncio.shield(self._asking)
        assert self._keys is not None, "asking answers or raises"
        return self._keys

    async def _ask(self, second: int) -> None:
        try:
            found = await in_flight.in_thread(self._credentials.get_frozen_credentials)
        except Throttled as error:
            raise faults.CallFailed(faults.Fault("throttled", str(error))) from error
        except BotoCoreError as error:
            raise faults.CallFailed(faults.of_call(error)) from error
        finally:
            self._asking = None
        if found != self._keys:
            self._keys = found
        self._asked_at = second


def connect(client: Any, credentials: Any, operation: Operation) -> HttpWire:
    """A wire along which this client would call the operation."""
    config = client.meta.config
    return HttpWire(
        resolved(client, operation),
        credentials,
        connect_seconds=config.connect_timeout,
        read_seconds=config.read_timeout,
    )


def resolved(client: Any, operation: Operation) -> Route:
    """What botocore makes of the operation, with all that environment and configuration say. Nothing is sent."""
    found: list[Route] = []

    def see(params: dict[str, Any], request_signer: Any, context: dict[str, Any], **_: Any) -> Any:
        signing = context.get("signing", {})
        found.append(
            Route(
                url=params["url"],
                region=signing.get("region") or request_signer.region_name,
                service=signing.get("signing_name") or request_signer.signing_name,
                headers={n: _text(v) for n, v in params["headers"].items() if n.lower() != _TRACE.lower()},
            )
        )
        return _Unsent, {}

    event = f"before-call.{client.meta.service_model.service_id.hyphenize()}.{operation.name}"
    client.meta.events.register_last(event, see, unique_id="rowcast-resolved")
    try:
        getattr(client, xform_name(operation.name))(**operation.given)
    finally:
        client.meta.events.unregister(event, unique_id="rowcast-resolved")
    return found[0]


class _Unsent:
    status_code = 200


def origin(url: str) -> Origin:
    parts = urlsplit(url)
    tls = _trust() if parts.scheme == "https" else None
    return Origin(str(parts.hostname), parts.port or (443 if tls else 80), tls)


def _trust() -> ssl.SSLContext:
    """The certificate authorities that botocore trusts."""
    bundle = botocore.session.get_session().get_config_variable("ca_bundle")
    return _context(get_cert_path(bundle or True))


@lru_cache(maxsize=4)
def _context(path: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=path)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _trace() -> bytes:
    """Ties the call to this invocation's trace, by which Lambda also sees functions that call in a circle."""
    trace = os.environ.get("_X_AMZN_TRACE_ID")
    if not trace or "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return b""
    return f"{_TRACE}: {quote(trace, safe='-=;:+&[]{}' + chr(34) + chr(39) + ',')}\r\n".encode()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
