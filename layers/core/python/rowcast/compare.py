"""The two sides of a partition: which rows differ, found by their fingerprints; and, inside DuckDB, what those hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import columns as sql
from rowcast import fingerprints
from rowcast.engine import registered, run
from rowcast.fingerprints import Fingerprints
from rowcast.models import Column, Debt, Manifest, Operation, Row, frame, framed, from_json
from rowcast.ports import SnapshotStore

if TYPE_CHECKING:
    import duckdb

FETCH_ROWS = 500
SLICE_ROWS = 20_000
"""Changes whose rows are joined, sorted and made to text at once."""
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

    @property
    def same_recipe(self) -> bool:
        """Whether the fingerprints of both sides compare as they are stored."""
        return self.baseline is None or self.baseline.fingerprint_schema == self.manifest.fingerprint_schema


class Difference(msgspec.Struct, kw_only=True):
    """One row that differs. `text`: its change as JSON. `size`: of both sides' JSON."""

    operation: Operation
    text: str
    size: int


class Naming(msgspec.Struct, kw_only=True, frozen=True):
    """What a change's id is made of beside its row."""

    sync: str
    destination: str
    generation: int


def prepare(
    number: int, sides: Sides, owed: Sequence[Debt], connection: duckdb.DuckDBPyConnection, *, whole: bool = False
) -> None:
    """Makes the tables `new_rows` and `old_rows` of those rows of the partition that differ or are owed (with `whole`
    of all), with key hash `k` and fingerprint `f`; and `owed` (key hashes of debts) and `differing` (k, operation,
    old_f, new_f) of the other rows that are not equal. A file is fetched only if a row of it is wanted."""
    old, new = _old_fingerprints(number, sides, connection), _new_fingerprints(number, sides, connection)
    old_wanted, new_wanted = (old, new) if whole else fingerprints.differing(old, new)
    if owed and not whole:
        hashes = [debt.key_hash for debt in owed]
        old_wanted = fingerprints.united(old_wanted, fingerprints.having(old, hashes))
        new_wanted = fingerprints.united(new_wanted, fingerprints.having(new, hashes))
    _gather("new_rows", sides.manifest, new_wanted, sides, connection)
    _gather("old_rows", sides.baseline or sides.manifest, old_wanted, sides, connection)
    run(connection, "CREATE TABLE owed (k UUID PRIMARY KEY)")
    if owed:
        connection.executemany("INSERT INTO owed VALUES (?::UUID)", [[debt.key_hash] for debt in owed])
    run(
        connection,
        "CREATE TABLE differing AS SELECT coalesce(n.k, o.k) AS k, o.f AS old_f, n.f AS new_f,"
        " CASE WHEN o.k IS NULL THEN 'added' WHEN n.k IS NULL THEN 'removed' ELSE 'changed' END AS operation"
        " FROM (SELECT k, f FROM new_rows) n FULL JOIN (SELECT k, f FROM old_rows) o ON n.k = o.k"
        " WHERE n.f IS DISTINCT FROM o.f AND coalesce(n.k, o.k) NOT IN (SELECT k FROM owed)",
    )


