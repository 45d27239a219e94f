"""How DuckDB is told to read text files, so that types do not depend on a sample and decimals stay exact."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rowcast.sources import files_sample
from rowcast.sqltext import literal, quote

if TYPE_CHECKING:
    import duckdb

HEADER = ", header = true"
"""For a file that stands as a table: DuckDB would take a lone line of names for a row if one reads like a value."""
_WHOLE_FILE = ", sample_size=-1"
_SNIFFING = ("read_csv", "read_json", "read_ndjson")
_TYPED = re.compile(
    r"\b(types|dtypes|column_types|columns|all_varchar|auto_detect|auto_type_candidates|sample_size)\s*(:=|=)",
    re.IGNORECASE,
)
_PATTERN = re.compile(r"[*?\[]")
_PROMPT = re.compile(
    r"(auto_detect=false, .*?comment='[^']*')(, header=(?:true|false))?"
    r", columns=\{.*\}((?:, (?:date|timestamp)format='[^']*')*)"
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
    plain = given in ("", HEADER) and _is_one_file(paths)
    if not function.startswith("read_csv"):
        return files_sample.SAMPLE if plain and _holds(f"{function}({paths}", connection) else _WHOLE_FILE
    if plain and (proven := _proven(paths, given, connection)):
        return proven
    dialect = _dialect(paths, given, _WHOLE_FILE, connection) if plain else None
    if dialect is None:
        rows = connection.execute(f"DESCRIBE FROM read_csv({paths}{given}{_WHOLE_FILE})").fetchall()
        found, reading = {row[0]: row[1] for row in rows}, _looking_again
    else:
        found, reading = dialect.types, dialect.reading
    fractions = [name for name, kind in found.items() if kind == "DOUBLE"]
    return reading(_exact_types(paths, given, fractions, reading, connection))


def _looking_again(types: dict[str, str]) -> str:
    return _WHOLE_FILE + (f", types={_struct(types)}" if types else "")


class _Dialect(msgspec.Struct, frozen=True):
    """How one file is written, as arguments, and the types of its columns."""

    arguments: str
    types: dict[str, str]

    def reading(self, types: dict[str, str]) -> str:
        """Arguments that read the file without looking at the whole of it first; `types` go before those found."""
        return f"{self.arguments}, columns={_struct(self.types | types)}"


def _struct(texts: dict[str, str]) -> str:
    return "{" + ", ".join(f"{literal(name)}: {literal(text)}" for name, text in texts.items()) + "}"


def _is_one_file(paths: str) -> bool:
    return paths.startswith("'") and not _PATTERN.search(paths)


def _dialect(paths: str, given: str, sample: str, connection: duckdb.DuckDBPyConnection) -> _Dialect | None:
    """Found once for all the readings of one file; None where DuckDB does not say it."""
    row = connection.execute(f"SELECT prompt, columns FROM sniff_csv({paths}{given}{sample})").fetchone()
    match = _PROMPT.search(row[0]) if row else None
    if row is None or match is None:
        return None
    types = {column["name"]: column["type"] for column in row[1]}
    header = "" if given else match[2]
    return _Dialect(f", {match[1]}{header}{match[3]}", types)


def _holds(scan: str, connection: duckdb.DuckDBPyConnection) -> bool:
    import duckdb

    try:
        return files_sample.json_holds(scan, connection)
    except duckdb.Error:  # a row is of another form than the first ones
        return False


def _proven(paths: str, given: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Arguments that the beginning of a CSV file gives and that all of it is read with; "" without that proof."""
    import duckdb

    file = Path(paths[1:-1].replace("''", "'"))
    if file.suffix.lower() == ".gz" or not file.is_file() or not file.stat().st_size:
        return ""
    try:
        dialect = _dialect(paths, given, files_sample.SAMPLE, connection)
        form = files_sample.csv_form(file, dialect.arguments) if dialect is not None else None
        if dialect is None or form is None:
            return ""
        dialect = msgspec.structs.replace(dialect, arguments=form.dialect)
        if not files_sample.has_values(f"read_csv({paths}{dialect.reading({})}{given}", dialect.types, connection):
            return ""
        fractions = [name for name, kind in dialect.types.items() if kind == "DOUBLE"]
        texts = {name: "VARCHAR" for name, kind in dialect.types.items() if kind in ("BIGINT", "DOUBLE")}
        scan = f"read_csv({paths}{dialect.reading(texts)}{given})"
        checks = files_sample.csv_checks(dialect.types, form, headers=int("header=true" in form.dialect or bool(given)))
        decimals = _decimals(scan, fractions, connection, checks)
    except duckdb.Error:  # a row is of another form than the first ones
        return ""
    return dialect.reading(decimals) if decimals is not None and len(decimals) == len(fractions) else ""


def _exact_types(
    paths: str,
    given: str,
    names: list[str],
    reading: Callable[[dict[str, str]], str],
    connection: duckdb.DuckDBPyConnection,
) -> dict[str, str]:
    """For columns of numbers with fractions: the DECIMAL that holds them all, else DOUBLE where that loses no digit."""
    if not names:
        return {}
    scan = f"read_csv({paths}{reading(dict.fromkeys(names, 'VARCHAR'))}{given})"
    decimals = _decimals(scan, names, connection) or {}
    others = [name for name in names if name not in decimals]
    return decimals | _beyond_doubles(scan, others, connection)


def _decimals(
    scan: str, names: Sequence[str], connection: duckdb.DuckDBPyConnection, checks: Sequence[str] = ()
) -> dict[str, str] | None:
    """By name the DECIMAL that holds the whole column, where one does. None where one of the `checks` is false."""
    types = {}
    measures = [measure for name in names for measure in _measures(quote(name))]
    measured = _one_row(scan, [*measures, *checks], connection)
    if not all(measured[len(measures) :]):
        return None
    for index, name in enumerate(names):
        plain, whole, fraction = measured[3 * index : 3 * index + 3]
        if plain and whole + fraction <= _DIGITS_OF_DECIMAL:
            types[name] = f"DECIMAL({whole + fraction},{fraction})"
    return types


def _beyond_doubles(scan: str, names: Sequence[str], connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    if not names:
        return {}
    digits = _one_row(scan, [_digits(quote(name)) for name in names], connection)
    return {name: "VARCHAR" for name, count in zip(names, digits, strict=True) if count > _DIGITS_OF_DOUBLE}


def _one_row(scan: str, expressions: Sequence[str], connection: duckdb.DuckDBPyConnection) -> tuple[Any, ...]:
    row = connection.execute(f"SELECT {', '.join(expressions)} FROM {scan}").fetchone()
    assert row is not None
    return tuple(row)


def _measures(column: str) -> tuple[str, str, str]:
    """Whether all are plain decimals, and then the most digits before and after the point."""
    number = f"trim({column})"
    point = f"strpos({number}, '.')"
    before = f"CASE WHEN {point} > 0 THEN {point} - 1 ELSE strlen({number}) END"
    return (
        f"coalesce(bool_and(regexp_matches({number}, {literal(_PLAIN)})), false)",
        f"coalesce(max({before} - starts_with({number}, '-')::INTEGER), 1)",
        f"coalesce(max(CASE WHEN {point} > 0 THEN strlen({number}) - {point} ELSE 0 END), 0)",
    )


def _digits(column: str) -> str:
    """Looked at only where it matters: it takes twice as long as all the others."""
    significant = f"regexp_replace(regexp_replace(trim({column}), '[eE].*$', ''), '[^0-9]', '', 'g')"
    return f"coalesce(max(length({significant})), 0)"
