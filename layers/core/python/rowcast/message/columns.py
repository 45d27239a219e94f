"""Messages made of columns, without a template."""

from __future__ import annotations

from typing import Any

from rowcast.definition import Field
from rowcast.errors import MessageInvalid
from rowcast.message.errors import TemplateError, json_problem
from rowcast.models import Change, Row, from_json, to_json
from rowcast.ports import Render


def all_columns(change: Change) -> bytes:
    """The whole row, in the order of its columns."""
    return encode(change.row)


def from_columns(columns: dict[str, str | Field]) -> Render:
    """`columns`: output name to a column or a field; dots in the output name nest."""
    check_columns(columns)
    parts = [(tuple(name.split(".")), _field(given)) for name, given in columns.items()]

    def render(change: Change) -> bytes:
        row = change.row
        message: dict[str, Any] = {}
        for path, field in parts:
            value = _value(field, row)
            if value is not None or field.when_null == "send":
                _put(message, path, value)
        return encode(message)

    return render


def _field(given: str | Field) -> Field:
    return Field(column=given) if isinstance(given, str) else given


def _value(field: Field, row: Row) -> Any:
    if field.column is None:
        return field.value
    if field.column not in row:
        raise MessageInvalid(f"The row has no column `{field.column}`: the message's `columns` names it.")
    return row[field.column]


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


def check_columns(columns: dict[str, str | Field]) -> None:
    """Raises TemplateError for output names that cannot stand in one object, whatever a row leaves out."""
    taken: dict[str, Any] = {}
    for name in columns:
        path = tuple(name.split("."))
        if not all(path):
            raise TemplateError(f"the output name `{name}` has an empty part", 1, 1)
        if not _put(taken, path, None):
            raise TemplateError(f"the output name `{name}` excludes another one: it is a value and an object", 1, 1)
    if not columns:
        raise TemplateError("`columns` names no column", 1, 1)


def _put(target: dict[str, Any], path: tuple[str, ...], value: Any) -> bool:
    for part in path[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            return False
    if path[-1] in target:
        return False
    target[path[-1]] = value
    return True


def encode(value: Any) -> bytes:
    try:
        data = to_json(value)
        if b"NaN" in data or b"Infinity" in data:  # a decimal that is no number encodes to what is no JSON
            from_json(data)
    except (ValueError, TypeError, RecursionError) as error:
        reason = "half a surrogate pair, which is no Unicode text" if isinstance(error, UnicodeError) else "no JSON"
    else:
        return data
    raise MessageInvalid(f"The row holds a value that cannot be written as JSON: {reason}.")
