"""How compiled templates write values: by the exact type, so that the frequent ones cost one look-up.

What is written is what `values` writes. `VALUES` goes further: its text stays the same when it is parsed and written
again, as the text of a template is that no proof was found for.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring as quoted  # escapes as `to_json` does, but lets half a surrogate pair pass
from typing import Any

from rowcast.message.values import MAX_DIGITS, to_text, write_quoted, write_text, write_value
from rowcast.models import from_json, to_json

Writer = Callable[[Any], str]


class Writers(dict[type, Writer]):
    """By type; other types, subclasses too, go to `other`."""

    def __init__(self, other: Writer, known: dict[type, Writer]) -> None:
        super().__init__(known)
        self.other = other

    def __missing__(self, kind: type) -> Writer:
        return self.other


def _reparsed(value: Any) -> str:
    return to_json(from_json(write_value(value))).decode()


def _decimal(value: Decimal) -> str:
    text = str(value)
    return text if value.is_finite() and len(text) < MAX_DIGITS and text != "-0" else _reparsed(value)


def _float(value: float) -> str:
    return repr(value) if 1e-4 <= value < 1e15 or -1e15 < value <= -1e-4 else _reparsed(value)


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _inside(value: str) -> str:
    return quoted(value)[1:-1]


VALUES = Writers(
    _reparsed,
    {
        str: quoted,
        int: int.__repr__,
        bool: _boolean,
        type(None): lambda _: "null",
        Decimal: _decimal,
        float: _float,
    },
)
LOOSE_VALUES = Writers(write_value, {})
WHOLE_STRINGS = Writers(
    lambda value: f'"{write_quoted(value)}"',
    {
        str: quoted,
        int: lambda value: f'"{value}"',
        bool: lambda value: '"true"' if value else '"false"',
        type(None): lambda _: '""',
        Decimal: lambda value: f'"{to_text(value)}"',
    },
)
INSIDE = Writers(
    write_quoted,
    {str: _inside, int: int.__repr__, bool: _boolean, type(None): lambda _: "", Decimal: to_text},
)
TEXTS = Writers(
    write_text,
    {str: str, int: int.__repr__, bool: _boolean, type(None): lambda _: "", Decimal: to_text},
)
