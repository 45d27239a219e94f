"""How DuckDB is told to read text files, so that types do not depend on a sample and decimals stay exact."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rowcast.sqltext import literal, quote

if TYPE_CHECKING:
    import duckdb

_WHOLE_FILE = ", sample_size=-1"
_SNIFFING = ("read_csv", "read_json", "read_ndjson")
_TYPED = re.compile(
    r"\b(types|dtypes|column_types|columns|all_varchar|auto_detect|auto_type_candidates|sample_size)\s*(:=|=)",
    re.IGNORECASE,
)
_PLAIN = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_DIGITS_OF_DOUBLE = 15
_DIGITS_OF_DECIMAL = 38


def options(connection: duckdb.DuckDBPyConnection, function: str, paths: str, given: str) -> str:
    """Arguments for a table function over files, each with a comma before it: look at the whole of a text file, not at
    a sample; and read fractions in CSV as DECIMAL. A query that says itself what types are there is left as it is.

    `given`: the query's own arguments, with a comma before them.
    """
    if not function.startswith(_SNIFFING) or _TYPED.search(given):
        return ""
    if not function.startswith("read_csv"):
        return _WHOLE_FILE
    sniffed = connection.execute(f"DESCRIBE FROM read_csv({paths}{given}{_WHOLE_FILE})").fetchall()
    types = _exact_types(paths, given, [row[0] for row in sniffed if row[1] == "DOUBLE"], connection)
    members = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    return f"{_WHOLE_FILE}, types={{{members}}}" if types else _WHOLE_FILE


def _exact_types(paths: str, given: str, names: list[str], connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """For columns of numbers with fractions: the DECIMAL that holds them all, else DOUBLE where that loses no digit."""
    if not names:
        return {}
    as_text = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    measures = ", ".join(measure for name in names for measure in _measures(quote(name)))
    row = connection.execute(
        f"SELECT {measures} FROM read_csv({paths}{given}{_WHOLE_FILE}, types={{{as_text}}})"
    ).fetchone()
    assert row is not None
    types = {}
    for index, name in enumerate(names):
        plain, whole, fraction, digits = row[4 * index : 4 * index + 4]
        if plain and whole + fraction <= _DIGITS_OF_DECIMAL:
            types[name] = f"DECIMAL({whole + fraction},{fraction})"
        elif digits > _DIGITS_OF_DOUBLE:
            types[name] = "VARCHAR"
    return types


def _measures(column: str) -> tuple[str, str, str, str]:
    number = f"trim({column})"
    return (
        f"coalesce(bool_and(regexp_matches({number}, {literal(_PLAIN)})), false)",
        f"coalesce(max(length(split_part(ltrim({number}, '-'), '.', 1))), 1)",
        f"coalesce(max(length(split_part({number}, '.', 2))), 0)",
        f"coalesce(max(length(regexp_replace(regexp_replace({number}, '[eE].*$', ''), '[^0-9]', '', 'g'))), 0)",
    )
