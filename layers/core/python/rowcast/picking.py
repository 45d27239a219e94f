"""Rows picked out of the two sides' files by their places: what changes hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rowcast import arrow, changetext, columnar
from rowcast import columns as sql
from rowcast.changetext import NTH, Compared
from rowcast.chunks import Batch, Layout
from rowcast.compare import Sides, fetch_rows, fetched, key_columns
from rowcast.engine import registered, run
from rowcast.models import Column, Manifest
from rowcast.pairing import FILE_BITS, NOWHERE, Pairs
from rowcast.sqltext import place

if TYPE_CHECKING:
    import duckdb

    from rowcast.pairing import Flags, Places

SLICE_ROWS = 81_920
"""Changes that are read at once: as many as some row groups of their files hold. Where all rows changed, a slice opens
few row groups; if their order changed too, all of one file, which is therefore read as seldom as memory allows."""
SLICE_BYTES = 32 << 20
"""Of their files; as text they are some times larger."""
LEAST_ROWS = 1_000
MOST_OF_A_FILE = 0.9
"""Where the rows span more of it, to look at each one's place costs more than is left out."""
_OLD, _NEW = "wanted_before", "wanted_after"


class OtherKeys(Exception):
    """Rows that were taken for one row before and after have different keys."""


def layout(sides: Sides) -> Layout:
    """Of the changes that `differences` gives."""
    return Layout(
        key=list(sides.manifest.primary_key),
        before=[column.name for column in sides.old.columns],
        after=[column.name for column in sides.manifest.columns],
    )


def differences(
    pairs: Pairs,
    sides: Sides,
    wanted: Sequence[str] | None,
    connection: duckdb.DuckDBPyConnection,
    *,
    assumed: bool = False,
) -> Iterator[Batch]:
    """The rows of these changes, in the same order. `wanted`: as in `changetext.select`. `assumed`: nobody compared
    keys; raises OtherKeys where a row that is told as changed has another one than it had."""
    step = slice_rows(sides)
    _fetch(pairs.old, pairs.new, sides)
    for start in range(0, len(pairs), step):
        some = pairs.at(slice(start, start + step))
        found = _read(some, sides, wanted, connection)
        if found is not None:
            if assumed and columnar.have_other_keys(found, some):
                raise OtherKeys
            yield from columnar.batches(found, some)


def _fetch(old: Places, new: Places, sides: Sides) -> None:
    """The files in which these rows lie, of both sides at once."""
    wanted = [(sides.old, file) for file in _files(old)]
    fetch_rows([*wanted, *((sides.manifest, file) for file in _files(new))], sides)


def _files(places: Places) -> list[int]:
    import numpy as np

    files = places[places != NOWHERE] >> FILE_BITS
    found: list[int] = files[:1].tolist() if (files == files[:1]).all() else np.unique(files).tolist()
    return found


def slice_rows(sides: Sides) -> int:
    """How many changes are read at once."""
    widest = max(
        sum(partition.bytes for partition in each.partitions) // (each.rows or 1)
        for each in (sides.old, sides.manifest)
    )
    return rows_at_once(widest)


