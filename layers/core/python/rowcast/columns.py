"""The type system as DuckDB SQL: what makes two values equal, how rows are hashed, and rows as JSON.

Every function answers SQL text over columns that are in the physical types that `rowcast.arrival.normalize` makes:

    boolean BOOLEAN · integer BIGINT · decimal DECIMAL(p,s), or VARCHAR with plain digits, NaN, Infinity, -Infinity
    float DOUBLE or FLOAT · text VARCHAR · bytes BLOB · date DATE · time TIME · timestamp TIMESTAMP
    timestamptz TIMESTAMPTZ · uuid UUID · json VARCHAR with sorted keys and no insignificant white space
"""

from __future__ import annotations

from collections.abc import Sequence

from rowcast.arrival import normalize
from rowcast.canonical import canonical, canonical_value
from rowcast.equality import differing_columns, row_hash, same_row
from rowcast.hashes import fingerprint, fingerprint_schema, key_hash, key_text, shared_recipe
from rowcast.jsonsql import json_value, same_numbers
from rowcast.models import Column, ColumnType, to_json
from rowcast.sqltext import literal, own, quote, reference

__all__ = [
    "canonical",
    "differing_columns",
    "differs",
    "fingerprint",
    "fingerprint_schema",
    "key_hash",
    "key_text",
    "normalize",
    "not_null",
    "quote",
    "row_hash",
    "row_json",
    "same_row",
    "shared_recipe",
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


def differs(before: Column, after: Column, old: str, new: str) -> str:
    """BOOLEAN: whether two columns' values in the rows `old` and `new` are not equal."""
    return f"(CASE {_differ(before, after, old, new)} THEN 'd' ELSE '' END = 'd')"


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
    if before.type != after.type:
        return f"WHEN {canonical(before, old)} IS DISTINCT FROM {canonical(after, new)}"
    texts = [f"{value}::VARCHAR" for value in (a, b)]
    same = f"WHEN {texts[0]} IS NOT DISTINCT FROM {texts[1]} THEN ''"
    if after.type != "decimal":
        return f"{same} WHEN {a} IS NULL OR {b} IS NULL OR {_canonically_unlike(after.type, *texts)}"
    far = f"TRY_CAST({a} AS DOUBLE) <> TRY_CAST({b} AS DOUBLE)"  # equal numbers never are, and most others are
    return f"{same} WHEN {a} IS NULL OR {b} IS NULL OR {far} THEN 'd' WHEN NOT {same_numbers(*texts)}"


def _canonically_unlike(column_type: ColumnType, a: str, b: str) -> str:
    """With what makes a canonical text written once for both: planning it takes longer than running it for few rows."""
    each = own("value")
    return f"list_unique(list_transform([{a}, {b}], lambda {each}: {canonical_value(column_type, each)})) > 1"
