"""JSON text out of DuckDB values, exactly: DuckDB's own to_json rounds decimals and prints NaN."""

from __future__ import annotations

from collections.abc import Callable

from rowcast.models import ColumnType
from rowcast.sqltext import literal

STRING = r'"(?:[^"\\]|\\.)*"'
NUMBER_TOKENS = rf'(?s){STRING}|-?[0-9][0-9.eE+-]*|[^"0-9-]+'
"""Cuts JSON text into strings, numbers and the rest."""
_UNMARK = r'(?s)(")s((?:[^"\\]|\\.)*")|"n([^"]*)"'


def json_value(column_type: ColumnType, value: str) -> str:
    """VARCHAR: the JSON text of a value in its physical type; NULL for null."""
    return _JSON[column_type](value)


def json_canonical(text: str) -> str:
    """VARCHAR: any JSON text with its keys sorted and numbers as they are written; NULL for JSON's null.

    A VARIANT's objects are sorted and hold no key twice (the last one stays), but its numbers are doubles. So numbers
    travel through it as strings: strings are marked with an s inside the quotes, numbers with an n.
    """
    tokens = f"regexp_extract_all({text}, {literal(NUMBER_TOKENS)})"
    tagged = (
        f"array_to_string(list_transform({tokens}, lambda token:"
        f" CASE WHEN ascii(token) = 34 THEN '\"s' || substr(token, 2)"
        f" WHEN ascii(token) = 45 OR ascii(token) BETWEEN 48 AND 57 THEN '\"n' || token || '\"' ELSE token END), '')"
    )
    sorted_text = f"({tagged})::JSON::VARIANT::JSON::VARCHAR"
    plain = f"regexp_replace({sorted_text}, {literal(_UNMARK)}, '\\1\\2\\3', 'g')"
    return f"nullif({plain}, 'null')"


def _text(value: str) -> str:
    return f"to_json({value})::VARCHAR"


def _decimal(value: str) -> str:
    text = f"{value}::VARCHAR"
    return (
        f"CASE WHEN {text} IN ('NaN', 'Infinity', '-Infinity') THEN '\"' || {text} || '\"'"
        f" ELSE regexp_replace({text}, '^(-?)\\.', '\\10.') END"
    )


def _float(value: str) -> str:
    return (
        f"CASE WHEN isnan({value}) THEN '\"NaN\"'"
        f" WHEN isinf({value}) THEN CASE WHEN {value} > 0 THEN '\"Infinity\"' ELSE '\"-Infinity\"' END"
        f" ELSE {value}::VARCHAR END"
    )


def _time(value: str) -> str:
    text = f"{value}::VARCHAR"
    return f"'\"' || CASE WHEN length({text}) > 8 THEN rpad({text}, 15, '0') ELSE {text} END || '\"'"


def iso(value: str) -> str:
    """A TIMESTAMP as ISO 8601, with six digits of a second if it has a fraction."""
    return (
        f"CASE WHEN epoch_us({value}) % 1000000 = 0 THEN strftime({value}, '%Y-%m-%dT%H:%M:%S')"
        f" ELSE strftime({value}, '%Y-%m-%dT%H:%M:%S.%f') END"
    )


def _timestamptz(value: str) -> str:
    return f"'\"' || coalesce({iso(f'make_timestamp(epoch_us({value}))')} || 'Z', {value}::VARCHAR) || '\"'"


_JSON: dict[ColumnType, Callable[[str], str]] = {
    "boolean": lambda value: f"CASE WHEN {value} THEN 'true' WHEN NOT {value} THEN 'false' END",
    "integer": lambda value: f"{value}::VARCHAR",
    "decimal": _decimal,
    "float": _float,
    "text": _text,
    "bytes": lambda value: f"'\"' || base64({value}) || '\"'",
    "date": lambda value: f"'\"' || strftime({value}, '%Y-%m-%d') || '\"'",
    "time": _time,
    "timestamp": lambda value: f"'\"' || {iso(value)} || '\"'",
    "timestamptz": _timestamptz,
    "uuid": lambda value: f"'\"' || {value}::VARCHAR || '\"'",
    "json": lambda value: value,
}
