"""Messages made of columns, without a template."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from rowcast.definition import Field
from rowcast.errors import MessageInvalid
from rowcast.message.errors import TemplateError, json_problem
from rowcast.models import Change, Row, from_json, to_json
from rowcast.ports import Render

_N, _I = b"NI"
_nan, _infinity = re.compile(b"NaN").search, re.compile(b"Infinity").search


def all_columns(change: Change) -> bytes:
    """The whole row, in the order of its columns."""
    row = change.after
    return encode(change.row if row is None else row)


def from_columns(columns: dict[str, str | Field]) -> Render:
    """`columns`: output name to a column or a field; dots in the output name nest."""
    build = _builder(check_columns(columns))

    def render(change: Change) -> bytes:
        row = change.after
        if row is None:
            row = change.row
        try:
            message = build(row)
        except KeyError as error:
            name = error.args[0]
        else:
            return encode(message)
        raise MessageInvalid(f"The row has no column `{name}`: the message's `columns` names it.")

    return render


Tree = dict[str, "Field | Tree"]


def _builder(tree: Tree) -> Callable[[Row], Any]:
    """Makes of a row what encodes to the message, by one expression that holds names as literals alone: structs, which
    cost half of what dictionaries do. Raises KeyError for a column that the row has not."""
    known: dict[str, Any] = {"__builtins__": {}, "UNSET": msgspec.UNSET}
    code = _code(tree, known)[0]
    return eval(f"lambda row: {code}", known)  # type: ignore[no-any-return]  # noqa: S307


def _code(part: Field | Tree, known: dict[str, Any]) -> tuple[str, list[str]]:
    """The code, and the columns that must all be null for it to give UNSET; empty when it never does."""
    name = f"k{len(known)}"
    if isinstance(part, Field):
        if part.column is None:
            known[name] = msgspec.Raw(to_json(part.value))
            return name, []
        read = f"row[{part.column!r}]"
        if part.when_null == "send":
            return read, []
        return f"(UNSET if {read} is None else {read})", [part.column]
    known[name] = None
    parts = [_code(one, known) for one in part.values()]
    known[name] = _struct(list(part))
    made = f"{name}({', '.join(code for code, _ in parts)})"
    if not all(nulls for _, nulls in parts):
        return made, []
    nulls = [column for _, columns in parts for column in columns]
    return f"(UNSET if {' is '.join(f'row[{column!r}]' for column in nulls)} is None else {made})", nulls


def _struct(names: list[str]) -> Callable[..., Any]:
    """Makes an object of values, in this order of its names."""
    fields = [f"f{number}" for number in range(len(names))]
    try:
        return msgspec.defstruct(
            "Part", [(field, Any) for field in fields], rename=dict(zip(fields, names, strict=True))
        )
    except ValueError:  # msgspec takes no names that JSON would have to escape
        return lambda *values: {
            name: value for name, value in zip(names, values, strict=True) if value is not msgspec.UNSET
        }


def from_column(column: str) -> Render:
    """The column's value is the message: text that holds JSON, or what a JSON column gave."""

    def render(change: Change) -> bytes:
        if column not in change.row:
            raise MessageInvalid(f"The row has no column `{column}`: the message's `column` names it.")
        value = change.row[column]
        if value is None:
            raise MessageInvalid(f"The column `{column}`, which is to hold the message, is null.")
        if not isinstance(value, str):
            return encode(value)
        try:
            return to_json(from_json(value))
        except (ValueError, ArithmeticError, RecursionError) as error:
            problem = json_problem(error)
        raise MessageInvalid(f"The column `{column}` holds no JSON: {problem}.")

    return render


def check_columns(columns: dict[str, str | Field]) -> Tree:
    """The parts of the object by name. Raises TemplateError for output names that cannot stand in one object, whatever
    a row leaves out."""
    tree: Tree = {}
    for name, given in columns.items():
        path = tuple(name.split("."))
        if not all(path):
            raise TemplateError(f"the output name `{name}` has an empty part", 1, 1)
        if not _put(tree, path, Field(column=given) if isinstance(given, str) else given):
            raise TemplateError(f"the output name `{name}` excludes another one: it is a value and an object", 1, 1)
    if not columns:
        raise TemplateError("`columns` names no column", 1, 1)
    return tree


def _put(tree: Tree, path: tuple[str, ...], field: Field) -> bool:
    for part in path[:-1]:
        inner = tree.setdefault(part, {})
        if isinstance(inner, Field):
            return False
        tree = inner
    return tree.setdefault(path[-1], field) is field


def encode(value: Any) -> bytes:
    try:
        data = to_json(value)
        if (_N in data and _nan(data)) or (_I in data and _infinity(data)):
            from_json(data)  # a decimal that is no number encodes to what is no JSON; one letter is found much sooner
    except (ValueError, TypeError, RecursionError) as error:
        reason = "half a surrogate pair, which is no Unicode text" if isinstance(error, UnicodeError) else "no JSON"
    else:
        return data
    raise MessageInvalid(f"The row holds a value that cannot be written as JSON: {reason}.")