def rows_at_once(row_bytes: int) -> int:
    return min(SLICE_ROWS, max(LEAST_ROWS, SLICE_BYTES // (row_bytes or 1)))


def _read(
    some: Pairs, sides: Sides, wanted: Sequence[str] | None, connection: duckdb.DuckDBPyConnection
) -> columnar.Columns | None:
    """None when none of them differs in what is wanted."""
    compared = Compared(
        old=sides.old.columns,
        new=sides.manifest.columns,
        old_common=sides.old_common,
        common=sides.common,
        old_key=key_columns(sides.old),
        key=key_columns(sides.manifest),
    )
    both = bool(((some.old != NOWHERE) & (some.new != NOWHERE)).all())
    with ExitStack() as tables:
        old = _rows(_OLD, sides.old, some.old, compared.old, sides, connection, tables)
        new = _rows(_NEW, sides.manifest, some.new, compared.new, sides, connection, tables)
        statement = changetext.select(old, new, compared, wanted, both=both)
        ordered = f"{statement} ORDER BY 1" if old and new and not both else statement
        columns = arrow.in_order(_whole(connection, ordered))
    return columnar.Columns.of(columns, compared) if columns else None


def _whole(connection: duckdb.DuckDBPyConnection, statement: str) -> list[arrow.Column]:
    """Nothing where there is no row."""
    return [arrow.joined(parts) for parts in zip(*arrow.batches(connection, statement), strict=True)]


def _rows(
    table: str,
    manifest: Manifest,
    places: Places,
    columns: Sequence[Column],
    sides: Sides,
    connection: duckdb.DuckDBPyConnection,
    tables: ExitStack,
) -> str:
    """A SELECT of these columns of the rows at these places, numbered by where a place is among them; "" for none."""
    import numpy as np

    numbers = np.flatnonzero(places != NOWHERE)
    files, rows = places[numbers] >> FILE_BITS, places[numbers] & (2**FILE_BITS - 1)
    several = _files(places)
    names = ", ".join(_named(column, len(several) > 1) for column in columns)
    parts = []
    for file in several:
        own = files == file
        at, row = numbers[own], rows[own]
        first, last = int(row.min()), int(row.max())
        source = f"read_parquet({place(fetched(manifest, file, sides))}, file_row_number = true) p"
        number, within = f"p.file_row_number + {int(at[0]) - first}", True
        if not _side_by_side(row) or not _side_by_side(at):
            tables.enter_context(registered(connection, f"{table}_{file}", {"number": at, "row": row}))
            source, number = f"{source} JOIN {table}_{file} w ON p.file_row_number = w.row", "w.number"
            within = last - first < MOST_OF_A_FILE * manifest.partitions[file].rows
        between = f" WHERE p.file_row_number BETWEEN {first} AND {last}" if within else ""
        parts.append(f"SELECT {number} AS {NTH}, {names} FROM {source}{between}")
    return " UNION ALL ".join(parts)


def _side_by_side(numbers: Places) -> bool:
    return bool((numbers[1:] - numbers[:-1] == 1).all())


def _named(column: Column, among_others: bool) -> str:
    """`among_others`: decimals as text, since those of several files may not have one DECIMAL type that holds all."""
    name = sql.quote(column.name)
    return f"p.{name}::VARCHAR AS {name}" if among_others and column.type == "decimal" else f"p.{name}"


def key_hashes(manifest: Manifest, places: Places, sides: Sides, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Of each row the hash of its key, 32 hex digits."""
    found = _told(f"replace({sql.key_hash(key_columns(manifest), 'r')}::VARCHAR, '-', '')", "keys", manifest, places,
                  sides, connection)  # fmt: skip
    return [found[number] for number in range(len(places))]


def current_rows(places: Mapping[str, int], sides: Sides, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The source's rows now at these places, by the same names and as JSON, which takes the least memory."""
    import numpy as np

    told = sql.row_json(sides.manifest.columns, "r")
    found = _told(told, "owed_rows", sides.manifest, np.array(list(places.values()), np.int64), sides, connection)
    return {name: found[number] for number, name in enumerate(places)}


def _told(
    expression: str,
    table: str,
    manifest: Manifest,
    places: Places,
    sides: Sides,
    connection: duckdb.DuckDBPyConnection,
) -> dict[int, str]:
    with ExitStack() as tables:
        rows = _rows(table, manifest, places, manifest.columns, sides, connection, tables)
        return dict(run(connection, f"SELECT r.{NTH}, {expression} FROM ({rows}) r")) if rows else {}


def other_keys(before: Places, after: Places, sides: Sides, connection: duckdb.DuckDBPyConnection) -> Flags:
    """Which of rows side by side have different keys."""
    import numpy as np

    _fetch(before, after, sides)
    found = np.zeros(len(before), bool)
    for start in range(0, len(before), SLICE_ROWS):
        some = slice(start, start + SLICE_ROWS)
        found[start + np.array(_other_keys(before[some], after[some], sides, connection), np.intp)] = True
    return found


def _other_keys(before: Places, after: Places, sides: Sides, connection: duckdb.DuckDBPyConnection) -> list[int]:
    keys = [key_columns(each) for each in (sides.old, sides.manifest)]
    other = f"{sql.key_text(keys[0], 'o')} <> {sql.key_text(keys[1], 'n')}"
    if len(keys[0]) == len(keys[1]):  # which costs less
        other = " OR ".join(sql.differs(a, b, "o", "n") for a, b in zip(*keys, strict=True))
    with ExitStack() as tables:
        old = _rows("keys_before", sides.old, before, keys[0], sides, connection, tables)
        new = _rows("keys_after", sides.manifest, after, keys[1], sides, connection, tables)
        joined = f"SELECT n.{NTH} FROM ({new}) n JOIN ({old}) o ON n.{NTH} = o.{NTH} WHERE {other}"
        return [number for (number,) in run(connection, joined)]
