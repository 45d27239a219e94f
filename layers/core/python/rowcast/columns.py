"""The type system as DuckDB SQL: what makes two values equal, how rows are hashed, and rows as JSON.

Every function answers SQL text over columns that are in the physical types that `rowcast.arrival.normalize` makes:

    boolean BOOLEAN · integer BIGINT · decimal DECIMAL(p,s), or VARCHAR with plain digits, NaN, Infinity, -Infinity
    float DOUBLE or FLOAT · text VARCHAR · bytes BLOB · date DATE · time TIME · timestamp TIMESTAMP
    timestamptz TIMESTAMPTZ · uuid UUID · json VARCHAR with sorted keys and no insignificant white space

The canonical text of a value begins with a tag, so that values of different kinds never meet; all numbers that are
exact share one tag and one spelling, so that 1, 1.0 and 1.00 are equal whatever column they lie in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rowcast.arrival import normalize
from rowcast.equality import differing_columns, row_hash, same_row
from rowcast.jsonsql import json_numbers_settled, json_value, plain_number
from rowcast.models import Column, ColumnType, short_hash, to_json
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
    "partition_of",
    "quote",
    "row_hash",
    "row_json",
    "same_row",
    "values_json",
]

RECIPE = "1"
"""Names the canonical encoding. Another recipe needs another name, and fingerprints under it are computed anew."""

HASH_BITS = 128


def canonical(column: Column, table: str = "") -> str:
    """VARCHAR: equal values have equal text, different values different text; NULL for null."""
    return _CANONICAL[column.type](reference(column.name, table))


def key_hash(columns: Sequence[Column], table: str = "") -> str:
    """UUID: 128 bits of SHA-256 over the key columns in the given order."""
    return _hash([canonical(column, table) for column in columns])


def fingerprint(columns: Sequence[Column], table: str = "") -> str:
    """UUID: 128 bits of SHA-256 over all columns; their order in the query does not matter."""
    return _hash([canonical(column, table) for column in sorted(columns, key=lambda column: column.name)])


def fingerprint_schema(columns: Sequence[Column]) -> str:
    """Equal for manifests whose fingerprints compare. Types are no part of it: canonical texts carry their own tags."""
    return f"{RECIPE}:{short_hash(*sorted(column.name for column in columns))}"


def partition_of(key_hash_expr: str, bits: int) -> str:
    """INTEGER: the top `bits` (at most 31) bits of a UUID."""
    if not 0 <= bits <= 31:
        raise ValueError(f"bits must be between 0 and 31, not {bits}")
    if bits == 0:
        return "0::INTEGER"
    return f"(({key_hash_expr})::UHUGEINT >> {HASH_BITS - bits})::INTEGER"


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


def _hash(texts: Sequence[str]) -> str:
    """By one flat call: a chain of || would be as deep as there are columns, and the engine's depth is limited.

    A null is '-' alone, since concat passes over it. Bytes become a UUID for a third of what reading its text costs.
    """
    parts = ", ".join(f"coalesce(strlen({text})::VARCHAR || ':', '-'), {text}" for text in texts)
    return f"unhex(left(sha256(concat({parts})), 32))::UUID"


def _integer(value: str) -> str:
    return f"('n' || {value}::VARCHAR)"


def _decimal(value: str) -> str:
    return f"('n' || {plain_number(f'{value}::VARCHAR')})"


def _float(value: str) -> str:
    double = f"{value}::DOUBLE"
    return (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN isnan({double}) THEN 'nNaN'"
        f" WHEN isinf({double}) THEN CASE WHEN {double} > 0 THEN 'nInfinity' ELSE 'n-Infinity' END"
        f" WHEN abs({double}) < 9007199254740992 AND trunc({double}) = {double}"
        f" THEN 'n' || TRY_CAST({double} AS BIGINT)::VARCHAR"
        f" ELSE 'f' || printf('%.17g', {double}) END"
    )


def _date(value: str) -> str:
    return f"('d' || CASE WHEN isinf({value}) THEN {value}::VARCHAR ELSE ({value} - DATE '1970-01-01')::VARCHAR END)"


def _instant(tag: str) -> Callable[[str], str]:
    return lambda value: f"('{tag}' || coalesce(epoch_us({value})::VARCHAR, {value}::VARCHAR))"


_CANONICAL: dict[ColumnType, Callable[[str], str]] = {
    "boolean": lambda value: f"('b' || {value}::INTEGER::VARCHAR)",
    "integer": _integer,
    "decimal": _decimal,
    "float": _float,
    "text": lambda value: f"('t' || {value})",
    "bytes": lambda value: f"('x' || hex({value}))",
    "date": _date,
    "time": lambda value: f"('h' || epoch_us({value})::VARCHAR)",
    "timestamp": _instant("s"),
    "timestamptz": _instant("z"),
    "uuid": lambda value: f"('u' || {value}::VARCHAR)",
    "json": lambda value: f"('j' || {json_numbers_settled(value)})",
}
