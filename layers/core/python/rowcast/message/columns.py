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
    return _render("row", [], {})


def from_columns(columns: dict[str, str | Field]) -> Render:
    """`columns`: output name to a column or a field; dots in the output name nest."""
    known: dict[str, Any] = {}
    lines: list[str] = []
    message, _ = _object(check_columns(columns), known, lines)
    return _render(message, lines, known)


# One function, since a call costs a tenth of what a row of ten columns does. The buffer that is written into stays from
# row to row, and so do the objects that hold the values: each one that is made anew costs as much as three values.
# They are parameters since names are looked up quickest so.
_SOURCE = """
def render(change{kept}):
    row = change.after
    if row is None:
        row = change.row
    try:
        {lines}
        put_json({message}, buffer)
        return join(written)
    except REFUSED as error:
        refusal = refusal_of(error)
    raise refusal
"""


def _render(message: str, lines: list[str], known: dict[str, Any]) -> Render:
    """`lines`: code that puts values of `row` in their places; then `message`, code as well, encodes to its message.
    They name nothing but literals and what is `known`."""
    source = _SOURCE.format(
        kept="".join(f", {name}={name}" for name in known), lines="\n        ".join(lines), message=message
    )
    buffer = bytearray()
    known |= {"__builtins__": {}, "UNSET": msgspec.UNSET, "REFUSED": (KeyError, *_NO_JSON), "refusal_of": _refusal}
    known |= {"put_json": put_json, "buffer": buffer, "join": b"".join, "written": (buffer,)}
    exec(source, known)  # noqa: S102
    return known["render"]  # type: ignore[no-any-return]


Tree = dict[str, "Field | Tree"]


def _code(part: Field | Tree, known: dict[str, Any], lines: list[str]) -> tuple[str, list[str]]:
    """The code, and the columns that must all be null for it to give UNSET; empty when it never does."""
    if isinstance(part, dict):
        made, nulls = _object(part, known, lines)
        return (_unless(nulls, made) if nulls else made), nulls
    if part.column is None:
        name = f"k{len(known)}"
        known[name] = msgspec.Raw(to_json(part.value))
        return name, []
    read = f"row[{part.column!r}]"
    return (read, []) if part.when_null == "send" else (_unless([part.column], read), [part.column])


def _object(tree: Tree, known: dict[str, Any], lines: list[str]) -> tuple[str, list[str]]:
    """The code of an object, which `lines` fill, and the columns that must all be null for it to be empty; none when it
    never is."""
    name = f"k{len(known)}"
    known[name] = kept = _kept(list(tree))
    parts = []
    for number, one in enumerate(tree.values()):
        code, nulls = _code(one, known, lines)
        parts.append((code, nulls))
        if kept is not None and code in known:  # the same for every row
            setattr(kept, f"f{number}", known[code])
        elif kept is not None:
            lines.append(f"{name}.f{number} = {code}")
    if kept is None:
        known[name] = _dictionary(list(tree))
        name = f"{name}({', '.join(code for code, _ in parts)})"
    return name, [column for _, nulls in parts for column in nulls] if all(nulls for _, nulls in parts) else []


def _unless(nulls: list[str], made: str) -> str:
    return f"(UNSET if {' is '.join(f'row[{column!r}]' for column in nulls)} is None else {made})"


def _kept(names: list[str]) -> Any:
    """An object with these names, in this order, whose values are its attributes `f0`, `f1`, …; None where JSON would
    have to escape a name, which msgspec does not take."""
    fields = [f"f{number}" for number in range(len(names))]
    try:
        kind = msgspec.defstruct(
            "Part", [(field, Any, None) for field in fields], rename=dict(zip(fields, names, strict=True)), gc=False
        )
    except ValueError:
        return None
    # With Python's own methods a value is stored without a call. The struct's would mind garbage collection besides.
    for method in ("__setattr__", "__delattr__"):
        setattr(kind, method, getattr(object, method))
    return kind()


def _dictionary(names: list[str]) -> Callable[..., dict[str, Any]]:
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
