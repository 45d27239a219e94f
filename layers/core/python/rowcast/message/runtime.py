"""What compiled templates call. Whatever they cannot do as the interpreter does ends in an exception: then the
interpreter renders the row, and what it gives, or how it fails, is what counts."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from liquid.builtin.expressions.logical import _contains, _eq, _le, _lt
from liquid.context import RenderContext
from liquid.undefined import Undefined

from rowcast.message import nodes as limits
from rowcast.message.nodes import environment
from rowcast.message.numbers import to_integer
from rowcast.message.values import RowRefused
from rowcast.message.writers import INSIDE, LOOSE_VALUES, TEXTS, VALUES, WHOLE_STRINGS

MAX_TEXT = 1_000_000
"""Characters of a message, of a captured text, and of all that a message's loops write: what is longer is left to the
interpreter, whose own limits, counted otherwise, lie beyond."""
SHORT = 4096
"""Characters of a text that a filter is written out for in the code, where its work is not counted one by one."""
FILTER_COST = 2 * (20 + SHORT) * MAX_TEXT // (limits.MAX_WORK // 2)
UNDEFINED = Undefined("")
_GETTER: Any = SimpleNamespace(env=environment())


class GiveUp(Exception):
    """The interpreter must render this row."""


class Work:
    """What filters need of a render's context, with half of its work to spend."""

    __slots__ = ("now", "work")
    env = environment()

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.work = limits.MAX_WORK // 2

    def spend(self, value: Any) -> None:
        self.work -= 20 + (len(value) if isinstance(value, str | list | tuple | dict | range) else 0)
        if self.work < 0:
            raise GiveUp


def item(value: Any, key: Any) -> Any:
    """A part of a value, as the library finds it."""
    try:
        if type(value) is dict and key in value:
            return value[key]
        return RenderContext.get_item(_GETTER, value, key)
    except (KeyError, TypeError, IndexError):
        return UNDEFINED


def items(value: Any) -> Any:
    """What a loop goes over: something with a length and an order."""
    if isinstance(value, list | tuple | range):
        return value
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, Sequence):
        raise GiveUp
    return []


def sliced(found: Any, limit: Any, offset: Any, backwards: bool) -> Any:
    """As the library cuts: `limit` None or a number, where 0 is no limit when the offset is 0."""
    start = to_integer(offset) or 0
    stop = None if limit is None else (to_integer(limit) or 0) + start
    end = min(stop or len(found), len(found))
    if end < 0:
        raise GiveUp
    cut = list(found)[min(max(start, 0), len(found)) : end]
    return cut[::-1] if backwards else cut


def number_range(start: Any, stop: Any) -> range:
    first, last = to_integer(start) or 0, to_integer(stop) or 0
    if last - first > limits.MAX_ITERATIONS:
        raise GiveUp
    return range(first, last + 1) if first <= last else range(0)


def cycled(turns: dict[str, int], group: str, values: list[Any]) -> Any:
    turn = turns.setdefault(group, 0)
    turns[group] = (turn + 1) % len(values)
    return values[turn % len(values)]


def kept(value: Any, most: int) -> Any:
    """A variable's value, unless it alone is larger than its share of what variables may take."""
    if sys.getsizeof(value, 1) > most:
        raise GiveUp
    return value


def captured(parts: list[str]) -> str:
    return whole("".join(parts))


def whole(text: str) -> str:
    """Raises for a text that is too long, or holds half a surrogate pair, which the interpreter lets no text do."""
    if len(text) > MAX_TEXT:
        raise GiveUp
    if not text.isascii():
        text.encode()
    return text


NAMES: dict[str, Any] = {
    "__builtins__": {},
    **{"type": type, "str": str, "int": int, "len": len, "enumerate": enumerate, "range": range},
    **{"VALUES": VALUES, "LOOSE_VALUES": LOOSE_VALUES, "STRINGS": WHOLE_STRINGS, "INSIDE": INSIDE, "TEXTS": TEXTS},
    **{"GiveUp": GiveUp, "Work": Work, "Undefined": Undefined, "UNDEFINED": UNDEFINED, "RowRefused": RowRefused},
    **{"item": item, "items": items, "sliced": sliced, "number_range": number_range, "cycled": cycled},
    **{"kept": kept, "captured": captured, "eq": _eq, "lt": _lt, "le": _le, "contains": _contains},
}
"""All that compiled code can reach by name, but for its own constants: no builtins, no modules."""
