"""What JSON may hold so that whatever reads it further on can, and how to read what may hold more."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from rowcast.models import Row, from_json

T = TypeVar("T")

MOST_LEVELS = 200
"""Python reads JSON by recursion and stops at some hundreds, as many a receiver does."""

MOST_FOREIGN_LEVELS = 250
"""Of what others wrote, which may tell a row within: to search a level for masked values takes two of the thousand
calls that Python has in one another."""

MOST_CHARACTERS = 1_000
"""Of a number: Jackson takes no more (StreamReadConstraints), Python no integer of more than 4,300 digits."""

MOST_EXPONENT_DIGITS = 4
"""Of an exponent: Gson takes none of more (NumberLimits), Python's Decimal none of more than 18."""

UNREADABLE = (ValueError, ArithmeticError, RecursionError)
"""What reading JSON raises: it is malformed, no Unicode, or holds a number or levels that Python does not take."""

_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)


def read_foreign(data: bytes | str) -> Any:
    """JSON that others wrote, or code of theirs, as values. Raises one of `UNREADABLE`, also where the values could be
    read but lie too deep for what is done with them."""
    value = from_json(data)
    opened = data.count("[") + data.count("{") if isinstance(data, str) else data.count(b"[") + data.count(b"{")
    if opened > MOST_FOREIGN_LEVELS and _levels(value) > MOST_FOREIGN_LEVELS:
        raise RecursionError
    return value


def _levels(value: Any) -> int:
    level, depth = [value], 0
    while level := [item for one in level if isinstance(one, dict | list) for item in _items(one)]:
        depth += 1
    return depth


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def read_stored(decoder: msgspec.json.Decoder[T], data: bytes | str) -> T:
    """What the decoder makes of rows that were stored. A number that nothing can read, which arrived before there were
    bounds, becomes the text of its digits, as NaN is one."""
    try:
        return decoder.decode(data)
    except (msgspec.ValidationError, ArithmeticError):
        stored = data.encode() if isinstance(data, str) else data
        return decoder.decode(_TOKENS.sub(_readable, stored))


_rows = msgspec.json.Decoder(Row, float_hook=Decimal)


def read_row(text: str) -> Row:
    """A row of a snapshot."""
    return read_stored(_rows, text)


def _readable(token: re.Match[bytes]) -> bytes:
    try:
        from_json(token[0])
    except UNREADABLE:
        return b'"' + token[0] + b'"'
    return token[0]
