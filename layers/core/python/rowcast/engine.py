"""The embedded SQL engine, bounded in memory and shut off from everything but its scratch folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


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
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET partitioned_write_flush_threshold = 20000")
        connection.execute(f"SET allowed_directories = ['{scratch}']")
        connection.execute("SET enable_external_access = false")
        yield connection
    finally:
        connection.close()
