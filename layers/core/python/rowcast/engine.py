"""The embedded SQL engine, bounded in memory and shut off from everything but its scratch folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt


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
    import duckdb

    connection = duckdb.connect(
        config={
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": str(scratch / "spill"),
            "preserve_insertion_order": False,
        }
    )
    try:
        run(connection, "SET enable_progress_bar = false")
        run(connection, "SET TimeZone = 'UTC'")
        run(connection, f"SET allowed_directories = ['{scratch}']")
        run(connection, "SET enable_external_access = false")
        yield connection
    finally:
        connection.close()
