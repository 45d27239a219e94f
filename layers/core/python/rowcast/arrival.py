"""How the columns of any DuckDB relation come to their physical types, or why they cannot."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rowcast.errors import SourceFailed
from rowcast.jsonsql import decimal_arriving, json_arriving, json_canonical, json_value
from rowcast.models import Column, ColumnType
from rowcast.sqltext import RESERVED, TAKEN, literal, own, quote
from rowcast.typetext import Type, parse

_AS_IS: dict[str, ColumnType] = {
    "BOOLEAN": "boolean",
    "BIGINT": "integer",
    "DECIMAL": "decimal",
    "FLOAT": "float",
    "DOUBLE": "float",
    "VARCHAR": "text",
    "BLOB": "bytes",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "UUID": "uuid",
}
_CAST: dict[str, tuple[str, ColumnType]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), ("BIGINT", "integer")),
    **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"), ("VARCHAR", "decimal")),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS"), ("TIMESTAMP", "timestamp")),
    **dict.fromkeys(("ENUM", "BIT", "TIME WITH TIME ZONE", "NULL"), ("VARCHAR", "text")),
}
_NANOSECONDS: dict[str, tuple[str, ColumnType]] = {
    "TIMESTAMP_NS": ("TIMESTAMP", "timestamp"),
    "TIMESTAMPTZ_NS": ("TIMESTAMPTZ", "timestamptz"),
    "TIME_NS": ("TIME", "time"),
}
_MAP_KEYS = {"boolean", "integer", "decimal", "text", "date", "uuid"}
_CAST_TO_WRITE = {"INTERVAL": "{}::VARCHAR", "GEOMETRY": "ST_AsText({})", "VARIANT": "{}::JSON"}
_REFUSAL = re.compile(
    r'Invalid Input Error: (Column ".*(?:parts of a microsecond|has no exact form here).*)', re.DOTALL
)


class _InexactError(Exception):
    """A type, perhaps deep inside another, that has no exact form."""


def check_names(names: Sequence[str]) -> None:
    """Raises SourceFailed for names that a snapshot cannot hold. DuckDB and Parquet readers ignore case."""
    seen: dict[str, str] = {}
    for position, name in enumerate(names, start=1):
        if not name or "\0" in name:
            raise SourceFailed(f"Column {position} of the query has no usable name: give it one with AS.")
        if name.lower().startswith(RESERVED) or name.lower() in TAKEN:
            raise SourceFailed(
                f'Column "{name}": {", ".join(TAKEN)} and names that begin with {" or ".join(RESERVED)} are reserved; '
                "rename it with AS."
            )
        twin = seen.get(name.lower())
        seen[name.lower()] = name
        if twin is not None:
            alike = "twice" if twin == name else f'also as "{twin}", which differs in case only'
            raise SourceFailed(f'Column "{name}" is in the query {alike}: rename one of them with AS.')


def normalize(duckdb_types: Sequence[tuple[str, str]]) -> tuple[list[str], tuple[Column, ...]]:
    """For (name, DuckDB type) pairs: the select list, each with its AS, that makes physical types; and the columns.

    Raises SourceFailed for a column that cannot arrive exactly.
    """
    check_names([name for name, _ in duckdb_types])
    expressions: list[str] = []
    columns: list[Column] = []
    for name, type_text in duckdb_types:
        try:
            expression, logical = _arrive(parse(type_text), quote(name), name, 0)
        except _InexactError:
            raise SourceFailed(_refusal(name, type_text)) from None
        expressions.append(f"{expression} AS {quote(name)}")
        columns.append(Column(name, logical))
    return expressions, tuple(columns)


def refusal_in(text: str) -> str:
    """What a refused value made the engine say, in our own words; empty for any other error, which may quote values."""
    match = _REFUSAL.match(text)
    return match[1] if match else ""


def _refusal(name: str, type_text: str) -> str:
    cast = _CAST_TO_WRITE.get(parse(type_text).name, "{}::VARCHAR").format(quote(name))
    return (
        f'Column "{name}" has type {type_text}, which has no exact form here:'
        f" write {cast} AS {quote(name)} in the query, or leave the column out."
    )


def _arrive(kind: Type, value: str, column: str, depth: int) -> tuple[str, ColumnType]:
    """The expression for a value in its physical type, and that type."""
    if kind.name == "DECIMAL":
        return _decimal(kind, value), "decimal"
    if kind.name in _AS_IS:
        return value, _AS_IS[kind.name]
    if kind.name in _CAST:
        target, logical = _CAST[kind.name]
        cast = f"{value}::{target}"
        return decimal_arriving(cast, column) if kind.name == "BIGNUM" else cast, logical
    if kind.name in _NANOSECONDS:
        target, logical = _NANOSECONDS[kind.name]
        return _microseconds(value, target, column), logical
    text = _nested(kind, value, column, depth)
    return json_canonical(text) if depth else json_arriving(text, column), "json"


def _decimal(kind: Type, value: str) -> str:
    """DuckDB spells DECIMAL(2,2) as .50: with one more digit it is 0.50."""
    precision, scale = kind.parameters
    if precision != scale:
        return value
    if precision < 38:
        return f"{value}::DECIMAL({precision + 1},{scale})"
    return f"regexp_replace({value}::VARCHAR, '^(-?)\\.', '\\10.')"


def _microseconds(value: str, target: str, column: str) -> str:
    message = literal(f'Column "{column}" has parts of a microsecond: write "{column}"::{target}, which cuts them off.')
    return (
        f"CASE WHEN epoch_ns({value}) % 1000 = 0 THEN {value}::{target}"
        f" WHEN {value} IS NOT NULL THEN error({message})::{target} END"
    )


def _nested(kind: Type, value: str, column: str, depth: int) -> str:
    """JSON text, not yet canonical, of a value that holds others."""
    if kind.name == "JSON":
        return f"{value}::VARCHAR"
    if kind.name == "LIST":
        return _list(kind, value, column, depth)
    if kind.name == "STRUCT":
        return _struct(kind, value, column, depth)
    if kind.name == "MAP":
        return _map(kind, value, column, depth)
    raise _InexactError


def _item(kind: Type, value: str, column: str, depth: int) -> str:
    """JSON text of a value inside another; never NULL."""
    if kind.name in ("JSON", "LIST", "STRUCT", "MAP"):
        return f"coalesce({_nested(kind, value, column, depth)}, 'null')"
    expression, logical = _arrive(kind, value, column, depth)
    return f"coalesce({json_value(logical, expression)}, 'null')"


def _list(kind: Type, value: str, column: str, depth: int) -> str:
    variable = own(f"item{depth}")
    item = _item(kind.children[0][1], variable, column, depth + 1)
    return f"('[' || array_to_string(list_transform({value}, lambda {variable}: {item}), ',') || ']')"


def _struct(kind: Type, value: str, column: str, depth: int) -> str:
    members = [
        f"to_json({literal(name)})::VARCHAR, ':', "
        + _item(child, f"struct_extract({value}, {literal(name)})", column, depth)
        for name, child in kind.children
    ]
    return f"CASE WHEN {value} IS NOT NULL THEN concat('{{', " + ", ',', ".join(members) + ", '}') END"


def _map(kind: Type, value: str, column: str, depth: int) -> str:
    (_, key_kind), (_, value_kind) = kind.children
    variable = own(f"entry{depth}")
    key, logical = _arrive(key_kind, f"{variable}.key", column, depth + 1)
    if logical not in _MAP_KEYS:
        raise _InexactError
    entry = f"to_json(({key})::VARCHAR)::VARCHAR || ':' || " + _item(value_kind, f"{variable}.value", column, depth + 1)
    entries = f"list_transform(map_entries({value}), lambda {variable}: {entry})"
    return f"CASE WHEN {value} IS NOT NULL THEN '{{' || array_to_string({entries}, ',') || '}}' END"
