"""The canonical text of a value, as DuckDB SQL: equal values have equal text, different values different text.

The text begins with a tag, so that values of different kinds never meet; all numbers that are exact share one tag and
one spelling, so that 1, 1.0 and 1.00 are equal whatever column they lie in.
"""

from __future__ import annotations

from collections.abc import Callable

from rowcast.jsonsql import json_numbers_settled, plain_number
from rowcast.models import Column, ColumnType
from rowcast.sqltext import reference


def canonical(column: Column, table: str = "") -> str:
    """VARCHAR; NULL for null. `column` is in its physical type: see `rowcast.columns`."""
    return canonical_value(column.type, reference(column.name, table))


def canonical_value(column_type: ColumnType, value: str) -> str:
    return _CANONICAL[column_type](value)


def _integer(value: str) -> str:
    return f"('n' || {value}::VARCHAR)"


def _decimal(value: str) -> str:
    return f"('n' || {plain_number(f'{value}::VARCHAR')})"


def _float(value: str) -> str:
    double = f"{value}::DOUBLE"
    return (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN isnan({double}) THEN 'nNaN'"
        f" WHEN isinf({double}) THEN CASE WHEN {double} > 0 THEN 'nInfinity' ELSE 'n-Infinity' END"
        f" WHEN abs({double}) < 9007199254740992 AND trunc({double}) = {double}"
        f" THEN 'n' || TRY_CAST({double} AS BIGINT)::VARCHAR"
        f" ELSE 'f' || printf('%.17g', {double}) END"
    )


def _date(value: str) -> str:
    return f"('d' || CASE WHEN isinf({value}) THEN {value}::VARCHAR ELSE ({value} - DATE '1970-01-01')::VARCHAR END)"


def _instant(tag: str) -> Callable[[str], str]:
    return lambda value: f"('{tag}' || coalesce(epoch_us({value})::VARCHAR, {value}::VARCHAR))"


_CANONICAL: dict[ColumnType, Callable[[str], str]] = {
    "boolean": lambda value: f"('b' || {value}::INTEGER::VARCHAR)",
    "integer": _integer,
    "decimal": _decimal,
    "float": _float,
    "text": lambda value: f"('t' || {value})",
    "bytes": lambda value: f"('x' || hex({value}))",
    "date": _date,
    "time": lambda value: f"('h' || epoch_us({value})::VARCHAR)",
    "timestamp": _instant("s"),
    "timestamptz": _instant("z"),
    "uuid": lambda value: f"('u' || {value}::VARCHAR)",
    "json": lambda value: f"('j' || {json_numbers_settled(value)})",
}
