"""A PostgreSQL server of the bench's own, with the table of bench.data in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
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


def serve(rows: int, **_: Any) -> None:
    """Tells of the server in one line, `server`, and serves until it is ended."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with tempfile.TemporaryDirectory() as folder, postgres_server.running_server(Path(folder)) as running:
        server = {name: getattr(running, name) for name in ("host", "port", "user", "password", "database")}
        _fill(server, rows, Path(folder))
        print(json.dumps({"server": server}), flush=True)
        over.wait()


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
