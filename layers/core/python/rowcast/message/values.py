"""How a value is written: as text, inside a JSON string, or as a JSON value of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from liquid.builtin.expressions import Nil
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.builtin.filters.array import _NULL
from liquid.exceptions import FilterArgumentError
from liquid.undefined import Undefined

from rowcast.models import to_json

MAX_DIGITS = 4000
_PLAIN_EXPONENT = 60


class RowRefused(FilterArgumentError):
    """The template cannot work on this row. The text is our own and holds no value of the row.

    Derived from the library's error so that it marks the filter's place in it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason, token=None)
        self.reason = reason


class JsonText(str):
    """Text that is JSON already, so that it is not quoted again outside quotes. String methods give plain text."""

    __slots__ = ()


def to_text(value: Any) -> str:
    """What a value reads as: null is empty, numbers are plain and exact, objects and arrays are JSON."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Undefined | Empty | Blank):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) <= _PLAIN_EXPONENT else str(value)
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    return to_json_text(value)


def to_json_text(value: Any) -> str:
    """The value as JSON; undefined is null."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RowRefused("a number that is not finite has no JSON form")
    try:
        return to_json(value).decode()
    except TypeError:
        return to_json(to_plain(value)).decode()


def to_plain(value: Any) -> Any:
    """The value with what only templates know replaced by JSON values."""
    if value is None or isinstance(value, int | float | Decimal):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Undefined | Nil) or value is _NULL:
        return None
    if isinstance(value, Empty | Blank):
        return ""
    if isinstance(value, dict):
        return {to_text(name): to_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [to_plain(item) for item in value]
    raise RowRefused("a loop's own object cannot be written" if isinstance(value, Mapping) else "not a JSON value")


def write_text(value: Any) -> str:
    """For captured text: nothing is escaped."""
    return to_text(value)


def write_quoted(value: Any) -> str:
    """For a place inside a JSON string."""
    return to_json(str(to_text(value))).decode()[1:-1]


def write_value(value: Any) -> str:
    """For a place outside JSON strings. The spaces keep it from running together with its neighbours."""
    return f" {value if isinstance(value, JsonText) else to_json_text(value)} "
