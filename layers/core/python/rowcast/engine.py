"""The embedded SQL engine, bounded in memory and shut off from everything but its scratch folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowcast.sqltext import place

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt


_idle: dict[tuple[Path, int], duckdb.DuckDBPyConnection] = {}


def run(connection: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Runs one statement to its end; a result that is not read to its end may not be complete and blocks the next."""
    return connection.execute(statement, parameters or None).fetchall()


def columns(connection: duckdb.DuckDBPyConnection, statement: str) -> list[npt.NDArray[np.uint64]]:
    """Runs one statement to its end; the columns of its result, which are UBIGINT without nulls."""
    return list(connection.execute(statement).fetchnumpy().values())


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, name: str, arrays: dict[str, npt.NDArray[Any]]) -> Iterator[None]:
    """Within, `name` is a table with these columns."""
    connection.register(name, arrays)
    try:
        yield
    finally:
        connection.unregister(name)


@contextmanager
def engine(scratch: Path, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB held to `memory_mb`, spilling to `scratch`, reading and writing no other folder, in UTC."""
    connection = _started(scratch, memory_mb, scratch / "spill")
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def kept_engine(scratch: Path, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """`engine`, started once by a process for all folders beside `scratch`, and with what was set before: to start it
    costs as much as to compare 100,000 rows. An error ends it, since nobody knows what it left behind."""
    place = scratch.parent, memory_mb
    connection = _idle.pop(place, None)
    if connection is None:
        connection = _started(scratch.parent, memory_mb, Path(tempfile.mkdtemp(prefix="spill-", dir=scratch.parent)))
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    _idle[place] = connection


def _started(folder: Path, memory_mb: int, spill: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(
        config={
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
        }
    )
    run(connection, "SET enable_progress_bar = false")
    run(connection, "SET TimeZone = 'UTC'")
    run(connection, f"SET allowed_directories = [{place(folder)}]")
    run(connection, "SET enable_external_access = false")
    return connection
