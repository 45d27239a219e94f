"""The hashes of keys and of rows, as DuckDB SQL: 128 bits of SHA-256 over bytes that only equal values share.

A key's hash is over canonical texts. It partitions the rows and names debts, and never changes. A row's fingerprint is
made by a recipe, which a manifest names. Recipe "1" hashes canonical texts, too. Recipe "2" hashes, for each column in
order of their names, 01 for null, or 02 and the value; then 02 00. A value is

    boolean                        1 byte, 00 or 01
    date                           4 bytes, big-endian: days since 1970 with the sign bit turned over
    time, timestamp, timestamptz   8 bytes likewise: microseconds since midnight or 1970
    uuid                           16 bytes
    float                          8 bytes, big-endian: the double, all bits turned over if it is negative, else the
                                   sign bit; -0 as 0, -Infinity as 00…00, Infinity as FF…FE, NaN as FF…FF
    integer, decimal               plain digits, each byte plus 1, then 00
    text, bytes, json              the bytes, with 01 before each 00 and 01, then 00

This is what DuckDB's `create_sort_key` makes, for a tenth of what the same as text costs; the tests hold it to this
description. With another encoding it is another recipe. Numbers have one text whatever column they lie in; of other
kinds the values are only told apart by their column's kind, so that is part of a manifest's `fingerprint_schema`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rowcast.canonical import canonical, canonical_value
from rowcast.jsonsql import json_numbers_settled, plain_number
from rowcast.models import Column, ColumnType, short_hash
from rowcast.sqltext import reference

RECIPE = "2"
"""Of new snapshots. Fingerprints under different recipes are computed anew."""

_BY_TEXT = "1"
"""The recipe under which columns of any kinds compare."""


def key_hash(columns: Sequence[Column], table: str = "") -> str:
    """UUID: 128 bits of SHA-256 over the key columns in the given order."""
    return _digest(key_text(columns, table))


def key_text(columns: Sequence[Column], table: str = "", instead: str = "") -> str:
    """VARCHAR: the canonical texts that `key_hash` is the hash of. `instead`: the alias of a table with columns of the
    same types that has the row where the first one has none."""
    if not instead:
        return _texts([canonical(column, table) for column in columns])
    both = [[reference(column.name, each) for each in (table, instead)] for column in columns]
    return _texts(
        [
            canonical_value(column.type, f"coalesce({', '.join(each)})")
            for column, each in zip(columns, both, strict=True)
        ]
    )


def fingerprint(columns: Sequence[Column], table: str = "", recipe: str = RECIPE) -> str:
    """UUID: 128 bits of SHA-256 over all columns; their order in the query does not matter."""
    ordered = sorted(columns, key=lambda column: column.name)
    if recipe == _BY_TEXT:
        return _digest(_texts([canonical(column, table) for column in ordered]))
    return _digest(_bytes(ordered, table))


def fingerprint_schema(columns: Sequence[Column]) -> str:
    """Equal for manifests whose fingerprints compare: those of one recipe over columns of the same names and kinds."""
    return f"{RECIPE}:{short_hash(*(part for named in sorted(_kinds(columns).items()) for part in named))}"


def shared_recipe(schema: str, before: Sequence[Column], after: Sequence[Column]) -> str:
    """The recipe under which rows of both compare, each over these columns of the same names. `schema`: of the
    snapshot, whose recipe is kept if it can be: change ids are made of fingerprints."""
    return schema.partition(":")[0] if _kinds(before) == _kinds(after) else _BY_TEXT


def _kinds(columns: Sequence[Column]) -> dict[str, str]:
    """Of each column, by name, what its values can be equal to."""
    return {column.name: "number" if column.type in ("integer", "decimal") else column.type for column in columns}


def _digest(data: str) -> str:
    """Bytes become a UUID for a third of what reading its text costs."""
    return f"unhex(left(sha256({data}), 32))::UUID"


def _texts(texts: Sequence[str]) -> str:
    """By one flat call: a chain of || would be as deep as there are columns, and the engine's depth is limited.

    A null is '-' alone, since concat passes over it.
    """
    parts = ", ".join(f"coalesce(strlen({text})::VARCHAR || ':', '-'), {text}" for text in texts)
    return f"concat({parts})"


def _bytes(columns: Sequence[Column], table: str) -> str:
    """The constant at the end has no meaning: without it, few short values would come as a number."""
    values = [_VALUES.get(column.type, _as_it_is)(reference(column.name, table)) for column in columns]
    return f"create_sort_key({''.join(f'{value}, {_ORDER}, ' for value in values)}''::BLOB, {_ORDER})"


_ORDER = "'ASC NULLS FIRST'"


def _as_it_is(value: str) -> str:
    return value


_VALUES: dict[ColumnType, Callable[[str], str]] = {
    "integer": lambda value: f"{value}::VARCHAR",
    "decimal": lambda value: plain_number(f"{value}::VARCHAR"),
    "float": lambda value: f"{value}::DOUBLE",
    "text": lambda value: f"encode({value})",  # as text it would be sorted by a collation that a query may give it
    "json": lambda value: f"encode({json_numbers_settled(value)})",
}
