"""Changes made of columns and read again: held against both rows as JSON, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rowcast import arrow, chunks, columnar
from rowcast import columns as sql
from rowcast.changetext import NTH, Compared, select
from rowcast.chunks import Layout, WrittenChunk, cut
from rowcast.jsonsql import json_canonical
from rowcast.models import OPERATIONS, Change, Column, Row, change_id, from_json, to_json
from rowcast.pairing import NOWHERE, Pairs
from tests.unit.test_columns_properties import COLUMNS, PHYSICAL, rows

OLD = [Column("id", "integer"), Column("null_text", "text"), *COLUMNS]
NEW = [Column("new", "text"), *reversed(COLUMNS), Column("id", "integer")]
COMMON = [column for column in NEW if column.name != "new"]
COMPARED = Compared(old=OLD, new=NEW, old_common=OLD[:1] + OLD[2:], common=COMMON, old_key=OLD[:1], key=OLD[:1])


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        types = dict(zip([column.name for column in COLUMNS], PHYSICAL, strict=True))
        types |= {"id": "BIGINT", "null_text": "VARCHAR", "new": "VARCHAR"}
        for table, columns in (("before", OLD), ("after", NEW)):
            listed = ", ".join(f"{column.name} {types[column.name]}" for column in columns)
            made.execute(f"CREATE TABLE {table} ({NTH} BIGINT, {listed})").fetchall()
        yield made


def filled(connection: duckdb.DuckDBPyConnection, table: str, columns: list[Column], given: list[Any]) -> list[Row]:
    """The rows as JSON, by `sql.row_json`. JSON goes in as a snapshot keeps it: no null of its own."""
    connection.execute(f"DELETE FROM {table}").fetchall()
    for nth, values in enumerate(given):
        if values is not None:
            by_name = dict(zip([column.name for column in COLUMNS], values, strict=True))
            by_name |= {"id": nth, "null_text": "g", "new": None if nth % 2 else "n"}
            marks = ", ".join(
                json_canonical(f"${place}::VARCHAR") if column.type == "json" else f"${place}"
                for place, column in enumerate(columns, 2)
            )
            connection.execute(f"INSERT INTO {table} VALUES ($1, {marks})", [nth, *(by_name[c.name] for c in columns)])
    told = connection.execute(f"SELECT {NTH}, {sql.row_json(columns, table)} FROM {table}").fetchall()
    found = {nth: from_json(text) for nth, text in told}
    return [found.get(nth) for nth in range(len(given))]


def changes_of(
    connection: duckdb.DuckDBPyConnection, asked: Pairs, most: int, wanted: list[str] | None = None
) -> list[Change]:
    sides = [f"SELECT * FROM {table}" for table in ("before", "after")]
    statement = f"{select(sides[0], sides[1], COMPARED, wanted, both=False)} ORDER BY 1"
    whole = [arrow.joined(parts) for parts in zip(*arrow.batches(connection, statement), strict=True)]
    layout = Layout(key=["id"], before=[each.name for each in OLD], after=[each.name for each in NEW])
    found = []
    for filling in cut(columnar.batches(columnar.Columns.of(whole, COMPARED), asked), most, 10**9):
        chunk = WrittenChunk(
            sync="s",
            run="r",
            id="c",
            operation=filling.operation,
            layout=layout,
            destination="d",
            generation=3,
            changes=[],
            table=columnar.table(filling.operation, filling.rows),
        )
        found += chunks.decoder.decode(to_json(chunk)).chunk().changes
    return found


def asked_of(before: list[Row], after: list[Row]) -> tuple[Pairs, list[int]]:
    """In order of operation; and which row each change is of."""
    kind = ["added" if a is None else "removed" if b is None else "changed" for a, b in zip(before, after, strict=True)]
    order = sorted(range(len(kind)), key=lambda nth: (kind[nth], nth))
    prints = np.array([[7, nth, 8, 2**63 + nth] for nth in order], ">u8").reshape(-1, 4)
    for place, nth in enumerate(order):
        prints[place, :2] *= before[nth] is not None
        prints[place, 2:] *= after[nth] is not None
    operations = np.array([OPERATIONS.index(kind[nth]) for nth in order], np.uint8)  # type: ignore[arg-type]
    places = np.zeros(len(order), np.int64) + NOWHERE
    return Pairs(operations=operations, old=places, new=places, prints=prints), order


def uuid_text(upper: int, lower: int) -> str:
    digits = f"{upper:016x}{lower:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


PAIRS = st.tuples(rows, rows, st.sets(st.sampled_from([column.name for column in COLUMNS])), st.sampled_from("arcc"))


NOTHING = (None,) * len(COLUMNS)


@settings(max_examples=60, deadline=None)
@given(st.lists(PAIRS, min_size=1, max_size=6), st.integers(1, 4))
@example([(NOTHING, (*NOTHING[1:], "null"), set(), "c")], 1)
def test_changes_come_back_as_their_rows_are(
    connection: duckdb.DuckDBPyConnection, found: list[Any], most: int
) -> None:
    given_before, given_after = [], []
    for a, b, shared, kind in found:
        b = tuple(x if column.name in shared else y for column, x, y in zip(COLUMNS, a, b, strict=True))
        given_before.append(None if kind == "a" else a)
        given_after.append(None if kind == "r" else b)
    before = filled(connection, "before", OLD, given_before)
    after = filled(connection, "after", NEW, given_after)
    asked, order = asked_of(before, after)
    renumber(connection, order)
    changes = changes_of(connection, asked, most)
    changes.sort(key=lambda change: change.operation)  # the last chunk of each operation comes at the end
    assert [change.key for change in changes] == [[nth] for nth in order]
    names = [column.name for column in COMMON]
    for change, nth in zip(changes, order, strict=True):
        old, new = before[nth], after[nth]
        assert to_json([change.before, change.after]) == to_json([old, new])
        both = old is not None and new is not None
        assert change.columns == (sql.differing_columns(old, new, names) if both else [])
        told = [
            uuid_text(7, nth) if old is not None else "",
            uuid_text(8, 2**63 + nth) if new is not None else "",
        ]
        assert change.key_hash == key_hash(connection, nth)
        assert change.id == change_id("s", "d", change.key_hash, *told, 3)


def renumber(connection: duckdb.DuckDBPyConnection, order: list[int]) -> None:
    for place, nth in enumerate(order):
        for table in ("before", "after"):
            connection.execute(f"UPDATE {table} SET {NTH} = {place} WHERE id = {nth}").fetchall()


def key_hash(connection: duckdb.DuckDBPyConnection, key: int) -> str:
    found = connection.execute(
        f"SELECT replace({sql.key_hash(OLD[:1])}::VARCHAR, '-', '') FROM (SELECT {key}::BIGINT AS id)"
    ).fetchone()
    assert found is not None
    return str(found[0])


def test_of_changed_rows_only_those_that_differ_in_a_wanted_column_are_found(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    names = [column.name for column in COLUMNS]
    row = dict.fromkeys(names)
    other = {**row, "t": "x"} if "t" in row else {**row, names[0]: 1}
    [changed] = [name for name in names if other[name] is not None]
    values = [tuple(each.values()) for each in (row, row, row)]
    before = filled(connection, "before", OLD, [values[0], None, values[2]])
    after = filled(connection, "after", NEW, [tuple(other.values()), values[1], None])
    asked, order = asked_of(before, after)
    renumber(connection, order)
    assert [one.operation for one in changes_of(connection, asked, 9, [changed])] == ["added", "changed", "removed"]
    unlike = next(name for name in names if name != changed)
    assert [one.operation for one in changes_of(connection, asked, 9, [unlike])] == ["added", "removed"]
    assert [one.operation for one in changes_of(connection, asked, 9, ["new"])] == ["added", "removed"]
