"""How keys and rows are hashed: held to the description in `rowcast.hashes`, written a second time in Python."""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast import hashes
from rowcast.models import Column, ColumnType, short_hash

HALF = 2**63


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute("SET TimeZone = 'America/New_York'")
    return made


def sha(data: bytes) -> str:
    return str(uuid.UUID(hashlib.sha256(data).hexdigest()[:32]))


@dataclass(frozen=True)
class Kind:
    """A type of column. `sql`: makes the physical value of a parameter; `data`: its bytes in a hash; equal values are
    those of which `value` is equal."""

    type: ColumnType
    values: st.SearchStrategy[Any]
    sql: str
    data: Callable[[Any], bytes]
    value: Callable[[Any], Any] = lambda value: value


def digits(text: str) -> bytes:
    return bytes(byte + 1 for byte in text.encode()) + b"\0"


def escaped(data: bytes) -> bytes:
    return b"".join(b"\1" * (byte < 2) + bytes([byte]) for byte in data) + b"\0"


def double(value: float) -> bytes:
    if value != value:
        return b"\xff" * 8
    if value in (float("inf"), float("-inf")):
        return b"\xff" * 7 + b"\xfe" if value > 0 else b"\0" * 8
    [bits] = struct.unpack(">Q", struct.pack(">d", value + 0.0))
    return ((bits ^ 2**64 - 1) if bits & HALF else bits | HALF).to_bytes(8, "big")


def number(value: float) -> Any:
    return "NaN" if value != value else value + 0.0


def plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def micros(value: int) -> bytes:
    return (value + HALF).to_bytes(8, "big")


TEXTS = st.text(st.sampled_from("a\x00\x01\x02\x7f é😀A-1:nt") | st.characters(exclude_categories=["Cs"]), max_size=5)
FEW = st.integers(-2, 2)
BIG = st.integers(-(2**63), 2**63 - 1)
INSTANTS = st.integers(-(2**61), 2**61)
DECIMALS = st.decimals(places=3, min_value=-2, max_value=2).map(lambda value: f"{value if value else abs(value):f}")
INSTANT = "make_timestamp($::BIGINT)"
KINDS = [
    Kind("boolean", st.booleans(), "$::BOOLEAN", lambda value: bytes([value])),
    Kind("integer", FEW | BIG, "$::BIGINT", lambda value: digits(str(value))),
    Kind("decimal", DECIMALS, "$::VARCHAR", lambda text: digits(plain(text)), plain),
    Kind("decimal", DECIMALS, "$::DECIMAL(38, 9)", lambda text: digits(plain(text)), plain),
    Kind("decimal", st.sampled_from(["NaN", "Infinity", "-Infinity"]), "$::VARCHAR", digits),
    Kind("float", st.floats() | FEW.map(float), "$::DOUBLE", double, number),
    Kind("float", st.floats(width=32), "$::FLOAT", double, number),
    Kind("text", TEXTS, "$::VARCHAR", lambda text: escaped(text.encode())),
    Kind("text", TEXTS, "$::VARCHAR COLLATE NOCASE", lambda text: escaped(text.encode())),
    Kind("bytes", st.binary(max_size=5) | TEXTS.map(str.encode), "$::BLOB", escaped),
    Kind(
        "date", FEW | st.integers(-(10**6), 10**6), "DATE '1970-01-01' + $::INTEGER",
        lambda days: (days + 2**31).to_bytes(4, "big"),
    ),
    Kind("time", st.integers(0, 86_399_999_999), "CAST(make_timestamp($::BIGINT) AS TIME)", micros),
    Kind("timestamp", FEW | INSTANTS, INSTANT, micros),
    Kind("timestamptz", FEW | INSTANTS, f"timezone('UTC', {INSTANT})", micros),
    Kind("uuid", st.uuids().map(str), "$::UUID", lambda text: uuid.UUID(text).bytes),
    Kind("json", st.sampled_from(['[1.50,"a"]', "true", '{"a":null}']), "$::VARCHAR", lambda text: escaped(
        text.replace("1.50", "1.5").encode()
    )),
]  # fmt: skip


