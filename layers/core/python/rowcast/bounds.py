"""What JSON may hold so that whatever reads it further on can, and how to read what may hold more."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TypeVar

import msgspec

from rowcast.models import Row, from_json

T = TypeVar("T")

MOST_LEVELS = 200
"""Python reads JSON by recursion and stops at some hundreds, as many a receiver does."""

MOST_CHARACTERS = 1_000
"""Of a number: Jackson takes no more (StreamReadConstraints), Python no integer of more than 4,300 digits."""

MOST_EXPONENT_DIGITS = 4
"""Of an exponent: Gson takes none of more (NumberLimits), Python's Decimal none of more than 18."""

UNREADABLE = (ValueError, ArithmeticError, RecursionError)
"""What reading JSON raises: it is malformed, no Unicode, or holds a number or levels that Python does not take."""

_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)


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
