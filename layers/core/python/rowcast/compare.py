"""The two sides of a partition: which rows differ, found by their fingerprints; and, inside DuckDB, what those hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rowcast import changetext, fingerprints
from rowcast import columns as sql
from rowcast.changetext import Naming
from rowcast.chunks import Batch, Layout
from rowcast.engine import registered, run
from rowcast.fingerprints import Fingerprints
from rowcast.models import Column, Debt, Manifest, Row, from_json
from rowcast.ports import SnapshotStore

if TYPE_CHECKING:
    import duckdb

FETCH_ROWS = 500
SLICE_ROWS = 40_960
"""Changes whose rows are read, joined and made to text at once: as many as a row group of their files holds, so that
where all rows changed, in one order, a slice opens few of those."""
FILE_BITS = 32
"""A row's place is its file's number, then so many bits for its position in the file."""
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

    def fingerprint(self, over: Sequence[Column]) -> str:
        """SQL that computes fingerprints anew, over the common columns of one side."""
        recipe = sql.shared_recipe(self.manifest.fingerprint_schema, self.old_common, self.common)
        return sql.fingerprint(over, recipe=recipe)


def prepare(
    number: int, sides: Sides, owed: Sequence[Debt], connection: duckdb.DuckDBPyConnection, *, whole: bool = False
) -> None:
    """Makes the tables `new_rows` and `old_rows` of those rows of the partition that differ or are owed (with `whole`
    of all): key hash `k`, fingerprint `f`, `place`; and `owed` (key hashes of debts) and `differing` (k, operation,
    old_f, new_f, old_place, new_place) of the other rows that are not equal. A file of rows is fetched only if a row of
    it is wanted."""
    _pick([debt.key_hash for debt in owed], number, sides, connection, whole)
    run(connection, "CREATE TABLE owed (k UUID PRIMARY KEY)")
    if owed:
        connection.executemany("INSERT INTO owed VALUES (?::UUID)", [[debt.key_hash] for debt in owed])
    run(
        connection,
        "CREATE TABLE differing AS SELECT coalesce(n.k, o.k) AS k, o.f AS old_f, n.f AS new_f, o.place AS old_place,"
        " n.place AS new_place,"
        " CASE WHEN o.k IS NULL THEN 'added' WHEN n.k IS NULL THEN 'removed' ELSE 'changed' END AS operation"
        " FROM new_rows n FULL JOIN old_rows o ON n.k = o.k"
        " WHERE n.f IS DISTINCT FROM o.f AND coalesce(n.k, o.k) NOT IN (SELECT k FROM owed)",
    )


def _pick(owed: Sequence[str], number: int, sides: Sides, connection: duckdb.DuckDBPyConnection, whole: bool) -> None:
    """Makes `new_rows` and `old_rows`. The fingerprints are let go of with that: what follows needs the memory."""
    old, new = _old_fingerprints(number, sides, connection), _new_fingerprints(number, sides, connection)
    old_wanted, new_wanted = (old, new) if whole else fingerprints.differing(old, new)
    if owed and not whole:
        old_wanted = fingerprints.united(old_wanted, fingerprints.having(old, owed))
        new_wanted = fingerprints.united(new_wanted, fingerprints.having(new, owed))
    _gather("new_rows", sides.manifest, new_wanted, sides, connection)
    _gather("old_rows", sides.baseline or sides.manifest, old_wanted, sides, connection)


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
    stored = "_fingerprint" if over is None else sides.fingerprint(over)
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
    """Makes a table of the rows that are wanted, without their values."""
    run(connection, f"CREATE TABLE {table} (k UUID, f UUID, place BIGINT)")
    for part in wanted:
        if not len(part.keys):
            continue
        with registered(connection, "wanted", part.positions()):
            run(
                connection,
                f"INSERT INTO {table} SELECT {_key_hash(manifest, 'p')},"
                f" ((w.upper::UHUGEINT << 64) + w.lower)::UUID, w.row + {part.file << FILE_BITS}"
                f" FROM read_parquet('{_fetched(manifest, part.file, sides)}', file_row_number = true) p"
                " JOIN wanted w ON p.file_row_number = w.row",
            )


def _rows_between(manifest: Manifest, places: Sequence[int], sides: Sides) -> str:
    """A SELECT of the rows at these places and between them, with their `place`."""
    if not places:
        return _no_rows(manifest)
    first, last = min(places), max(places)
    files = [
        number
        for number in range(first >> FILE_BITS, (last >> FILE_BITS) + 1)
        if manifest.partitions[number].key is not None
    ]
    names = ", ".join(_named(column, len(files) > 1) for column in manifest.columns)
    return " UNION ALL ".join(
        f"SELECT file_row_number + {file << FILE_BITS} AS place, {names}"
        f" FROM read_parquet('{_fetched(manifest, file, sides)}', file_row_number = true)"
        f" WHERE file_row_number BETWEEN {max(first - (file << FILE_BITS), 0)} AND {last - (file << FILE_BITS)}"
        for file in files
    )


def _named(column: Column, among_others: bool) -> str:
    """`among_others`: decimals as text, since those of several files may not have one DECIMAL type that holds all."""
    name = sql.quote(column.name)
    return f"{name}::VARCHAR AS {name}" if among_others and column.type == "decimal" else name


def _no_rows(manifest: Manifest) -> str:
    types = ", ".join(f"NULL::{TYPES[column.type]} AS {sql.quote(column.name)}" for column in manifest.columns)
    return f"SELECT NULL::BIGINT AS place, {types} WHERE false"


def counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many rows differ, per operation."""
    return dict(run(connection, "SELECT operation, count(*) FROM differing GROUP BY operation"))


