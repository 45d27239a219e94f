"""Which columns of JSON files DuckDB would not read as they are written, and the types that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rowcast.errors import SourceFailed
from rowcast.sources import files_iso, files_sample
from rowcast.sqltext import literal, quote
from rowcast.typetext import Type, parse

if TYPE_CHECKING:
    import duckdb

_DOUBTFUL = re.compile(r"\b(DOUBLE|DATE|TIME|TIMESTAMP)\b")


def exact_types(scan: str, given: str, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The types of all columns, if there is one that holds what another type than DuckDB's keeps as it is written:
    whole numbers of more than 64 bits, numbers that no float holds, and days that are not as in ISO 8601.

    `scan`: a table function that reads the files, without `)`; `given`: the query's own arguments.
    """
    whole = f"{scan}{given}, sample_size=-1"
    types = files_sample.types_of(f"{whole})", connection)
    if "maximum_depth" in given.lower() or not any(map(_DOUBTFUL.search, types.values())):
        return {}
    texts = files_sample.types_of(f"{whole}, maximum_depth=1)", connection)
    own = {name: kind for name, kind in types.items() if "JSON" in texts.get(name, "") or len(types) == 1}
    exact = _exact(f"{scan}{given}", own, files_iso.says_formats(given), connection)
    return {name: exact.get(name) or _sayable(kind) for name, kind in own.items()} if any(exact.values()) else {}


def _exact(scan: str, own: dict[str, str], formats_said: bool, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """By the name of a doubtful column the type to read it as; "" where DuckDB's own holds it."""
    doubtful = [name for name, kind in own.items() if _DOUBTFUL.search(kind)]
    columns = ", ".join(f"{literal(name)}: 'JSON'" for name in own)
    types = [_exact_type(quote(name), parse(own[name]), formats_said) for name in doubtful]
    counts = [f"count({quote(name)})" for name in doubtful]
    asked = ", ".join([*types, *counts])
    row = connection.execute(f"SELECT {asked} FROM {scan}, columns={{{columns}}})").fetchone() if doubtful else ()
    assert row is not None
    for name, count in zip(doubtful, row[len(doubtful) :], strict=True):
        if not count:  # DuckDB has numbered it
            raise SourceFailed(f'Column "{name}" is named in JSON like another, but for its case: rename one of them.')
    return dict(zip(doubtful, row, strict=False))


def _sayable(kind: str) -> str:
    return "VARCHAR" if kind == '"NULL"' else kind


def _exact_type(value: str, kind: Type, formats_said: bool) -> str:
    if kind.name != "DOUBLE":
        inexact = [
            _any(value, path, _inexact("item", leaf))
            for path, leaf in _leaves("$", kind)
            if _DOUBTFUL.fullmatch(leaf.split(" ")[0]) and not (formats_said and files_iso.is_temporal(leaf))
        ]
        target = "VARCHAR" if files_iso.is_temporal(kind.name) else "JSON"
        return f"CASE WHEN {' OR '.join(inexact) or 'false'} THEN '{target}' ELSE '' END"
    whole = f"({_is_whole(value)} AND TRY_CAST({value}::VARCHAR AS HUGEINT) IS NOT NULL)"
    return (
        f"CASE WHEN bool_and({whole} OR {value} IS NULL) THEN 'HUGEINT'"
        f" WHEN {_any(value, '$', _inexact('item', 'DOUBLE'))} THEN 'VARCHAR' ELSE '' END"
    )


def _leaves(path: str, kind: Type) -> Iterator[tuple[str, str]]:
    """JSON paths and types' names of what a value holds that holds nothing more itself."""
    steps = {"LIST": "[*]", "MAP": ".*"}
    if kind.name == "STRUCT":
        for name, child in kind.children:
            escaped = name.replace("\\", "\\\\").replace('"', '\\"')
            yield from _leaves(f'{path}."{escaped}"', child)
    elif kind.name in steps:
        yield from _leaves(path + steps[kind.name], kind.children[-1][1])
    else:
        yield path, kind.name


def _any(value: str, path: str, condition: str) -> str:
    """BOOLEAN, an aggregate: whether the condition is true of any `item` at that path."""
    items = (
        f"json_extract({value}, [{literal(path)}])" if "*" not in path else f"json_extract({value}, {literal(path)})"
    )
    return f"coalesce(bool_or(len(list_filter({items}, lambda item: {condition})) > 0), false)"


def _inexact(value: str, kind: str) -> str:
    text = f"{value}::VARCHAR"
    if kind != "DOUBLE":
        return f"NOT {files_iso.is_iso(f'trim({text}, {literal(chr(34))})', kind)}"
    rounded = f"TRY_CAST(TRY_CAST({text} AS DOUBLE) AS HUGEINT)"
    return (
        f"CASE WHEN {_is_whole(value)} THEN coalesce({rounded} <> TRY_CAST({text} AS HUGEINT), true)"
        f" ELSE isinf(TRY_CAST({text} AS DOUBLE)) AND regexp_matches({text}, '[0-9]') END"
    )


def _is_whole(value: str) -> str:
    return f"regexp_matches({value}::VARCHAR, '^-?[0-9]+$')"
