"""The two sides of a partition inside DuckDB: which rows differ, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import columns as sql
from rowcast.engine import run
from rowcast.models import Column, Debt, Manifest, Operation, Row, from_json
from rowcast.ports import SnapshotStore

if TYPE_CHECKING:
    import duckdb

FETCH_ROWS = 500
TYPES = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "decimal": "VARCHAR",
    "float": "DOUBLE",
    "text": "VARCHAR",
    "bytes": "BLOB",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "uuid": "UUID",
    "json": "VARCHAR",
}


class Sides(msgspec.Struct, kw_only=True, frozen=True):
    """A snapshot and its baseline (None before the first commit), and where their files are fetched to."""

    manifest: Manifest
    baseline: Manifest | None
    snapshots: SnapshotStore
    scratch: Path

    @property
    def bits(self) -> int:
        """log2 of the snapshot's partition count."""
        return len(self.manifest.partitions).bit_length() - 1

    @property
    def common(self) -> list[Column]:
        """The snapshot's columns that the baseline has too: what rows are compared over."""
        names = {column.name for column in (self.baseline or self.manifest).columns}
        return [column for column in self.manifest.columns if column.name in names]

    @property
    def old_common(self) -> list[Column]:
        """The same columns as the baseline has them, perhaps of other types."""
        names = {column.name for column in self.common}
        return [column for column in (self.baseline or self.manifest).columns if column.name in names]


class Difference(msgspec.Struct, kw_only=True):
    """One row that differs. `size`: bytes of both sides' JSON."""

    operation: Operation
    key_hash: str
    old_hash: str
    new_hash: str
    before: Row | None
    after: Row | None
    columns: list[str]
    size: int


