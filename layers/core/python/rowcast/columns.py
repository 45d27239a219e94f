"""The type system as DuckDB SQL: what makes two values equal, how rows are hashed, and rows as JSON.

Every function answers SQL text over columns that are in the physical types that `rowcast.arrival.normalize` makes:

    boolean BOOLEAN · integer BIGINT · decimal DECIMAL(p,s), or VARCHAR with plain digits, NaN, Infinity, -Infinity
    float DOUBLE or FLOAT · text VARCHAR · bytes BLOB · date DATE · time TIME · timestamp TIMESTAMP
    timestamptz TIMESTAMPTZ · uuid UUID · json VARCHAR with sorted keys and no insignificant white space
"""

from __future__ import annotations

from collections.abc import Sequence

from rowcast.arrival import normalize
from rowcast.canonical import canonical
from rowcast.equality import differing_columns, row_hash, same_row
from rowcast.hashes import fingerprint, fingerprint_schema, key_hash, shared_recipe
from rowcast.jsonsql import json_value
from rowcast.models import Column, to_json
from rowcast.sqltext import literal, quote, reference

__all__ = [
    "blob",
    "canonical",
    "differing_columns",
    "differing_json",
    "fingerprint",
    "fingerprint_schema",
    "key_hash",
    "normalize",
    "not_null",
    "quote",
    "row_hash",
    "row_json",
    "same_row",
    "shared_recipe",
    "values_json",
]


def not_null(columns: Sequence[Column]) -> str:
    """BOOLEAN: whether none of them is null."""
    return " AND ".join(f"{quote(column.name)} IS NOT NULL" for column in columns)


def row_json(columns: Sequence[Column], table: str = "") -> str:
    """VARCHAR: one JSON object with the columns in the given order and every value exact."""
    if not columns:
        return "'{}'"
    members = (
        f"{literal(to_json(column.name).decode() + ':')}"
        f", coalesce({json_value(column.type, reference(column.name, table))}, 'null')"
        for column in columns
    )
    return "concat('{', " + ", ',', ".join(members) + ", '}')"


def values_json(columns: Sequence[Column], names: Sequence[str], table: str = "") -> str:
    """VARCHAR: a JSON array of the values of these columns."""
    by_name = {column.name: column for column in columns}
    values = (f"coalesce({json_value(by_name[name].type, reference(name, table))}, 'null')" for name in names)
    return "concat('[', " + ", ',', ".join(values) + ", ']')"


def blob(data: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in data) + "'::BLOB"


def differing_json(before: Sequence[Column], after: Sequence[Column], old: str, new: str) -> str:
    """VARCHAR: a JSON array of the names, in the order of `after`, of the common columns that differ between the rows
    `old` and `new`."""
    earlier = {column.name: column for column in before}
    cases = [
        f"CASE {_differ(earlier[column.name], column, old, new)}"
        f" THEN {literal(to_json(column.name).decode() + ',')} ELSE '' END"
        for column in after
        if column.name in earlier
    ]
    if not cases:
        return "'[]'"
    return f"concat('[', rtrim(concat({', '.join(cases)}), ','), ']')"


_COMPARE_AS_THEY_ARE = {
    "boolean",
    "integer",
    "float",
    "text",
    "bytes",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "uuid",
}


def _differ(before: Column, after: Column, old: str, new: str) -> str:
    """The arms of a CASE whose last one is true where two values are not equal. Of one type DuckDB compares most values
    as their canonical texts do, at a hundredth of the cost."""
    a, b = reference(before.name, old), reference(after.name, new)
    if before.type == after.type and after.type in _COMPARE_AS_THEY_ARE:
        return f"WHEN {a} IS DISTINCT FROM {b}"
    canonically = f"WHEN {canonical(before, old)} IS DISTINCT FROM {canonical(after, new)}"
    if before.type != after.type:
        return canonically
    return f"WHEN {a}::VARCHAR IS NOT DISTINCT FROM {b}::VARCHAR THEN '' {canonically}"
