"""Messages of columns, byte for byte what a plain reading of the definition gives, over rows that nobody chose."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rowcast.definition import Field
from rowcast.errors import MessageInvalid
from rowcast.message import RunInfo, compile_message
from rowcast.models import Change, Row, from_json
from tests.unit.test_message import definition

NAMES = ("id", "a", "price", "n.a", "Ω", 'quote"d', "back\\slash")
EDGES = (
    10**20, -(2**63) - 1, 2**64, Decimal("59.90"), Decimal("-0.0"), Decimal("1E+22"), Decimal("1E-9"),
    Decimal("1234567890123456789012345678.901234567890"), "", "NaN", "-Infinity", "🙂", "\x00\x1f\x7f\u2028", "\ud800",
    "x\udc00y", '{"k": 1}',
)  # fmt: skip
numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(), max_size=8)
scalars = st.none() | st.booleans() | numbers | texts | st.sampled_from(EDGES)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
rows = st.dictionaries(st.sampled_from(NAMES), values, min_size=6)
fields = st.sampled_from(NAMES) | st.builds(
    Field, column=st.sampled_from(NAMES), when_null=st.sampled_from(("send", "omit"))
)  # fmt: skip


def sent(row: Row, **message: Any) -> bytes | None:
    """None: the row is refused."""
    return all_sent([row], **message)[0]


def all_sent(rows: Sequence[Row], **message: Any) -> list[bytes | None]:
    """By one and the same worker, row after row."""
    render = compile_message(definition(**message), RunInfo("r", 1763632800.0))

    def made(row: Row) -> bytes | None:
        try:
            return render(Change(operation="added", key=[1], key_hash="00", id="c", after=row))
        except MessageInvalid:
            return None

    return [made(row) for row in rows]


def written(value: Any) -> bytes | None:
    """As compact JSON by the standard library, with exact numbers; None when it has half a surrogate pair."""
    try:
        return _text(value).encode()
    except UnicodeEncodeError:
        return None


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(name)}:{_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


LONG = {"id": "x" * 100_000, "n.a": ["y" * 100] * 100}
REFUSED = {"id": "x" * 1000, "a": "\ud800"}


PARTS_LEFT_OUT = {
    "a.x": Field(column="a", when_null="omit"),
    "b": Field(column="a", when_null="omit"),
    "c.d.x": Field(column="a", when_null="omit"),
    "c.y": Field(value=1),
    'say "hi".x': Field(column="a", when_null="omit"),
}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(rows, max_size=4),
    st.sampled_from([{}, {"columns": {"a.x": "id", "b": "id"}}, {"columns": PARTS_LEFT_OUT}, {"column": "n.a"}]),
)
@example([], {})
@example([{"a": 1}, {"a": None}, {"a": 2}], {"columns": PARTS_LEFT_OUT})
@example([], {"columns": {"a.x": "id", "b": Field(column="a", when_null="omit")}})
@example([], {"column": "n.a"})
def test_a_message_keeps_nothing_of_those_before_it(some: list[Row], message: dict[str, Any]) -> None:
    given_rows = [{"id": 1, "a": None, "n.a": []}, LONG, REFUSED, {"id": 2, "a": 3, "n.a": {}}, *some, LONG, *some]
    made = all_sent(given_rows, **message)
    assert made == [sent(row, **message) for row in given_rows]
    assert all(type(one) is bytes for one in made if one is not None)


constants = st.builds(Field, value=values.filter(lambda value: written(value) is not None))
outputs = st.sampled_from(("id", "a.x", "a.y.z", "a.y.w", "b.c", "Ω", 'say "hi"', "back\\slash.x", "nul\x00"))
mappings = st.dictionaries(outputs, fields | constants, min_size=1)


def mapped(row: Row, columns: dict[str, str | Field]) -> dict[str, Any]:
    """The message as the reference says. Raises KeyError for a column that the row lacks."""
    given_fields = {name: Field(column=one) if isinstance(one, str) else one for name, one in columns.items()}
    found = {name: one.value if one.column is None else row[one.column] for name, one in given_fields.items()}
    message: dict[str, Any] = {}
    for name in sorted(found, key=lambda name: [list(columns).index(first) for first in _firsts(name, columns)]):
        if found[name] is None and given_fields[name].column is not None and given_fields[name].when_null == "omit":
            continue
        *path, last = name.split(".")
        inner = message
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = found[name]
    return message


def _firsts(name: str, columns: dict[str, str | Field]) -> list[str]:
    """For each part of the output name, the first output that has it: it gives the part its place."""
    parts = name.split(".")
    ways = [parts[: end + 1] for end in range(len(parts))]
    return [next(one for one in columns if one.split(".")[: len(way)] == way) for way in ways]


@settings(max_examples=150, deadline=None)
@given(rows)
def test_all_columns_are_written_as_they_are(row: Row) -> None:
    assert sent(row) == written(row)


@settings(max_examples=200, deadline=None)
@given(rows, mappings)
@example({"a": None}, {"a.x": Field(column="a", when_null="omit"), "a.y.z": "a"})
@example({"a": None}, {"a.x": Field(column="a", when_null="omit")})
@example({"a": None}, {"a.x": Field(column="a", when_null="omit"), "b.c": Field(value=Decimal("1.10"))})
def test_columns_are_written_as_they_are_mapped(row: Row, columns: dict[str, str | Field]) -> None:
    try:
        message = written(mapped(row, columns))
    except KeyError:
        message = None
    assert sent(row, columns=columns) == message


@settings(max_examples=150, deadline=None)
@given(values.filter(lambda value: not isinstance(value, str) and value is not None))
def test_a_json_column_is_written_as_it_is(value: Any) -> None:
    assert sent({"payload": value}, column="payload") == written(value)


def spaced(separators: tuple[str, str], ascii_only: bool, double: bool) -> Callable[[Any], str]:
    """Writes JSON in other ways than ours; `double`: every name stands twice, first with another value."""

    def write(value: Any) -> str:
        comma, colon = separators
        if isinstance(value, dict):
            pairs = [write(name) + colon + write(item) for name, item in value.items()]
            return "{" + comma.join([write(name) + colon + "[0]" for name in value if double] + pairs) + "}"
        if isinstance(value, list):
            return "[ " + comma.join(map(write, value)) + "\t]"
        return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=ascii_only)

    return write


separators = st.sampled_from([(",", ":"), (", ", ": "), ("\r\n\t,", " :")])


@settings(max_examples=200, deadline=None)
@given(values, st.builds(spaced, separators, st.booleans(), st.booleans()))
def test_a_column_of_json_text_is_written_compactly_with_the_last_of_equal_names(
    value: Any, write: Callable[[Any], str]
) -> None:
    text = write(value)
    assert sent({"payload": text}, column="payload") == written(value)


@pytest.mark.parametrize(("text", "expected"), [("-0", b"0"), ("1e5", b"1E+5"), ("1.50e1", b"15.0"), ('"\\/"', b'"/"')])
def test_numbers_and_escapes_in_json_text_are_written_in_one_way(text: str, expected: bytes) -> None:
    assert sent({"payload": text}, column="payload") == expected


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a":-Infinity}', "1e99999999999999999999", "[-1e-99999999999999999999]"]
)
def test_no_number_that_is_not_finite_is_ever_read(text: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        from_json(text)
