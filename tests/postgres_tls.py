"""TLS before a PostgreSQL server that was built without it: takes the protocol's SSLRequest and passes the rest on."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.certificate import certificate

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@dataclass(frozen=True)
class TlsFront:
    """`authority`: the PEM text of what signed the certificate, which is for 127.0.0.1 and no other name."""

    port: int
    authority: str


@contextmanager
def tls_front(server_port: int, directory: Path) -> Iterator[TlsFront]:
    authority, context = certificate(directory)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_accept, args=(listener, context, server_port), daemon=True)
        thread.start()
        yield TlsFront(port=listener.getsockname()[1], authority=authority)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _accept(listener: socket.socket, context: ssl.SSLContext, server_port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, context, server_port), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, server_port: int) -> None:
    with closing(client), suppress(OSError):
        if client.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
            return
        client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as secured,
            closing(socket.create_connection(("127.0.0.1", server_port))) as server,
        ):
            _relay(secured, server)


def _relay(secured: ssl.SSLSocket, server: socket.socket) -> None:
    """One thread and short time-outs: an SSL socket must not be read and written at once."""
    secured.settimeout(0.005)
    server.settimeout(0.005)
    while True:
        for source, target in ((secured, server), (server, secured)):
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return
            target.sendall(data)
