"""Connections that carry one request after the other, each with at most one under way (HTTP/1.1, RFC 9112)."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from typing import Any, NamedTuple

import httptools

from rowcast.destinations.faults import CallFailed, Fault
from rowcast.destinations.wire import Reply

_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 30}
"""Seconds. Routers on the way forget a connection that is silent for minutes, as during a long invocation."""


class Origin(NamedTuple):
    """`tls` is None for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class Connections:
    """Connections to one place, kept after use and used again while the other side keeps them open."""

    def __init__(self, origin: Origin, *, connect_seconds: float) -> None:
        self._origin = origin
        self._connect_seconds = connect_seconds
        self._idle: list[Connection] = []
        self.opened = 0

    async def ready(self) -> None:
        """Sees to it that one idle connection is open. Raises CallFailed."""
        self._idle.append(self._from_idle() or await self._open())

    async def exchange(self, request: bytes, seconds: float) -> Reply:
        """Sends a request and reads its reply. A request that was written is never written again."""
        connection = self._from_idle() or await self._open()
        try:
            reply = await connection.exchange(request, seconds)
        except BaseException:
            connection.abort()
            raise
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            connection.abort()
        return reply

    def close(self) -> None:
        while self._idle:
            self._idle.pop().abort()

    def _from_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open():
                return connection
            connection.abort()
        return None

    async def _open(self) -> Connection:
        """Raises CallFailed: nothing was sent."""
        host, port, tls = self._origin
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(lambda: Connection(loop), host, port, ssl=tls)
        except OSError as error:
            raise CallFailed(Fault("throttled", f"The connection failed ({type(error).__name__}).")) from error
        self.opened += 1
        return connection


class Connection(asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: Any = None
        self._readable = select.poll()
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Reply] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._has_headers = False
        self.is_reusable = True

    # --- what the pool asks ---

    def is_open(self) -> bool:
        """What can be read from an idle connection is its end, or nothing that anybody asked for."""
        mine = asyncio.get_running_loop() is self._loop
        return mine and self.is_reusable and not self._transport.is_closing() and not self._readable.poll(0)

    async def exchange(self, request: bytes, seconds: float) -> Reply:
        self._waiting = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._fail, "time-out")
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    def abort(self) -> None:
        self.is_reusable = False
        if not self._loop.is_closed():
            self._transport.abort()

    def _fail(self, why: str) -> None:
        self.is_reusable = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(CallFailed(Fault("in_doubt", f"No usable reply came ({why}).")))

    # --- what the event loop tells ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        raw = transport.get_extra_info("socket")
        self._readable.register(raw.fileno(), select.POLLIN)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self._fail("nothing was asked")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("it is not HTTP")

    def eof_received(self) -> None:
        """Ends a body that said neither its length nor that it comes in pieces."""
        sized = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self._has_headers and not sized:
            self._answer()
        self._fail("the connection ended")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("the connection ended" if error is None else type(error).__name__)

    # --- what the parser tells ---

    def on_message_begin(self) -> None:
        self._headers, self._body, self._has_headers = {}, [], False
        if self._waiting is None or self._waiting.done():
            self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("ascii").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._has_headers = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            self._has_headers = False  # on the way to the answer: "100 Continue"
            return
        self.is_reusable = self.is_reusable and self._parser.should_keep_alive()
        self._answer()

    def _answer(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Reply(self._parser.get_status_code(), self._headers, b"".join(self._body)))