def changed_keys(number: int, sides: Sides, connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """How many rows of each side have no equal on the other, by fingerprints alone: old, new."""
    found = fingerprints.differing(
        _old_fingerprints(number, sides, connection), _new_fingerprints(number, sides, connection)
    )
    old, new = (sum(len(part.keys) for part in side) for side in found)
    return old, new


def _new_fingerprints(number: int, sides: Sides, connection: duckdb.DuckDBPyConnection) -> list[Fingerprints]:
    over = None if sides.same_recipe else sides.common
    return [_fingerprints(sides.manifest, number, over, sides, connection)]


def _old_fingerprints(number: int, sides: Sides, connection: duckdb.DuckDBPyConnection) -> list[Fingerprints]:
    """File by file, those of the keys that the snapshot has in partition `number`."""
    if sides.baseline is None:
        return []
    over = None if sides.same_recipe else sides.old_common
    old_bits = len(sides.baseline.partitions).bit_length() - 1
    return [
        _fingerprints(sides.baseline, each, over, sides, connection).within(number, sides.bits)
        for each in _overlapping(number, sides.bits, old_bits)
    ]


def _overlapping(number: int, bits: int, old_bits: int) -> list[int]:
    """The partitions of 2^old_bits that hold the keys of partition `number` of 2^bits: both are ranges of the hash."""
    if old_bits <= bits:
        return [number >> (bits - old_bits)]
    width = old_bits - bits
    return list(range(number << width, (number + 1) << width))


def _fingerprints(
    manifest: Manifest,
    number: int,
    over: list[Column] | None,
    sides: Sides,
    connection: duckdb.DuckDBPyConnection,
) -> Fingerprints:
    """`over`: compute them anew over these columns, since the stored ones cover others."""
    partition = manifest.partitions[number]
    if partition.key is None:
        return fingerprints.none(number)
    if over is None and partition.fingerprints:
        path = sides.scratch / f"{manifest.run}-{number:05d}.fingerprints"
        sides.snapshots.fetch(partition.fingerprints, partition.fingerprints_sha256, path)
        return fingerprints.read(path, number)
    stored = "_fingerprint" if over is None else sql.fingerprint(over)
    return fingerprints.compute(connection, _fetched(manifest, number, sides), _key_hash(manifest), stored, number)


def _key_hash(manifest: Manifest, table: str = "") -> str:
    by_name = {column.name: column for column in manifest.columns}
    return sql.key_hash([by_name[name] for name in manifest.primary_key], table)


def _fetched(manifest: Manifest, number: int, sides: Sides) -> Path:
    partition = manifest.partitions[number]
    assert partition.key is not None, "an empty partition has no rows to fetch"
    path = sides.scratch / f"{manifest.run}-{number:05d}.parquet"
    if not path.exists():
        sides.snapshots.fetch(partition.key, partition.sha256, path)
    return path


def _gather(
    table: str,
    manifest: Manifest,
    wanted: Sequence[Fingerprints],
    sides: Sides,
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Makes a table of the rows that are wanted."""
    parts = [part for part in wanted if len(part.keys)]
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(registered(connection, f"wanted_{part.file}", part.positions()))
        selects = [_rows_of(part, manifest, len(parts) > 1, sides) for part in parts]
        run(connection, f"CREATE TABLE {table} AS {' UNION ALL '.join(selects) or _no_rows(manifest)}")


def _rows_of(part: Fingerprints, manifest: Manifest, among_others: bool, sides: Sides) -> str:
    """`among_others`: decimals as text, since those of several files may not have one DECIMAL type that holds all."""
    names = ", ".join(
        f"p.{sql.quote(column.name)}"
        + (f"::VARCHAR AS {sql.quote(column.name)}" if among_others and column.type == "decimal" else "")
        for column in manifest.columns
    )
    return (
        f"SELECT {_key_hash(manifest, 'p')} AS k, ((w.upper::UHUGEINT << 64) + w.lower)::UUID AS f, {names}"
        f" FROM read_parquet('{_fetched(manifest, part.file, sides)}', file_row_number = true) p"
        f" JOIN wanted_{part.file} w ON p.file_row_number = w.row"
    )


def _no_rows(manifest: Manifest) -> str:
    types = ", ".join(f"NULL::{TYPES[column.type]} AS {sql.quote(column.name)}" for column in manifest.columns)
    return f"SELECT NULL::UUID AS k, NULL::UUID AS f, {types} WHERE false"


def counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many rows differ, per operation."""
    return dict(run(connection, "SELECT operation, count(*) FROM differing GROUP BY operation"))


def add_equal(operation: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Puts the rows that are equal on both sides into `differing` too, and gives them and those that are changed this
    operation. Needs the `whole` partition."""
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


def differences(sides: Sides, naming: Naming, connection: duckdb.DuckDBPyConnection) -> Iterator[Difference]:
    """The rows of `differing` as changes, in order of operation and key hash, some hundreds at a time."""
    run(
        connection,
        "CREATE TABLE numbered AS SELECT *, (row_number() OVER (ORDER BY operation, k) - 1) // "
        f"{SLICE_ROWS} AS slice FROM differing",
    )
    [(slices,)] = run(connection, "SELECT coalesce(max(slice) + 1, 0) FROM numbered")
    for number in range(slices):
        cursor = connection.execute(_changes_of(number, sides, naming))
        while rows := cursor.fetchmany(FETCH_ROWS):
            yield from (Difference(operation=row[0], text=row[1], size=row[2]) for row in rows)


def _changes_of(slice_number: int, sides: Sides, naming: Naming) -> str:
    old, new = (sides.baseline or sides.manifest).columns, sides.manifest.columns
    keys = list(sides.manifest.primary_key)
    return (
        'SELECT operation, concat(\'{"operation":"\', operation, \'","key":\', row_key, \',"key_hash":"\', key_hash,'
        f' \'","id":"\', {_change_id(naming)}, \'","columns":\', names, \',"before":\','
        " CASE WHEN operation = 'added' THEN 'null' ELSE coalesce(before, 'null') END,"
        " ',\"after\":', coalesce(after, 'null'), '}'), coalesce(length(before), 0) + coalesce(length(after), 0)"
        " FROM (SELECT d.operation, d.k, d.old_f, d.new_f, replace(d.k::VARCHAR, '-', '') AS key_hash,"
        f" CASE WHEN n.k IS NULL THEN {sql.values_json(old, keys, 'o')} ELSE {sql.values_json(new, keys, 'n')} END"
        f" AS row_key, CASE WHEN o.k IS NOT NULL THEN {sql.row_json(old, 'o')} END AS before,"
        f" CASE WHEN n.k IS NOT NULL THEN {sql.row_json(new, 'n')} END AS after,"
        f" CASE WHEN d.operation = 'changed' THEN {sql.differing_json(sides.old_common, sides.common, 'o', 'n')}"
        " ELSE '[]' END AS names"
        f" FROM (SELECT * FROM numbered WHERE slice = {slice_number}) d"
        " LEFT JOIN old_rows o ON o.k = d.k LEFT JOIN new_rows n ON n.k = d.k)"
        " ORDER BY operation, k"
    )


def _change_id(naming: Naming) -> str:
    """VARCHAR: `models.change_id` of a row of `numbered`."""
    first = sql.blob(framed(naming.sync) + framed(naming.destination) + frame(32))
    last = sql.blob(framed(str(naming.generation)))
    sides = (
        f"CASE WHEN {side} IS NULL THEN {sql.blob(frame(0))} ELSE {sql.blob(frame(36))} || encode({side}::VARCHAR) END"
        for side in ("old_f", "new_f")
    )
    return f"left(sha256({first} || encode(key_hash) || {' || '.join(sides)} || {last}), 32)"


def current_rows(sides: Sides, connection: duckdb.DuckDBPyConnection) -> dict[str, Row]:
    """The source's rows now of the keys in `owed`, by key hash; a key that is gone is not there."""
    rows = run(
        connection,
        f"SELECT replace(n.k::VARCHAR, '-', ''), {sql.row_json(sides.manifest.columns, 'n')}"
        " FROM new_rows n WHERE n.k IN (SELECT k FROM owed)",
    )
    return {key_hash: from_json(text) for key_hash, text in rows}
