"""Parquet files without some of their columns, and several made one, as DuckDB reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import xxhash

from rowcast.parquet import without_columns
from rowcast.staging import PARQUET

ROWS = """SELECT i AS id, CASE WHEN i % 3 > 0 THEN 'text ' || i % 7 END AS few, md5(i::VARCHAR) AS many,
  i % 2 = 0 AS flag,
  (i / 4.0)::DECIMAL(12, 2) AS amount, i / 3.0 AS ratio, ('\\x0' || i % 10)::BLOB AS raw, NULL::VARCHAR AS nothing,
  DATE '2026-01-01' + (i % 50)::INTEGER AS day, TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i) AS made,
  uuid() AS tag, hash(i) AS _key_hash, TIME '10:00:00' AS at"""
LEFT_OUT = ["_key_hash", "flag"]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"preserve_insertion_order": True}) as made:
        yield made


def written(connection: duckdb.DuckDBPyConnection, path: Path, rows: str, options: str = PARQUET) -> Path:
    connection.execute(f"COPY ({ROWS} FROM {rows}) TO '{path}' ({options})").fetchall()
    return path


def everything(path: Path, exclude: str = "", after: int = 0) -> str:
    """All values, and their places when so many rows are before this file's."""
    place = f"file_row_number + {after} AS file_row_number"
    return f"SELECT * {exclude} REPLACE ({place}) FROM read_parquet('{path}', file_row_number = true)"


def differing(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> list[tuple[object, ...]]:
    """Columns, or else some rows, that are not in both. DuckDB compares them: objects of Python take it very long."""
    columns = [connection.execute(f"DESCRIBE {side}").fetchall() for side in (one, other)]
    if columns[0] != columns[1]:
        return columns[0] + columns[1]
    there, back = (f"(({a}) EXCEPT ALL ({b}))" for a, b in ((one, other), (other, one)))
    return connection.execute(f"FROM {there} UNION ALL FROM {back} LIMIT 3").fetchall()


@pytest.mark.parametrize(
    "options", [PARQUET, "FORMAT parquet, ROW_GROUP_SIZE 2048", "FORMAT parquet, COMPRESSION zstd"]
)
def test_columns_are_left_out_and_all_else_stays(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, options: str
) -> None:
    whole = written(connection, tmp_path / "whole", "range(140000) AS t(i)", options)
    checksum = without_columns([whole], tmp_path / "part", LEFT_OUT)
    assert not differing(connection, everything(tmp_path / "part"), everything(whole, "EXCLUDE (_key_hash, flag)"))
    assert checksum == f"xxh3:{xxhash.xxh3_128((tmp_path / 'part').read_bytes()).hexdigest()}"
    assert (tmp_path / "part").stat().st_size < whole.stat().st_size - 140_000 * 8


def test_files_follow_one_another_in_order(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    bounds = [(0, 70_000), (70_000, 70_001), (70_001, 90_000)]
    files = [written(connection, tmp_path / str(a), f"range({a}, {b}) AS t(i)") for a, b in bounds]
    without_columns(files, tmp_path / "one", LEFT_OUT)
    parts = [everything(file, "EXCLUDE (_key_hash, flag)", a) for file, (a, _) in zip(files, bounds, strict=True)]
    assert not differing(connection, everything(tmp_path / "one"), " UNION ALL ".join(parts))


def test_rows_are_found_by_the_statistics_that_moved_along(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    options = "FORMAT parquet, ROW_GROUP_SIZE 2048"
    files = [written(connection, tmp_path / str(a), f"range({a}, {a + 20000}) AS t(i)", options) for a in (0, 20_000)]
    without_columns(files, tmp_path / "one", ["id"])
    made = "made > TIMESTAMPTZ '2026-01-01 09:00:00+00'"
    found = f"SELECT few FROM read_parquet('{tmp_path}/one') WHERE many = md5('33333') AND {made}"
    assert connection.execute(found).fetchall() == [(None,)]
    [(groups, rows)] = connection.execute(
        f"SELECT num_row_groups, num_rows FROM parquet_file_metadata('{tmp_path}/one')"
    ).fetchall()
    assert (groups, rows) == (20, 40_000)


def test_a_file_without_rows_stays_one(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    whole = written(connection, tmp_path / "whole", "range(0) AS t(i)")
    without_columns([whole], tmp_path / "part", LEFT_OUT)
    assert connection.execute(everything(tmp_path / "part")).fetchall() == []
