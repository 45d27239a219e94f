"""A server that takes PutEvents and Invoke, and answers as a test says: well, oddly or not at all."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request. `connection`: the number of the connection it came on."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[Any, Asked], bool]
"""Answers on the socket; False ends the connection."""


@dataclass
class Sink:
    """`script`: what the next requests meet, one each; then all are taken."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    script: list[Behaviour] = field(default_factory=list)
    connections: int = 0
    taken: list[Any] = field(default_factory=list)

    def take(self, given: socket.socket, asked: Asked) -> bool:
        given.sendall(ok(self.accept(asked)))
        return True

    def accept(self, asked: Asked) -> bytes:
        """The service's good answer; its effect is noted."""
        body = json.loads(asked.body)
        if "Entries" in body:
            self.taken += [json.loads(entry["Detail"]) for entry in body["Entries"]]
            return json.dumps({"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in body["Entries"]]}).encode()
        self.taken += body["rows"]
        return b'{"errors": []}'


def ok(body: bytes, *headers: str) -> bytes:
    return reply("200 OK", body, f"Content-Length: {len(body)}", *headers)


def reply(status: str, body: bytes, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


@contextmanager
def sink(tls: ssl.SSLContext | None = None) -> Iterator[Sink]:
    made = Sink()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    ended = threading.Event()
    given: list[socket.socket] = []
    thread = threading.Thread(target=_accept, args=(listener, tls, made, ended, given), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listener.close()
        for each in given:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _accept(
    listener: socket.socket, tls: ssl.SSLContext | None, made: Sink, ended: threading.Event, given: list[socket.socket]
) -> None:
    while not ended.is_set():
        try:
            client, _ = listener.accept()
        except OSError:
            return
        made.connections += 1
        given.append(client)
        threading.Thread(target=_serve, args=(client, tls, made, made.connections), daemon=True).start()


def _serve(client: socket.socket, tls: ssl.SSLContext | None, made: Sink, number: int) -> None:
    with suppress(OSError), client:
        secured = tls.wrap_socket(client, server_side=True) if tls else client
        with secured, secured.makefile("rb") as lines:
            while asked := _read(lines, number):
                made.asked.append(asked)
                behave = made.script.pop(0) if made.script else made.take
                if not behave(secured, asked):
                    return


def _read(lines: Any, number: int) -> Asked | None:
    first = lines.readline().decode().strip()
    if not first:
        return None
    headers: dict[str, str] = {}
    while line := lines.readline().decode().strip():
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return Asked(number, first, headers, lines.read(int(headers["content-length"])))
