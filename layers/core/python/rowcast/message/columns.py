"""Messages made of columns, without a template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rowcast.definition import Field
from rowcast.errors import MessageInvalid
from rowcast.message.errors import TemplateError, json_problem
from rowcast.models import Change, from_json, put_json, to_json
from rowcast.ports import Render


def all_columns() -> Render:
    """The whole row, in the order of its columns."""
    return _render("row", {})


def from_columns(columns: dict[str, str | Field]) -> Render:
    """`columns`: output name to a column or a field; dots in the output name nest."""
    known: dict[str, Any] = {}
    code, _ = _object(check_columns(columns), known)
    return _render(code, known)


# One function, since a call costs a tenth of what a row of ten columns does. A buffer that stays saves as much again:
# `to_json` begins with a small one for each row.
_SOURCE = """
def render(change):
    row = change.after
    if row is None:
        row = change.row
    try:
        put_json({message}, buffer)
        return b"" + buffer
    except REFUSED as error:
        refusal = refusal_of(error)
    raise refusal
"""


def _render(message: str, known: dict[str, Any]) -> Render:
    """`message`: code for what encodes to the message of `row`, with names as literals alone."""
    known |= {"__builtins__": {}, "UNSET": msgspec.UNSET}
    known |= {"put_json": put_json, "buffer": bytearray(), "REFUSED": (KeyError, *_NO_JSON), "refusal_of": _refusal}
    exec(_SOURCE.format(message=message), known)  # noqa: S102
    return known["render"]  # type: ignore[no-any-return]


Tree = dict[str, "Field | Tree"]


def _code(part: Field | Tree, known: dict[str, Any]) -> tuple[str, list[str]]:
    """The code, and the columns that must all be null for it to give UNSET; empty when it never does."""
    if isinstance(part, dict):
        made, nulls = _object(part, known)
        return (_unless(nulls, made) if nulls else made), nulls
    if part.column is None:
        name = f"k{len(known)}"
        known[name] = msgspec.Raw(to_json(part.value))
        return name, []
    read = f"row[{part.column!r}]"
    return (read, []) if part.when_null == "send" else (_unless([part.column], read), [part.column])


def _object(tree: Tree, known: dict[str, Any]) -> tuple[str, list[str]]:
    """The code of an object, and the columns that must all be null for it to be empty; none when it never is. It makes
    structs: they take half the time that dictionaries do."""
    name = f"k{len(known)}"
    known[name] = _struct(list(tree))
    parts = [_code(one, known) for one in tree.values()]
    nulls = [column for _, columns in parts for column in columns]
    return f"{name}({', '.join(code for code, _ in parts)})", nulls if all(columns for _, columns in parts) else []


def _unless(nulls: list[str], made: str) -> str:
    return f"(UNSET if {' is '.join(f'row[{column!r}]' for column in nulls)} is None else {made})"


def _struct(names: list[str]) -> Callable[..., Any]:
    """Makes an object of values, in this order of its names."""
    fields = [f"f{number}" for number in range(len(names))]
    try:
        return msgspec.defstruct(
            "Part", [(field, Any) for field in fields], rename=dict(zip(fields, names, strict=True)), gc=False
        )
    except ValueError:  # msgspec takes no names that JSON would have to escape
        return lambda *values: {
            name: value for name, value in zip(names, values, strict=True) if value is not msgspec.UNSET
        }


def from_column(column: str) -> Render:
    """The column's value is the message: text that holds JSON, or what a JSON column gave."""
    buffer = bytearray()

    def render(change: Change) -> bytes:
        row = change.after
        if row is None:
            row = change.row
        try:
            value = row[column]
            if value is not None:
                put_json(from_json(value) if type(value) is str else value, buffer)
                return b"" + buffer
            refusal = MessageInvalid(f"The column `{column}`, which is to hold the message, is null.")
        except KeyError:
            refusal = _lacks(column, "column")
        except (ArithmeticError, *_NO_JSON) as error:
            refusal = _holds_no_json(column, error) if type(value) is str else _refusal(error)
        raise refusal

    return render


def _holds_no_json(column: str, error: Exception) -> MessageInvalid:
    return MessageInvalid(f"The column `{column}` holds no JSON: {json_problem(error)}.")


def _lacks(column: str, setting: str) -> MessageInvalid:
    return MessageInvalid(f"The row has no column `{column}`: the message's `{setting}` names it.")


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


_NO_JSON = (ValueError, TypeError, RecursionError)


def encode(value: Any) -> bytes:
    try:
        return to_json(value)
    except _NO_JSON as error:
        refusal = _refusal(error)
    raise refusal


def _refusal(error: Exception) -> MessageInvalid:
    """Of a row that lacks a column, or of a value that `to_json` does not take."""
    if isinstance(error, KeyError):
        return _lacks(error.args[0], "columns")
    reason = "half a surrogate pair, which is no Unicode text" if isinstance(error, UnicodeError) else "no JSON"
    return MessageInvalid(f"The row holds a value that cannot be written as JSON: {reason}.")
