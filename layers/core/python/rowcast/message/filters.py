"""The filters of templates: Liquid's own, made exact and bounded, and those that Rowcast adds."""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import liquid.builtin.filters.array as arrays
import liquid.builtin.filters.string as strings
from liquid.filter import with_environment
from liquid.undefined import Undefined

from rowcast.message.dates import format_date
from rowcast.message.errors import json_problem
from rowcast.message.numbers import NUMBER_FILTERS, flat, parse_number, sum_, to_integer
from rowcast.message.values import JsonText, RowRefused, to_json_text, to_plain, to_text
from rowcast.models import from_json, to_sorted_json

MAX_TEXT = 10_000_000
MAX_HTML = 50_000
CASTS = ("number", "string", "boolean", "json")
_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")


class Filter:
    """A filter as the library calls it. Whatever goes wrong inside ends as RowRefused with a text of our own."""

    with_context = True

    def __init__(self, name: str, function: Callable[..., Any], prepare: Callable[[Any], Any]) -> None:
        self.name = name
        self.function = function
        self.prepare = prepare
        self.with_environment = getattr(function, "with_environment", False)
        self.parameters = inspect.signature(function)

    def __call__(self, left: Any, *args: Any, context: Any, **kwargs: Any) -> Any:
        context.spend(left)
        if self.with_environment:
            kwargs["environment"] = context.env
        if "now" in self.parameters.parameters:
            kwargs["now"] = context.now
        try:
            result = self.function(self.prepare(left), *(self._argument(arg) for arg in args), **kwargs)
            if isinstance(result, str) and len(result) > MAX_TEXT:
                _check_growth(left, result)
            context.spend(result)
            return result
        except RowRefused as error:
            reason = error.reason
        except RecursionError:
            reason = "a value is nested too deeply"
        except UnicodeError:
            reason = "a text is not valid Unicode or UTF-8"
        except Exception:  # of the library, with texts that may hold a row's value
            reason = "it cannot take this value"
        raise RowRefused(f"in the filter `{self.name}`, {reason}")

    def _argument(self, value: Any) -> Any:
        if self.prepare is not to_text or type(value) in (int, str) or isinstance(value, Undefined):
            return value
        return to_text(value)

    def check(self, arguments: int, names: list[str]) -> None:
        """Raises TypeError when it cannot be called with so many arguments and these names."""
        given: dict[str, None] = dict.fromkeys(names)
        if self.with_environment:
            given["environment"] = None
        if "now" in self.parameters.parameters:
            given["now"] = None
        self.parameters.bind(None, *[None] * arguments, **given)


def _as_is(value: Any) -> Any:
    return value


def _as_list(value: Any) -> Any:
    return [] if value is None or isinstance(value, Undefined) else value


def cast(value: Any, kind: Any) -> Any:
    """Null and undefined stay null, whatever they are cast to."""
    if kind not in CASTS:
        raise RowRefused(f"the kind must be one of {', '.join(CASTS)}")
    if value is None or isinstance(value, Undefined):
        return None
    return {"number": _cast_number, "string": to_text, "boolean": _cast_boolean, "json": parse_json}[kind](value)


def _cast_number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    number = parse_number(value) if isinstance(value, str) else value
    if number is None or isinstance(number, list | dict):
        raise RowRefused("the value is no number")
    return number


def _cast_boolean(value: Any) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    elif not isinstance(value, list | dict):
        return bool(value)
    raise RowRefused("the value is neither true nor false")


def parse_json(value: Any) -> Any:
    """Text is parsed; what is no text is a value already."""
    if not isinstance(value, str):
        return None if isinstance(value, Undefined) else value
    try:
        return from_json(str(value))  # of what `to_json` gave, the text alone
    except (ValueError, ArithmeticError, RecursionError) as error:
        reason = json_problem(error)
    raise RowRefused(f"the text is no JSON: {reason}")


def to_json_filter(value: Any) -> JsonText:
    return JsonText(to_json_text(str(value) if isinstance(value, JsonText) else value))


def join(items: Any, separator: Any = " ") -> str:
    texts = [to_text(item) for item in (items if isinstance(items, list | tuple | range) else [items])]
    between = to_text(separator)
    _check_length(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def map_(items: Any, name: Any) -> list[Any]:
    found = arrays.map_(items, name)
    return [to_plain(item) for item in found] if found is not None else []


def uniq(items: Any, name: Any = None) -> list[Any]:
    seen: dict[bytes, Any] = {}
    for item in flat(items if isinstance(items, list | tuple | range) else [items]):
        key = item if name is None else item.get(name) if isinstance(item, dict) else None
        seen.setdefault(to_sorted_json(to_plain(key)), item)
    return list(seen.values())


def replace(text: str, old: Any, new: Any = "") -> str:
    old, new = to_text(old), to_text(new)
    _check_length(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def slice_(value: Any, start: Any, length: Any = 1) -> Any:
    first, count = to_integer(start), 1 if isinstance(length, Undefined) else to_integer(length)
    if first is None or count is None:
        raise RowRefused("start and length must be numbers")
    return strings.slice_(value if isinstance(value, list | tuple | range) else to_text(value), first, count)


@with_environment
def strip_html(text: str, *, environment: Any) -> str:
    if len(text) > MAX_HTML:
        raise RowRefused(f"the text is longer than {MAX_HTML} characters")
    return strings.strip_html(text, environment=environment)  # type: ignore[no-any-return]


def _check_length(characters: int) -> None:
    if characters > MAX_TEXT:
        raise RowRefused(f"the result is longer than {MAX_TEXT} characters")


def _check_growth(left: Any, result: str) -> None:
    """A long text may pass through a filter; none may make one, or each of a chain would double it."""
    if not isinstance(left, str) or len(result) > len(left):
        _check_length(len(result))


def digest(text: str, *, algorithm: str) -> str:
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


def keyed_digest(text: str, key: Any, *, algorithm: str) -> str:
    return hmac.new(to_text(key).encode(), text.encode(), algorithm).hexdigest()


_HASHES = ("md5", "sha1", "sha256", "sha512")
_TEXT_FILTERS: dict[str, Callable[..., Any]] = {
    **{name: partial(digest, algorithm=name) for name in _HASHES},
    **{f"hmac_{name}": partial(keyed_digest, algorithm=name) for name in _HASHES},
    "replace": replace,
    "strip_html": strip_html,
}
_LIST_FILTERS: dict[str, Callable[..., Any]] = {"join": join, "map": map_, "uniq": uniq, "sum": sum_}
_VALUE_FILTERS: dict[str, Callable[..., Any]] = {
    **NUMBER_FILTERS,
    "cast": cast,
    "date": format_date,
    "json": to_json_filter,
    "parse_json": parse_json,
    "slice": slice_,
    "to_json": to_json_filter,
}
_LIQUID_LISTS = {
    *("compact", "concat", "find", "find_index", "has"),
    *("reject", "reverse", "sort", "sort_natural", "where"),
}
_LIQUID_VALUES = {"default", "first", "last", "size"}


def all_filters(standard: dict[str, Callable[..., Any]]) -> dict[str, Filter]:
    """`standard`: the library's filters by name. Those not replaced here keep their function."""
    filters = {}
    for name, function in standard.items():
        prepare = _as_list if name in _LIQUID_LISTS else _as_is if name in _LIQUID_VALUES else to_text
        filters[name] = Filter(name, function, prepare)
    for functions, prepare in ((_TEXT_FILTERS, to_text), (_LIST_FILTERS, _as_list), (_VALUE_FILTERS, _as_is)):
        filters |= {name: Filter(name, function, prepare) for name, function in functions.items()}
    return filters
