"""SQL that makes the columns that `rowcast.chunks` stores, out of the rows `o` and `n` on either side of changes.

Each value is JSON text with a comma behind it, and nothing where there is none to tell: a column's texts in a row are
the inside of a JSON array.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rowcast import columns as sql
from rowcast.jsonsql import json_value
from rowcast.models import Column
from rowcast.sqltext import own, reference

NTH = own("nth")
"""The column that numbers the rows of a side."""
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
_EQUAL_IF_SAME_TEXT_ALONE = _SAME_TEXT_IF_EQUAL - {"json"}


class Compared(msgspec.Struct, kw_only=True, frozen=True):
    """The columns of both sides; those that both have, as each has them; and the key's, as each has them."""

    old: Sequence[Column]
    new: Sequence[Column]
    old_common: Sequence[Column]
    common: Sequence[Column]
    old_key: Sequence[Column]
    key: Sequence[Column]

    @property
    def has_one_key(self) -> bool:
        """Whether the key's columns are of one type in the engine too, which decimals may not be."""
        return list(self.old_key) == list(self.key) and all(column.type != "decimal" for column in self.key)

    @property
    def respelled(self) -> list[int]:
        """Places among `new` of the columns of which values may be equal though their texts, or types, are not."""
        types = {column.name: column.type for column in self.old_common}
        return [
            place
            for place, column in enumerate(self.new)
            if column.name in types
            and not (types[column.name] == column.type and column.type in _EQUAL_IF_SAME_TEXT_ALONE)
        ]


def select(old: str, new: str, compared: Compared, wanted: Sequence[str] | None, *, both: bool) -> str:
    """`old`, `new`: SELECTs of the rows of either side, "" for none, with the column NTH, by which they belong
    together. `both`: every row has one on either side. `wanted`: of changed rows, only those that differ in one of
    these columns.

    Answers the number; the key's text; each value before; each value after, of changed rows those whose text is
    another; and for each column that is `respelled` 1 where both values are equal.
    """
    matched = bool(old and new) and not both
    null = own("null_text") if matched else ""
    no_old, no_new = (f"{side}.{NTH} IS NULL" if matched else "" for side in "on")
    first = f"coalesce(n.{NTH}, o.{NTH})" if matched else f"{'n' if new else 'o'}.{NTH}"
    parts = [f"{first}::UBIGINT", _key(compared, no_new, bool(new))]
    parts += [_value(column, "o", null) if old else "''" for column in compared.old]
    parts += [_after(column, compared, no_old, null, bool(old)) if new else "''" for column in compared.new]
    parts += [_equal(compared.new[place], compared) if old and new else "0::UBIGINT" for place in compared.respelled]
    if matched:
        old, new = (f"SELECT *, 'null,' AS {null} FROM ({side})" for side in (old, new))
    joined = f"({new}) n {'FULL ' if matched else ''}JOIN ({old}) o ON n.{NTH} = o.{NTH}"
    source = joined if old and new else f"({new}) n" if new else f"({old}) o"
    where = _where(wanted, compared, no_old, no_new) if old and new and wanted is not None else ""
    return f"SELECT {', '.join(parts)} FROM {source}{where}"


def _key(compared: Compared, no_new: str, new: bool) -> str:
    if no_new and compared.has_one_key:
        text = sql.key_text(compared.key, "n", instead="o")
    else:
        texts = [sql.key_text(compared.old_key, "o"), sql.key_text(compared.key, "n")]
        text = f"CASE WHEN {no_new} THEN {texts[0]} ELSE {texts[1]} END" if no_new else texts[new]
    return f"to_json({text})::VARCHAR || ','"


def _value(column: Column, table: str, null: str) -> str:
    """`null`: a column that holds the text of a null, and none itself where the whole row is missing."""
    text = f"{json_value(column.type, reference(column.name, table))} || ','"
    return f"coalesce({text}, {table}.{null}, '')" if null else f"coalesce({text}, 'null,')"


def _after(column: Column, compared: Compared, no_old: str, null: str, old: bool) -> str:
    types = {each.name: each.type for each in compared.old}
    value = _value(column, "n", null)
    if not old or types.get(column.name) != column.type:
        return value
    given = f"{no_old} OR {_unlike(column)}" if no_old else _unlike(column)
    return f"CASE WHEN {given} THEN {value} ELSE '' END"


def _unlike(column: Column) -> str:
    """Whether the two sides' JSON may differ. Equal floats and decimals may be spelled in two ways."""
    sides = [reference(column.name, table) for table in ("o", "n")]
    if column.type not in _SAME_TEXT_IF_EQUAL:
        sides = [f"{side}::VARCHAR" for side in sides]
    return " IS DISTINCT FROM ".join(sides)


def _equal(column: Column, compared: Compared) -> str:
    before = {each.name: each for each in compared.old_common}[column.name]
    return f"(NOT {sql.differs(before, column, 'o', 'n')})::UBIGINT"


def _where(wanted: Sequence[str], compared: Compared, no_old: str, no_new: str) -> str:
    before = {each.name: each for each in compared.old_common}
    found = [sql.differs(before[each.name], each, "o", "n") for each in compared.common if each.name in wanted]
    return f" WHERE {' OR '.join([*filter(None, (no_old, no_new)), *found]) or 'false'}"
