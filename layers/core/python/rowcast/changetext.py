"""SQL that makes a change, out of the rows `o` and `n` on either side, the text that `rowcast.chunks` describes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rowcast import columns as sql
from rowcast.jsonsql import json_value
from rowcast.models import Column, frame, framed
from rowcast.sqltext import reference

_SAME_TEXT_IF_EQUAL = {
    "boolean",
    "integer",
    "text",
    "bytes",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "uuid",
    "json",
}


class Naming(msgspec.Struct, kw_only=True, frozen=True):
    """What a change's id is made of beside its row."""

    sync: str
    destination: str
    generation: int


def before(columns: Sequence[Column]) -> str:
    """VARCHAR: the old row's values, where there is one."""
    return f"CASE WHEN operation <> 'added' THEN {_values(columns, 'o')} END"


def after(old: Sequence[Column], new: Sequence[Column], old_common: Sequence[Column], common: Sequence[Column]) -> str:
    """VARCHAR: what the text holds beyond the old row."""
    names = sql.differing_json(old_common, common, "o", "n")
    return (
        f"CASE operation WHEN 'added' THEN {_values(new, 'n')}"
        f" WHEN 'changed' THEN concat({names}, ',[', substr({_placed(old, new)}, 2), ']') END"
    )


def _values(columns: Sequence[Column], table: str) -> str:
    return sql.values_json(columns, [column.name for column in columns], table) if columns else "'[]'"


def _placed(old: Sequence[Column], new: Sequence[Column]) -> str:
    """VARCHAR: place and value of each value that is not just so in the old row, with a comma before each."""
    types = {column.name: column.type for column in old}
    parts = []
    for place, column in enumerate(new):
        value = json_value(column.type, reference(column.name, "n"))
        given = f"concat(',{place},', coalesce({value}, 'null'))"
        if types.get(column.name) == column.type:
            given = f"CASE WHEN {_unlike(column)} THEN {given} ELSE '' END"
        parts.append(given)
    return f"concat({', '.join(parts)})"


def _unlike(column: Column) -> str:
    """Whether the two sides' JSON may differ. Equal floats and decimals may be spelled in two ways."""
    sides = [reference(column.name, table) for table in ("o", "n")]
    if column.type not in _SAME_TEXT_IF_EQUAL:
        sides = [f"{side}::VARCHAR" for side in sides]
    return " IS DISTINCT FROM ".join(sides)


def change_id(naming: Naming) -> str:
    """VARCHAR: `models.change_id` of a row with `key_hash`, `old_f` and `new_f`."""
    first = sql.blob(framed(naming.sync) + framed(naming.destination) + frame(32))
    last = sql.blob(framed(str(naming.generation)))
    sides = (
        f"CASE WHEN {side} IS NULL THEN {sql.blob(frame(0))} ELSE {sql.blob(frame(36))} || encode({side}::VARCHAR) END"
        for side in ("old_f", "new_f")
    )
    return f"left(sha256({first} || encode(key_hash) || {' || '.join(sides)} || {last}), 32)"
