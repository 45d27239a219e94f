"""Proves that a template gives one JSON document whatever the row is, so that its text need not be parsed again.

The proof follows the template's own text through JSON's grammar, along every way that a row can take. Where the grammar
depends on more than it follows, it is given up: then the text is parsed for each row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rowcast.models import from_json, to_json

_SPACE = " \t\r\n"
_MARKS = "{}[]:,"
VALUE, FIRST_VALUE, KEY, FIRST_KEY, COLON, NEXT, END = "value", "value or ]", "key", "key or }", ":", ", or end", "end"
IN_VALUE, IN_KEY = "inside a text", "inside a key"
_MOST_STATES = 50


class Unproven(Exception):
    """The template may still give JSON."""


class State(NamedTuple):
    """Where in a document a place is. `open`: for each open object the keys that it may have, for each array None.
    `key`: what there is of the key that is being written."""

    open: tuple[frozenset[str] | None, ...] = ()
    expected: str = VALUE
    key: str = ""


START = frozenset({State()})
States = frozenset[State]


class Token(NamedTuple):
    """A mark of JSON, `"` for the begin or end of a string, `text` inside one, or a `value`. `text` is compact JSON."""

    kind: str
    text: str


def tokens(text: str, inside: bool) -> list[Token]:
    """The parts of a template's own text as compact JSON. `inside`: it begins inside a JSON string. Raises Unproven."""
    found: list[Token] = []
    index = 0
    while index < len(text):
        character = text[index]
        if inside and character != '"':
            end = _end_of_text(text, index)
            found.append(Token("text", _canonical(f'"{text[index:end]}"')[1:-1]))
        elif character == '"':
            inside = not inside
            end = index + 1
            found.append(Token('"', '"'))
        elif character in _MARKS:
            end = index + 1
            found.append(Token(character, character))
        elif character in _SPACE:
            end = index + 1
        else:
            end = index
            while end < len(text) and text[end] not in _MARKS + _SPACE + '"':
                end += 1
            found.append(Token("value", _canonical(text[index:end])))
        index = end
    return found


def _end_of_text(text: str, index: int) -> int:
    while index < len(text) and text[index] != '"':
        index += 2 if text[index] == "\\" else 1
    return index


def _canonical(text: str) -> str:
    try:
        return to_json(from_json(text)).decode()
    except (ValueError, ArithmeticError):
        raise Unproven from None


def follow(states: States, written: Iterable[Token]) -> States:
    for token in written:
        states = merged(_step(state, token) for state in states)
    return states


def merged(states: Iterable[State]) -> States:
    """States that differ in nothing but keys become one, whose objects may have all these keys."""
    found: dict[Any, State] = {}
    for state in states:
        alike = (state.expected, state.key, tuple(keys is None for keys in state.open))
        other = found.get(alike, state)
        keys = tuple(None if a is None or b is None else a | b for a, b in zip(state.open, other.open, strict=True))
        found[alike] = State(keys, state.expected, state.key)
    if len(found) > _MOST_STATES:
        raise Unproven
    return frozenset(found.values())


def _step(state: State, token: Token) -> State:
    after = _AFTER.get(token.kind)
    if token.kind in ("value", "text"):
        return _value(state) if token.kind == "value" else _text(state, token.text)
    if after is None or state.expected not in after:
        raise Unproven
    following: State = after[state.expected](state)
    return following


def _value(state: State) -> State:
    if state.expected not in (VALUE, FIRST_VALUE):
        raise Unproven
    return _ended(state.open)


def _text(state: State, text: str) -> State:
    if state.expected == IN_KEY:
        return state._replace(key=state.key + text)
    if state.expected != IN_VALUE:
        raise Unproven
    return state


def _ended(still_open: tuple[frozenset[str] | None, ...]) -> State:
    return State(still_open, NEXT if still_open else END)


def _key_ended(state: State) -> State:
    keys = state.open[-1]
    if keys is None or state.key in keys:  # the later of two equal keys would win
        raise Unproven
    return State((*state.open[:-1], keys | {state.key}), COLON)


def _opened(expected: str, keys: frozenset[str] | None) -> Any:
    return lambda state: State((*state.open, keys), expected)


def _closed(is_array: bool) -> Any:
    def close(state: State) -> State:
        if (state.open[-1] is None) != is_array:
            raise Unproven
        return _ended(state.open[:-1])

    return lambda state: close(state) if state.open else _refuse()


def _refuse() -> State:
    raise Unproven


def _next(state: State) -> State:
    return State(state.open, VALUE if state.open[-1] is None else KEY)


def _now(expected: str) -> Any:
    return lambda state: State(state.open, expected)


_OBJECT, _ARRAY = _opened(FIRST_KEY, frozenset()), _opened(FIRST_VALUE, None)
_AFTER: dict[str, dict[str, Any]] = {
    '"': {
        VALUE: _now(IN_VALUE),
        FIRST_VALUE: _now(IN_VALUE),
        KEY: _now(IN_KEY),
        FIRST_KEY: _now(IN_KEY),
        IN_VALUE: lambda state: _ended(state.open),
        IN_KEY: _key_ended,
    },
    "{": {VALUE: _OBJECT, FIRST_VALUE: _OBJECT},
    "[": {VALUE: _ARRAY, FIRST_VALUE: _ARRAY},
    "}": {FIRST_KEY: _closed(False), NEXT: _closed(False)},
    "]": {FIRST_VALUE: _closed(True), NEXT: _closed(True)},
    ",": {NEXT: _next},
    ":": {COLON: _now(VALUE)},
}


def hole(states: States, inside: bool) -> States:
    """A row's value: a whole JSON value, or text inside a string. Raises Unproven inside a key: it may repeat one."""
    if inside:
        if any(state.expected != IN_VALUE for state in states):
            raise Unproven
        return states
    return merged(_value(state) for state in states)
