"""When values are equal, how rows are hashed, and rows as JSON: the type system, asked of DuckDB itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from rowcast import columns as sql
from rowcast.models import Column, ColumnType, from_json


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute("SET TimeZone = 'America/New_York'")
    return made


def canonical(connection: duckdb.DuckDBPyConnection, kind: ColumnType, value: str) -> str | None:
    expression = sql.canonical(Column("v", kind), "t")
    row = connection.execute(f"SELECT {expression} FROM (SELECT {value} AS v) AS t").fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


EQUAL = [
    [("integer", "1::BIGINT"), ("decimal", "1.0::DECIMAL(9,1)"), ("decimal", "'1.00'"), ("float", "1::DOUBLE"),
     ("float", "1::FLOAT")],
    [("integer", "0::BIGINT"), ("decimal", "'-0.00'"), ("float", "'-0.0'::DOUBLE"), ("decimal", "0::DECIMAL(4,4)")],
    [("decimal", "'0.5'"), ("decimal", "0.5::DECIMAL(1,1)"), ("decimal", "0.50::DECIMAL(9,2)")],
    [("decimal", "'-0.5'"), ("decimal", "-0.5::DECIMAL(1,1)")],
    [("integer", "100::BIGINT"), ("decimal", "'100.000'"), ("float", "1e2::DOUBLE")],
    [("float", "0.1::FLOAT"), ("float", "0.1::FLOAT::DOUBLE")],
    [("float", "'nan'::DOUBLE"), ("float", "-('nan'::FLOAT)"), ("decimal", "'NaN'")],
    [("float", "'inf'::DOUBLE"), ("decimal", "'Infinity'")],
    [("timestamptz", "TIMESTAMPTZ '2026-01-31 10:00:00+02'"), ("timestamptz", "TIMESTAMPTZ '2026-01-31 08:00:00+00'")],
    [("json", """'{"a":1.0,"b":[100,"1.0"]}'"""), ("json", """'{"a":1.000,"b":[1e2,"1.0"]}'""")],
    [("json", "'[0.00001]'"), ("json", "'[1E-5]'"), ("json", "'[0.10e-4]'")],
    [("json", "'[-0.0]'"), ("json", "'[0]'"), ("json", "'[0e5]'")],
]  # fmt: skip
DIFFERENT = [
    ("boolean", "true"), ("boolean", "false"), ("integer", "1::BIGINT"), ("text", "'1'"), ("text", "'true'"),
    ("integer", "9007199254740993::BIGINT"), ("float", "9007199254740992::DOUBLE"), ("float", "0.1::DOUBLE"),
    ("float", "0.1::FLOAT"), ("decimal", "'-1'"), ("decimal", "'10'"), ("decimal", "'0.01'"), ("text", "''"),
    ("text", "'é'"), ("text", "'e' || chr(769)"), ("text", "'n1'"), ("bytes", "'1'::BLOB"), ("bytes", "''::BLOB"),
    ("date", "DATE '2026-01-31'"), ("timestamp", "TIMESTAMP '2026-01-31'"),
    ("timestamptz", "TIMESTAMPTZ '2026-01-31 00:00:00+00'"), ("date", "'infinity'::DATE"),
    ("date", "'-infinity'::DATE"),
    ("timestamp", "'infinity'::TIMESTAMP"), ("timestamptz", "'infinity'::TIMESTAMPTZ"), ("time", "TIME '00:00:00'"),
    ("time", "TIME '24:00:00'"), ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID"),
    ("text", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"), ("json", "'1'"), ("json", "'true'"), ("json", "'\"1\"'"),
    ("json", "'[1.5,\"1.50\"]'"), ("json", "'[1.5,\"1.5\"]'"), ("float", "1e22::DOUBLE"),
]  # fmt: skip


@pytest.mark.parametrize("group", EQUAL)
def test_equal_values_have_one_canonical_text(
    connection: duckdb.DuckDBPyConnection, group: Sequence[tuple[ColumnType, str]]
) -> None:
    assert len({canonical(connection, kind, value) for kind, value in group}) == 1


def test_different_values_have_different_canonical_texts(connection: duckdb.DuckDBPyConnection) -> None:
    texts = [canonical(connection, kind, value) for kind, value in DIFFERENT]  # type: ignore[arg-type]
    assert len(set(texts)) == len(DIFFERENT)


def test_null_has_no_canonical_text(connection: duckdb.DuckDBPyConnection) -> None:
    kinds: list[tuple[ColumnType, str]] = [
        ("boolean", "BOOLEAN"), ("integer", "BIGINT"), ("decimal", "VARCHAR"), ("decimal", "DECIMAL(9,2)"),
        ("float", "DOUBLE"), ("text", "VARCHAR"), ("bytes", "BLOB"), ("date", "DATE"), ("time", "TIME"),
        ("timestamp", "TIMESTAMP"), ("timestamptz", "TIMESTAMPTZ"), ("uuid", "UUID"), ("json", "VARCHAR"),
    ]  # fmt: skip
    assert [canonical(connection, kind, f"NULL::{physical}") for kind, physical in kinds] == [None] * len(kinds)


def test_a_row_as_json_is_exact(connection: duckdb.DuckDBPyConnection) -> None:
    values: list[tuple[str, ColumnType, str, str]] = [
        ("flag", "boolean", "true", "true"),
        ("big", "integer", "9223372036854775807", "9223372036854775807"),
        ("money", "decimal", "12.50::DECIMAL(9,2)", "12.50"),
        (
            "huge",
            "decimal",
            "'123456789012345678901234567890123456789012.10'",
            "123456789012345678901234567890123456789012.10",
        ),
        ("none", "decimal", "'NaN'", '"NaN"'),
        ("small", "decimal", "'-Infinity'", '"-Infinity"'),
        ("third", "float", "1/3::DOUBLE", "0.3333333333333333"),
        ("single", "float", "0.1::FLOAT", "0.1"),
        ("nan", "float", "'nan'::DOUBLE", '"NaN"'),
        ("inf", "float", "'-inf'::FLOAT", '"-Infinity"'),
        ("text", "text", "'\"\\' || chr(0) || chr(31) || chr(10) || '😀/é'", '"\\"\\\\\\u0000\\u001F\\n😀/é"'),
        ("data", "bytes", "'\\x00\\xFF'::BLOB", '"AP8="'),
        ("day", "date", "DATE '0001-02-03'", '"0001-02-03"'),
        ("late", "date", "DATE '12026-02-03'", '"12026-02-03"'),
        ("never", "date", "'infinity'::DATE", '"infinity"'),
        ("hour", "time", "TIME '10:00:00'", '"10:00:00"'),
        ("part", "time", "TIME '10:00:00.12'", '"10:00:00.120000"'),
        ("at", "timestamp", "TIMESTAMP '1969-12-31 23:59:59.5'", '"1969-12-31T23:59:59.500000"'),
        ("on", "timestamptz", "TIMESTAMPTZ '2026-01-31 10:00:00+02'", '"2026-01-31T08:00:00Z"'),
        ("always", "timestamptz", "'-infinity'::TIMESTAMPTZ", '"-infinity"'),
        ("id", "uuid", "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
        ("json", "json", "'{\"a\":[1.10]}'", '{"a":[1.10]}'),
        ("a \"b\" 'c' 😀", "text", "NULL::VARCHAR", "null"),
    ]
    columns = [Column(name, kind) for name, kind, _, _ in values]
    row = connection.execute(
        f"SELECT {sql.row_json(columns, 't')} FROM"
        f" (SELECT {', '.join(f'{value} AS {sql.quote(name)}' for name, _, value, _ in values)}) AS t"
    ).fetchone()
    assert row is not None
    assert (
        row[0] == "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{text}" for name, _, _, text in values) + "}"
    )
    assert list(from_json(row[0])) == [name for name, _, _, _ in values]


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        (("integer", "1::BIGINT"), ("decimal", "1.00::DECIMAL(9,2)"), False),
        (("integer", "1::BIGINT"), ("text", "'1'"), True),
        (("text", "'a'"), ("text", "'b'"), True),
        (("text", "'c'"), ("text", "NULL::VARCHAR"), True),
        (("text", "NULL::VARCHAR"), ("text", "NULL::VARCHAR"), False),
        (("decimal", "0.50::DECIMAL(9,2)"), ("decimal", "0.5::DECIMAL(9,1)"), False),
        (("decimal", "'-0.0'"), ("decimal", "'0'"), False),
        (("decimal", "'-.50'"), ("decimal", "'-0.5'"), False),
        (("decimal", "'-.5'"), ("decimal", "'.5'"), True),
        (("decimal", "'100'"), ("decimal", "'1'"), True),
        (("decimal", "'NaN'"), ("decimal", "'0'"), True),
        (("decimal", "'-Infinity'"), ("decimal", "'Infinity'"), True),
        (("decimal", "NULL::VARCHAR"), ("decimal", "'0'"), True),
        (("json", "'[1.50]'"), ("json", "'[15e-1]'"), False),
        (("json", "NULL::VARCHAR"), ("json", "'[1]'"), True),
        (("float", "0.0::DOUBLE"), ("float", "-0.0::DOUBLE"), False),
    ],
)
def test_values_differ_by_what_they_are_whatever_their_columns_types(
    connection: duckdb.DuckDBPyConnection, before: Any, after: Any, differ: bool
) -> None:
    row = connection.execute(
        f"SELECT {sql.differs(Column('v', before[0]), Column('v', after[0]), 'o', 'n')}"
        f" FROM (SELECT {before[1]} AS v) AS o, (SELECT {after[1]} AS v) AS n"
    ).fetchone()
    assert row == (differ,)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, Decimal("1.00"), True),
        (1.0, Decimal("1.00"), True),
        (0.1, Decimal("0.10"), True),
        (-0.0, 0, True),
        (float("nan"), "NaN", True),
        (True, 1, False),
        (False, 0, False),
        (None, 0, False),
        (None, None, True),
        ("1", 1, False),
        ({"a": [1, {"b": Decimal("2.0")}]}, {"a": [Decimal("1.0"), {"b": 2}]}, True),
        ({"a": [True]}, {"a": [1]}, False),
        ([1, 2], [2, 1], False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ("é", "e\u0301", False),
        (Decimal("1E+500"), 10**500, True),
        (Decimal("1.5"), Decimal("1.50000000000000000000000000000000000000001"), False),
        (12345678901234567890123456789012345678901, Decimal("12345678901234567890123456789012345678901.0"), True),
    ],
)
def test_rows_from_json_are_equal_as_in_sql(a: Any, b: Any, equal: bool) -> None:
    one, other = {"v": a, "k": 1}, {"k": 1, "v": b}
    assert sql.same_row(one, other, ["k", "v"]) is equal
    assert sql.differing_columns(one, other, ["k", "v"]) == ([] if equal else ["v"])
    assert (sql.row_hash(one) == sql.row_hash(other)) is equal