def add_equal(operation: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Puts the rows that are equal on both sides into `differing` too, and gives them and those that are changed this
    operation. Needs the `whole` partition."""
    run(
        connection,
        "INSERT INTO differing BY NAME SELECT n.k, o.f AS old_f, n.f AS new_f, o.place AS old_place,"
        " n.place AS new_place, 'changed' AS operation"
        " FROM new_rows n JOIN old_rows o ON n.k = o.k"
        " WHERE n.f IS NOT DISTINCT FROM o.f AND n.k NOT IN (SELECT k FROM owed)",
    )
    connection.execute("UPDATE differing SET operation = ? WHERE operation = 'changed'", [operation])


def leave_out(operation: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Takes the rows of one operation out of `differing`."""
    run(connection, "DELETE FROM differing WHERE operation = ?", [operation])


def layout(sides: Sides) -> Layout:
    """Of the texts of `differences`."""
    return Layout(
        key=list(sides.manifest.primary_key),
        before=[column.name for column in (sides.baseline or sides.manifest).columns],
        after=[column.name for column in sides.manifest.columns],
    )


def differences(sides: Sides, naming: Naming, connection: duckdb.DuckDBPyConnection) -> Iterator[Batch]:
    """The rows of `differing` as changes, by operation and place, some hundreds at a time. No table of rows is needed
    any more, and they are dropped."""
    run(connection, "DROP TABLE new_rows")
    run(connection, "DROP TABLE old_rows")
    for some in _slices(connection):
        cursor = connection.execute(_changes_of(some, sides, naming))
        while rows := cursor.fetchmany(FETCH_ROWS):
            yield from _batches(rows)


def _slices(connection: duckdb.DuckDBPyConnection) -> Iterator[_Slice]:
    ranges = run(
        connection,
        f"SELECT operation, {_AT} // {SLICE_ROWS} AS stretch, count(*), min({_AT}), max({_AT}),"
        " min(old_place), max(old_place), min(new_place), max(new_place)"
        " FROM differing GROUP BY operation, stretch ORDER BY operation, stretch",
    )
    some = _Slice()
    for operation, _, count, first, last, *places in ranges:
        if some.rows + count > SLICE_ROWS and some.rows:
            yield some
            some = _Slice()
        some.rows += count
        some.picked.append(f"operation = '{operation}' AND {_AT} BETWEEN {first} AND {last}")
        some.old += [place for place in places[:2] if place is not None]
        some.new += [place for place in places[2:] if place is not None]
    if some.rows:
        yield some


_AT = "coalesce(new_place, old_place)"


class _Slice(msgspec.Struct):
    """Changes that are made at once: conditions that pick them, and places of either side, the outermost among them."""

    rows: int = 0
    picked: list[str] = []
    old: list[int] = []
    new: list[int] = []


def _batches(rows: list[Any]) -> Iterator[Batch]:
    for operation, some in groupby(rows, itemgetter(0)):
        _, texts, sizes = zip(*some, strict=True)
        yield Batch(operation=operation, texts=texts, sizes=sizes)


def _changes_of(some: _Slice, sides: Sides, naming: Naming) -> str:
    """The rows are picked out first, since a left join would read both files whole before it."""
    baseline = sides.baseline or sides.manifest
    old, new = baseline.columns, sides.manifest.columns
    return (
        f"WITH d AS MATERIALIZED (SELECT *, {_AT} AS nth FROM differing WHERE ({') OR ('.join(some.picked)})),"
        f" o AS MATERIALIZED (SELECT r.* FROM ({_rows_between(baseline, some.old, sides)}) r"
        " JOIN d ON r.place = d.old_place),"
        f" n AS MATERIALIZED (SELECT r.* FROM ({_rows_between(sides.manifest, some.new, sides)}) r"
        " JOIN d ON r.place = d.new_place)"
        f""" SELECT operation, concat('["', key_hash, '","', {changetext.change_id(naming)}, '"', ',' || before,"""
        " ',' || after, ']'), coalesce(strlen(before) * CASE operation WHEN 'changed' THEN 2 ELSE 1 END, 0)"
        " + coalesce(strlen(after), 0)"
        " FROM (SELECT d.operation, d.nth, d.old_f, d.new_f, replace(d.k::VARCHAR, '-', '') AS key_hash,"
        f" {changetext.before(old)} AS before,"
        f" {changetext.after(old, new, sides.old_common, sides.common)} AS after"
        " FROM d LEFT JOIN o ON o.place = d.old_place LEFT JOIN n ON n.place = d.new_place)"
        " ORDER BY operation, nth"
    )


def current_rows(sides: Sides, connection: duckdb.DuckDBPyConnection) -> dict[str, Row]:
    """The source's rows now of the keys in `owed`, by key hash; a key that is gone is not there."""
    owed = "SELECT replace(k::VARCHAR, '-', '') AS key_hash, place FROM new_rows WHERE k IN (SELECT k FROM owed)"
    places = [place for _, place in run(connection, owed)]
    rows = run(
        connection,
        f"SELECT key_hash, {sql.row_json(sides.manifest.columns, 'n')}"
        f" FROM ({_rows_between(sides.manifest, places, sides)}) n JOIN ({owed}) w ON n.place = w.place",
    )
    return {key_hash: from_json(text) for key_hash, text in rows}
