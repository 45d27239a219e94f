"""When two rows that came as JSON are the same: the notion of `columns.canonical`, in Python."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rowcast.models import Row, short_hash, to_sorted_json

_PLACES = 400
_LONG = 10**_PLACES


def same_row(a: Row, b: Row, columns: Sequence[str]) -> bool:
    return all(same(a.get(name), b.get(name)) for name in columns)


def differing_columns(a: Row, b: Row, names: Sequence[str]) -> list[str]:
    return [name for name in names if not same(a.get(name), b.get(name))]


def row_hash(row: Row) -> str:
    """32 hex digits, equal for rows that are the same column by column."""
    return short_hash(to_sorted_json({name: _settled(value) for name, value in row.items()}))


def same(a: Any, b: Any) -> bool:
    """1, 1.0 and Decimal("1.00") are the same; True is no number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    return bool(_exact(a) == _exact(b))


def _exact(value: Any) -> Any:
    """A float as the decimal that its JSON text spells, not the binary fraction behind it."""
    if not isinstance(value, float | Decimal):
        return value
    if isinstance(value, float):
        value = Decimal(repr(value))
    return value if value.is_finite() else _name(value)


def _name(value: Decimal) -> str:
    return "NaN" if value.is_nan() else "Infinity" if value > 0 else "-Infinity"


def _settled(value: Any) -> Any:
    """The value with each number in the one spelling that all equal numbers share."""
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_settled(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _LONG:
        value = Decimal(value)
    number = _exact(value)
    return _shortest(number) if isinstance(number, Decimal) else number


def _shortest(number: Decimal) -> int | Decimal:
    """Without trailing zeros, at any precision; whole numbers as int unless that would be absurdly long."""
    if not number:
        return 0
    sign, digits, exponent = number.as_tuple()
    exponent = int(exponent)
    while len(digits) > 1 and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    if 0 <= exponent <= _PLACES:
        return int(Decimal((sign, digits, exponent)))
    return Decimal((sign, digits, exponent))
