"""Keys as people write them on the command line: a value, or the values of several columns as a JSON list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rowcast.models import Column, from_json, to_json

FIRST, LAST = "0" * 32, "f" * 32
"""The range of all key hashes."""


def shown(key: Sequence[Any]) -> Any:
    """A key as commands show it: the value of the key's column, or the list where it has several."""
    return key[0] if len(key) == 1 else list(key)


def matches(key: Sequence[Any], wanted: str) -> bool:
    return [text_of(part) for part in key] == parts(wanted, len(key))


def parts(wanted: str, columns: int) -> list[str] | None:
    """The texts of the key's columns; None when the text cannot be such a key."""
    if columns == 1:
        return [wanted]
    try:
        values = from_json(wanted)
    except msgspec.MsgspecError:
        values = wanted.split(",")
    return [text_of(value) for value in values] if isinstance(values, list) and len(values) == columns else None


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def key_hash(columns: Sequence[Column], wanted: str) -> str | None:
    """The hash under which runs know the key; None when the text is none of these columns' type."""
    import duckdb

    from rowcast import columns as sql
    from rowcast.compare import TYPES

    values = parts(wanted, len(columns))
    if values is None:
        return None
    given = ", ".join(f"CAST(? AS {TYPES[column.type]}) AS {sql.quote(column.name)}" for column in columns)
    statement = f"SELECT replace(({sql.key_hash(columns)})::VARCHAR, '-', '') FROM (SELECT {given})"
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            [(found,)] = connection.execute(statement, values).fetchall()
        except duckdb.Error:
            return None
    return str(found) if found is not None else None