def prepare(number: int, sides: Sides, owed: Sequence[Debt], connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the views `new_rows` and `old_rows` of this partition (with key hash `k` and fingerprint `f`), and tables:
    `owed` (key hashes of debts) and `differing` (k, operation, old_f, new_f) of the other rows that are not equal."""
    manifest, baseline = sides.manifest, sides.baseline
    bits, common = sides.bits, sides.common
    same_recipe = baseline is not None and baseline.fingerprint_schema == manifest.fingerprint_schema
    run(
        connection,
        f"CREATE VIEW new_rows AS {_side(manifest, [number], sides, common if baseline and not same_recipe else None)}",
    )
    old_bits = len(baseline.partitions).bit_length() - 1 if baseline else 0
    if baseline is None:
        run(connection, "CREATE VIEW old_rows AS SELECT * FROM new_rows WHERE false")
    else:
        rows = _side(baseline, _overlapping(number, bits, old_bits), sides, None if same_recipe else sides.old_common)
        within = f" WHERE {sql.partition_of('k', bits)} = {number}"
        run(connection, f"CREATE VIEW old_rows AS SELECT * FROM ({rows}){within}")
    run(connection, "CREATE TABLE owed (k UUID PRIMARY KEY)")
    hashes = [[debt.key_hash] for debt in owed]
    if hashes:
        connection.executemany("INSERT INTO owed VALUES (?::UUID)", hashes)
    run(
        connection,
        "CREATE TABLE differing AS SELECT coalesce(n.k, o.k) AS k, o.f AS old_f, n.f AS new_f,"
        " CASE WHEN o.k IS NULL THEN 'added' WHEN n.k IS NULL THEN 'removed' ELSE 'changed' END AS operation"
        " FROM (SELECT k, f FROM new_rows) n FULL JOIN (SELECT k, f FROM old_rows) o ON n.k = o.k"
        " WHERE n.f IS DISTINCT FROM o.f AND coalesce(n.k, o.k) NOT IN (SELECT k FROM owed)",
    )


def _overlapping(number: int, bits: int, old_bits: int) -> list[int]:
    """The partitions of 2^old_bits that hold the keys of partition `number` of 2^bits: both are ranges of the hash."""
    if old_bits <= bits:
        return [number >> (bits - old_bits)]
    width = old_bits - bits
    return list(range(number << width, (number + 1) << width))


def _side(manifest: Manifest, numbers: Iterable[int], sides: Sides, over: list[Column] | None) -> str:
    """The rows of some partitions. `over`: compute fingerprints anew over these columns, since the stored ones cover
    others."""
    files = [str(path) for number in numbers for path in _fetched(manifest, number, sides)]
    fingerprint = "_fingerprint" if over is None else sql.fingerprint(over)
    if not files:
        empty = ", ".join(f"NULL::{TYPES[column.type]} AS {sql.quote(column.name)}" for column in manifest.columns)
        return f"SELECT NULL::UUID AS k, NULL::UUID AS f, {empty} WHERE false"
    names = ", ".join(sql.quote(column.name) for column in manifest.columns)
    listed = ", ".join(f"'{file}'" for file in files)
    return f"SELECT _key_hash AS k, {fingerprint} AS f, {names} FROM read_parquet([{listed}])"


def _fetched(manifest: Manifest, number: int, sides: Sides) -> Iterator[Path]:
    partition = manifest.partitions[number]
    if partition.key is None:
        return
    path = sides.scratch / f"{manifest.run}-{number:05d}.parquet"
    if not path.exists():
        sides.snapshots.fetch(partition.key, partition.sha256, path)
    yield path


def counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many rows differ, per operation."""
    return dict(run(connection, "SELECT operation, count(*) FROM differing GROUP BY operation"))


def add_equal(operation: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Puts the rows that are equal on both sides into `differing` too, and gives them and those that are changed this
    operation."""
    run(
        connection,
        "INSERT INTO differing BY NAME SELECT n.k, o.f AS old_f, n.f AS new_f, 'changed' AS operation"
        " FROM new_rows n JOIN old_rows o ON n.k = o.k"
        " WHERE n.f IS NOT DISTINCT FROM o.f AND n.k NOT IN (SELECT k FROM owed)",
    )
    connection.execute("UPDATE differing SET operation = ? WHERE operation = 'changed'", [operation])


def leave_out(operation: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Takes the rows of one operation out of `differing`."""
    run(connection, "DELETE FROM differing WHERE operation = ?", [operation])


def differences(sides: Sides, connection: duckdb.DuckDBPyConnection) -> Iterator[Difference]:
    """The rows of `differing` with both sides, in order of operation and key hash, some hundreds at a time."""
    old = (sides.baseline or sides.manifest).columns
    cursor = connection.execute(
        "SELECT d.operation, replace(d.k::VARCHAR, '-', ''), coalesce(d.old_f::VARCHAR, ''),"
        f" coalesce(d.new_f::VARCHAR, ''), CASE WHEN o.k IS NOT NULL THEN {sql.row_json(old, 'o')} END,"
        f" CASE WHEN n.k IS NOT NULL THEN {sql.row_json(sides.manifest.columns, 'n')} END,"
        f" CASE WHEN d.operation = 'changed' THEN {sql.differing(sides.old_common, sides.common, 'o', 'n')} ELSE [] END"
        " FROM differing d LEFT JOIN old_rows o ON o.k = d.k LEFT JOIN new_rows n ON n.k = d.k"
        " ORDER BY d.operation, d.k"
    )
    while rows := cursor.fetchmany(FETCH_ROWS):
        for operation, key_hash, old_hash, new_hash, before, after, names in rows:
            yield Difference(
                operation=operation,
                key_hash=key_hash,
                old_hash=old_hash,
                new_hash=new_hash,
                before=None if before is None else from_json(before),
                after=None if after is None else from_json(after),
                columns=list(names),
                size=len(before or "") + len(after or ""),
            )


def current_rows(sides: Sides, connection: duckdb.DuckDBPyConnection) -> dict[str, Row]:
    """The source's rows now of the keys in `owed`, by key hash; a key that is gone is not there."""
    rows = run(
        connection,
        f"SELECT replace(n.k::VARCHAR, '-', ''), {sql.row_json(sides.manifest.columns, 'n')}"
        " FROM new_rows n WHERE n.k IN (SELECT k FROM owed)",
    )
    return {key_hash: from_json(text) for key_hash, text in rows}
