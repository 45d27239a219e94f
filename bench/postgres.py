"""A PostgreSQL server of the bench's own, with the table of bench.data in it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests import postgres_server

TABLE = """CREATE TABLE orders (id bigint, customer bigint, status text, country text, email text,
  amount numeric(12, 2), quantity bigint, created_at timestamp, updated_at timestamptz, note text)"""


def psql() -> str:
    """The path of the program, of the installation that the server is from."""
    found = (folder / "psql" for folder in postgres_server._candidates())
    return str(next(path for path in found if path.is_file()))


def environment(server: dict[str, Any]) -> dict[str, str]:
    """For libpq's programs: how to reach the server."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "database": "PGDATABASE"}
    return {**os.environ, **{variable: str(server[name]) for name, variable in names.items()}}


def serve(rows: int, slowed_to: float = 0, **_: Any) -> None:
    """Tells of the server in one line, `server`, and serves until it is ended. `slowed_to`: each connection brings so
    many MB a second, as one over a network does."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with tempfile.TemporaryDirectory() as folder, postgres_server.running_server(Path(folder)) as running:
        server = {name: getattr(running, name) for name in ("host", "port", "user", "password", "database")}
        _fill(server, rows, Path(folder))
        if slowed_to:
            server["port"] = slowed(server["host"], server["port"], slowed_to * 1e6)
        print(json.dumps({"server": server}), flush=True)
        over.wait()


def slowed(host: str, port: int, bytes_per_second: float) -> int:
    """The port of a way to the server on which each connection's answers come at this rate."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            near, _ = listening.accept()
            far = socket.create_connection((host, port))
            for one, other, rate in ((near, far, 0.0), (far, near, bytes_per_second)):
                threading.Thread(target=_pass_on, args=(one, other, rate), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listening.getsockname()[1])


def _pass_on(one: socket.socket, other: socket.socket, bytes_per_second: float) -> None:
    due = time.monotonic()
    while data := one.recv(1 << 16):
        other.sendall(data)
        if bytes_per_second:
            due = max(due, time.monotonic() - 0.05) + len(data) / bytes_per_second
            time.sleep(max(0.0, due - time.monotonic()))
    other.shutdown(socket.SHUT_WR)


def _fill(server: dict[str, Any], rows: int, folder: Path) -> None:
    import duckdb

    from bench.data import rows_sql

    file = folder / "orders.csv"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would write where the line for the harness goes
        connection.execute(f"COPY ({rows_sql(rows, 'before')}) TO '{file}' (HEADER false)")
    commands = ["SET TimeZone = 'UTC'", TABLE, f"\\copy orders FROM '{file}' (FORMAT csv)", "VACUUM (ANALYZE) orders"]
    arguments = [word for command in commands for word in ("-c", command)]
    subprocess.run([psql(), "-qX", *arguments], env=environment(server), stdout=subprocess.DEVNULL, check=True)
    file.unlink()
