"""Which values are the same: one row of many columns, before and after, of which the run tells those that differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from rowcast.definition import Guard
from tests.data.files import files_world

DIGITS = "1234567890123456789012345678901234567890"
E_ACUTE, E_AND_ACUTE = "'caf' || chr(233)", "'cafe' || chr(769)"

SAME = {
    "NaN and NaN": ("'NaN'::DOUBLE", "'NaN'::DOUBLE"),
    "NaN in another precision": ("'NaN'::DOUBLE", "'NaN'::FLOAT"),
    "Infinity": ("'Infinity'::DOUBLE", "'Infinity'::FLOAT"),
    "0.0 and -0.0": ("0.0::DOUBLE", "'-0.0'::DOUBLE"),
    "1 and 1.0": ("1::BIGINT", "1.0::DOUBLE"),
    "1 and 1.00": ("1::BIGINT", "1.00::DECIMAL(9, 2)"),
    "1.0 and 1.00": ("1.0::DECIMAL(9, 1)", "1.00::DECIMAL(9, 2)"),
    "2^63 as an integer and as a decimal": ("9223372036854775808::UBIGINT", "9223372036854775808::DECIMAL(20, 0)"),
    "40 digits": (f"""'{{"n": {DIGITS}}}'::JSON""", f"""'{{"n": {DIGITS}.0}}'::JSON"""),
    "one instant in two zones": ("'2026-01-31 10:00:00+02'::TIMESTAMPTZ", "'2026-01-31 03:00:00-05'::TIMESTAMPTZ"),
    "JSON with its keys in another order": ("""'{"a": 1, "b": [2]}'::JSON""", """'{"b":[2],"a":1}'::JSON"""),
    "JSON with a number spelled otherwise": ("""'{"a": 1.0}'::JSON""", """'{"a": 10e-1}'::JSON"""),
    "null and null of another type": ("NULL::VARCHAR", "NULL::BIGINT"),
}
DIFFERENT = {
    "Infinity and -Infinity": ("'Infinity'::DOUBLE", "'-Infinity'::DOUBLE"),
    "NaN and null": ("'NaN'::DOUBLE", "NULL::DOUBLE"),
    "NaN and the text NaN": ("'NaN'::DOUBLE", "'NaN'"),
    "1 and true": ("1::BIGINT", "true"),
    "1 and the text 1": ("1::BIGINT", "'1'"),
    "2^63 and 2^63 - 1": ("9223372036854775808::UBIGINT", "9223372036854775807::UBIGINT"),
    "neighbours beyond 2^53": ("9007199254740993::BIGINT", "9007199254740992::BIGINT"),
    "40 digits but for the last": (f"'[{DIGITS}]'::JSON", f"'[{DIGITS[:-1]}1]'::JSON"),
    "a time with and without zone": ("'2026-01-31 10:00:00'::TIMESTAMP", "'2026-01-31 10:00:00+00'::TIMESTAMPTZ"),
    "a time in the gap of daylight saving and the hour after": (
        "'2026-03-29 02:30:00'::TIMESTAMP",
        "'2026-03-29 03:30:00'::TIMESTAMP",
    ),
    "a date and its midnight": ("'2026-01-31'::DATE", "'2026-01-31 00:00:00'::TIMESTAMP"),
    "JSON with its items in another order": ("'[1, 2]'::JSON", "'[2, 1]'::JSON"),
    "JSON's null and no member": ("""'{"a": null}'::JSON""", "'{}'::JSON"),
    "NFC and NFD": (E_ACUTE, E_AND_ACUTE),
    "texts that differ after a zero byte": ("'a' || chr(0) || 'b'", "'a' || chr(0) || 'c'"),
    "a text and the same with a zero byte": ("'a'", "'a' || chr(0)"),
    "the empty text and null": ("''", "NULL::VARCHAR"),
    "the empty text and a space": ("''", "' '"),
    "upper and lower case": ("'A'", "'a'"),
}


def quoted(name: str) -> str:
    return '"' + name + '"'


@pytest.fixture(scope="module")
def differing(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The columns that a run says changed, when every one of `SAME` and `DIFFERENT` goes from its first value to its
    second."""
    cases = SAME | DIFFERENT
    rows = [", ".join(f"{pair[side]} AS {quoted(name)}" for name, pair in cases.items()) for side in (0, 1)]
    guard = Guard(allow_retyped=True)
    with files_world(tmp_path_factory.mktemp("values"), guard=guard) as world:
        world.run_with(f"SELECT 1 AS id, {rows[0]}")
        world.sent_changes()
        assert world.run_with(f"SELECT 1 AS id, {rows[1]}")["status"] == "completed"
        [change] = world.sent_changes()
        return set(change.columns)


@pytest.mark.parametrize("case", SAME)
def test_these_values_are_the_same(differing: set[str], case: str) -> None:
    assert case not in differing


@pytest.mark.parametrize("case", DIFFERENT)
def test_these_values_are_different(differing: set[str], case: str) -> None:
    assert case in differing


IN_MESSAGES = {
    "'NaN'::DOUBLE": '"NaN"',
    "'-Infinity'::DOUBLE": '"-Infinity"',
    "9223372036854775808::UBIGINT": "9223372036854775808",
    "1.00::DECIMAL(9, 2)": "1.00",
    f"'[{DIGITS}]'::JSON": f"[{DIGITS}]",
    f"'{DIGITS}'": f'"{DIGITS}"',
    "'2026-01-31 10:00:00+02'::TIMESTAMPTZ": '"2026-01-31T08:00:00Z"',
    "'2026-03-29 02:30:00'::TIMESTAMP": '"2026-03-29T02:30:00"',
    "'a' || chr(0) || 'b'": r'"a\u0000b"',
    """'{"b": "\\u0000", "a": 1}'::JSON""": r'{"a":1,"b":"\u0000"}',
    "''": '""',
    "NULL::VARCHAR": "null",
    E_AND_ACUTE: '"cafe\u0301"',
    "'it''s \"so\" \\ 😀'": r'"it' + "'" + r's \"so\" \\ 😀"',
}


@pytest.fixture(scope="module")
def message(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The message of a row of all of `IN_MESSAGES`."""
    columns = ", ".join(f"{value} AS c{index}" for index, value in enumerate(IN_MESSAGES))
    with files_world(tmp_path_factory.mktemp("message")) as world:
        world.run_with(f"SELECT 1 AS id, {columns}")
        [body] = world.bodies()
        return body


@pytest.mark.parametrize("value", IN_MESSAGES)
def test_a_value_arrives_exactly_in_the_message(message: str, value: str) -> None:
    index = list(IN_MESSAGES).index(value)
    assert f'"c{index}":{IN_MESSAGES[value]}' + ("," if index + 1 < len(IN_MESSAGES) else "}") in message


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a lone surrogate in JSON": (r"""{"id": 1, "v": {"a": "\ud800"}}""", "InvalidInput"),
    "bytes that are no UTF-8": (b'{"id": 1, "v": "\xed\xa0\x80"}', "InvalidInput"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_text_that_is_no_unicode_stops_the_run_before_anything_is_sent(tmp_path: Path, case: str) -> None:
    body, kind = REFUSED[case]
    with files_world(tmp_path) as world:
        world.folder.put("orders.jsonl", body)
        summary = world.run()
        assert summary["status"] == "failed"
        assert kind in summary["reason"]
        assert world.sent() == []