@dataclass(frozen=True)
class Cell:
    kind: Kind
    given: Any

    @property
    def data(self) -> bytes:
        return b"\1" if self.given is None else b"\2" + self.kind.data(self.given)


KEPT = st.sampled_from(KINDS).flatmap(lambda kind: (st.none() | kind.values).map(lambda value: Cell(kind, value)))
NAMES = "cab"


def made(connection: duckdb.DuckDBPyConnection, row: Sequence[Cell]) -> str:
    columns = [Column(name, cell.kind.type) for name, cell in zip(NAMES, row, strict=False)]
    values = ", ".join(
        f"{cell.kind.sql.replace('$', f'${number}')} AS {column.name}"
        for number, (cell, column) in enumerate(zip(row, columns, strict=True), start=1)
    )
    found = connection.execute(
        f"SELECT {hashes.fingerprint(columns, 't')}::VARCHAR FROM (SELECT {values}) AS t", [cell.given for cell in row]
    ).fetchone()
    assert found is not None
    return str(found[0])


def described(row: Sequence[Cell]) -> str:
    cells = [cell for _, cell in sorted(zip(NAMES, row, strict=False), key=lambda named: named[0])]
    return sha(b"".join(cell.data for cell in cells) + b"\2\0")


@settings(max_examples=400, deadline=None)
@given(row=st.lists(KEPT, min_size=1, max_size=3))
def test_a_fingerprint_is_over_the_bytes_that_are_described(
    connection: duckdb.DuckDBPyConnection, row: list[Cell]
) -> None:
    assert made(connection, row) == described(row)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Cell], list[Cell]]:
    """Two rows of the same columns, often with the same values in other cells."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    rows = [[Cell(kind, draw(st.none() | kind.values)) for kind in kinds] for _ in range(2)]
    for place in range(len(kinds)):
        if draw(st.booleans()):
            rows[1][place] = rows[0][place]
    return rows[0], rows[1]


@settings(max_examples=400, deadline=None)
@given(pairs())
def test_rows_have_one_fingerprint_if_their_values_are_equal_and_only_then(rows: tuple[list[Cell], list[Cell]]) -> None:
    values = [[None if cell.given is None else (cell.kind.value(cell.given),) for cell in row] for row in rows]
    assert (described(rows[0]) == described(rows[1])) is (values[0] == values[1])


ENDLESS = [
    ("date", "'infinity'::DATE", "ffffffff"), ("date", "'-infinity'::DATE", "00000001"),
    ("timestamp", "'infinity'::TIMESTAMP", "ff" * 8), ("timestamp", "'-infinity'::TIMESTAMP", "00" * 7 + "01"),
    ("timestamptz", "'infinity'::TIMESTAMPTZ", "ff" * 8), ("time", "TIME '24:00:00'", "800000141dd76000"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "data"), ENDLESS)
def test_the_outermost_times_have_bytes_of_their_own(
    connection: duckdb.DuckDBPyConnection, kind: ColumnType, value: str, data: str
) -> None:
    found = connection.execute(
        f"SELECT {hashes.fingerprint([Column('v', kind)])}::VARCHAR FROM (SELECT {value} AS v)"
    ).fetchone()
    assert found == (sha(bytes.fromhex(f"02{data}0200")),)


ROW = "SELECT 7::BIGINT AS a, '1.50' AS b, NULL::VARCHAR AS c, TIMESTAMPTZ '2026-01-31 10:00:00+00' AS d"
COLUMNS = [Column("b", "decimal"), Column("a", "integer"), Column("c", "text"), Column("d", "timestamptz")]


def test_hashes_of_a_release_stay_what_they_were(connection: duckdb.DuckDBPyConnection) -> None:
    row = connection.execute(
        f"SELECT {hashes.key_hash(COLUMNS[1:2])}::VARCHAR, {hashes.fingerprint(COLUMNS, recipe='1')}::VARCHAR,"
        f" {hashes.fingerprint(COLUMNS)}::VARCHAR FROM ({ROW})"
    ).fetchone()
    second = b"\x02" + b"8\0" + b"\x02" + b"2/6\0" + b"\x01" + b"\x02" + bytes.fromhex("800649ac2721e800") + b"\x02\0"
    assert row == (sha(b"2:n7"), sha(b"2:n74:n1.5-17:z1769853600000000"), sha(second))
    kinds = ("a", "number", "b", "number", "c", "text", "d", "timestamptz")
    assert hashes.fingerprint_schema(COLUMNS) == f"2:{short_hash(*kinds)}"


@pytest.mark.parametrize("recipe", ["1", "2"])
def test_a_fingerprint_does_not_depend_on_the_order_of_columns(
    connection: duckdb.DuckDBPyConnection, recipe: str
) -> None:
    one, other = (hashes.fingerprint(columns, recipe=recipe) for columns in (COLUMNS, COLUMNS[::-1]))
    assert connection.execute(f"SELECT {one} = {other} FROM ({ROW})").fetchone() == (True,)


def test_fingerprints_compare_where_names_and_kinds_are_the_same() -> None:
    schema = hashes.fingerprint_schema(COLUMNS)
    whole = [Column("b", "integer"), *COLUMNS[1:]]
    assert schema == hashes.fingerprint_schema(COLUMNS[::-1]) == hashes.fingerprint_schema(whole)
    others = [COLUMNS[:3], [Column("b", "float"), *COLUMNS[1:]], [Column("e", "decimal"), *COLUMNS[1:]]]
    assert schema not in [hashes.fingerprint_schema(other) for other in others]


@pytest.mark.parametrize(
    ("schema", "before", "recipe"), [("2:0", "integer", "2"), ("2:0", "float", "1"), ("1:0", "integer", "1")]
)
def test_rows_of_other_kinds_or_of_an_earlier_recipe_compare_by_their_texts(
    schema: str, before: ColumnType, recipe: str
) -> None:
    assert hashes.shared_recipe(schema, [Column("v", before)], [Column("v", "decimal")]) == recipe


@pytest.mark.parametrize("recipe", ["1", "2"])
def test_values_do_not_run_together_in_a_hash(connection: duckdb.DuckDBPyConnection, recipe: str) -> None:
    columns = [Column("a", "text"), Column("b", "text")]
    fingerprint, key_hash = hashes.fingerprint(columns, recipe=recipe), hashes.key_hash(columns)
    found = connection.execute(
        f"SELECT count(DISTINCT {fingerprint}), count(DISTINCT {key_hash}), count(*)"
        " FROM (VALUES ('ab', 'c'), ('a', 'bc'), ('', NULL), (NULL, ''), (NULL, NULL), ('', ''), ('1:tx', ''),"
        " ('-', NULL), (NULL, '-'), ('x2:ty', ''), (chr(0), chr(2)), (chr(0) || chr(2), ''), ('', chr(0) || chr(2)),"
        " (chr(1), ''), (chr(1) || chr(0), ''), (chr(1) || chr(0) || chr(2), ''), (chr(2) || chr(0), '')) AS t(a, b)"
    ).fetchone()
    assert found == (17, 17, 17)


@pytest.mark.parametrize("types", [["boolean"], ["date"], ["boolean", "date"]])
def test_few_short_values_are_hashed_as_bytes_too(
    connection: duckdb.DuckDBPyConnection, types: list[ColumnType]
) -> None:
    columns = [Column(f"c{number}", kind) for number, kind in enumerate(types)]
    values = ", ".join(f"NULL::{kind} AS c{number}" for number, kind in enumerate(types))
    found = connection.execute(f"SELECT {hashes.fingerprint(columns)}::VARCHAR FROM (SELECT {values})").fetchone()
    assert found == (sha(b"\1" * len(types) + b"\2\0"),)


def test_a_row_of_sixteen_hundred_columns_is_hashed(connection: duckdb.DuckDBPyConnection) -> None:
    columns = [Column(f"c{number:04}", "integer") for number in range(1600)]
    values = ", ".join(f"{number}::BIGINT AS c{number:04}" for number in range(1600))
    found = connection.execute(f"SELECT {hashes.fingerprint(columns)}::VARCHAR FROM (SELECT {values})").fetchone()
    assert found == (sha(b"".join(b"\2" + digits(str(number)) for number in range(1600)) + b"\2\0"),)
