"""SQL's and Python's notions of equality are one, over values that nobody chose."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast import columns as sql
from rowcast.jsonsql import json_canonical
from rowcast.models import Column, from_json, to_json, to_sorted_json

COLUMNS = (
    Column("n", "decimal"), Column("f", "float"), Column("t", "text"), Column("b", "boolean"), Column("j", "json"),
)  # fmt: skip
PHYSICAL = ("VARCHAR", "DOUBLE", "VARCHAR", "BOOLEAN", "VARCHAR")

numbers = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-3, max_value=3).map(
    lambda d: f"{d:f}"
)
spelled = st.one_of(
    numbers,
    numbers.map(lambda text: text.rstrip("0").rstrip(".")),
    numbers.map(lambda text: text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else f"{text}000"),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "0", "-0", "-0.0", "100", "10", "1"]),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
json_numbers = st.sampled_from(
    ["0", "-0", "-0.0", "1", "1.0", "10e-1", "1E2", "100", "1.50", "15e-1", "12345678901234567890.10"]
)
json_texts = st.recursive(
    st.one_of(st.sampled_from(["null", "true", "false"]), json_numbers, texts.map(lambda text: to_json(text).decode())),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[ {' , '.join(items)}]"),
        st.dictionaries(texts, inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{json.dumps(key)} : {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=6,
)
rows = st.tuples(
    st.none() | spelled,
    st.none() | st.floats() | st.integers(-3, 3).map(float),
    st.none() | texts,
    st.none() | st.booleans(),
    st.none() | json_texts,
)
_connection = duckdb.connect()


def _select(side: str) -> str:
    given_row = ", ".join(
        f"${side}{column.name}::{kind} AS {column.name}" for column, kind in zip(COLUMNS, PHYSICAL, strict=True)
    )
    return f"(SELECT * REPLACE ({json_canonical('j')} AS j) FROM (SELECT {given_row})) AS {side}"


QUERY = (
    f"SELECT [{', '.join(sql.differs(column, column, 'x', 'y') for column in COLUMNS)}], {sql.row_json(COLUMNS, 'x')},"
    f" {sql.row_json(COLUMNS, 'y')},"
    f" {sql.fingerprint(COLUMNS, 'x')} = {sql.fingerprint(COLUMNS, 'y')} FROM {_select('x')}, {_select('y')}"
)


@settings(max_examples=50, deadline=None)
@given(rows, rows, st.sets(st.sampled_from([column.name for column in COLUMNS])))
def test_rows_that_differ_in_sql_differ_as_json_and_in_the_same_columns(a: Any, b: Any, shared: set[str]) -> None:
    b = tuple(x if column.name in shared else y for column, x, y in zip(COLUMNS, a, b, strict=True))
    values = {f"{side}{c.name}": v for side, row in (("x", a), ("y", b)) for c, v in zip(COLUMNS, row, strict=True)}
    found = _connection.execute(QUERY, values).fetchone()
    assert found is not None
    one, other = from_json(found[1]), from_json(found[2])
    names = [column.name for column in COLUMNS]
    differing = [name for name, differs in zip(names, found[0], strict=True) if differs]
    assert sql.differing_columns(one, other, names) == differing
    assert sql.same_row(one, other, names) is (not differing)
    assert (sql.row_hash(one) == sql.row_hash(other)) is (not differing)
    assert found[3] is (not differing)


@settings(max_examples=150, deadline=None)
@given(json_texts)
def test_canonical_json_is_the_sorted_json_of_python(text: str) -> None:
    found = _connection.execute(f"SELECT {json_canonical('$1::VARCHAR')}", [text]).fetchone()
    assert found is not None
    value = from_json(text)
    if value is None:
        assert found[0] is None
        return
    assert from_json(found[0]) == value
    assert to_sorted_json(from_json(found[0])) == to_sorted_json(value)
    assert _keys(found[0]) == _keys(to_sorted_json(value).decode())


def _keys(text: str) -> list[list[str]]:
    """The keys of each object, in the order that they are written."""
    found: list[list[str]] = []
    json.loads(text, parse_float=Decimal, object_pairs_hook=lambda pairs: found.append([key for key, _ in pairs]))
    return found
