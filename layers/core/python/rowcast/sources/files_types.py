"""How DuckDB is told to read text files, so that types do not depend on a sample and decimals stay exact."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rowcast.sources import files_errors, files_iso, files_json, files_sample
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
    r", columns=\{"
)
_SEPARATOR = re.compile(r"[,;|\t]")
_PLAIN = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_DIGITS_OF_DOUBLE = 15
_LEAST_EXACT_DOUBLE = 2.3e-308
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
        if plain and _holds(f"{function}({paths}", connection):
            return files_sample.SAMPLE
        return _WHOLE_FILE + _exact_columns(files_json.exact_types(f"{function}({paths}", given, connection))
    if plain and (proven := _proven(paths, given, connection)):
        return proven
    form = _settled(partial(_look, paths, given, _WHOLE_FILE, connection), paths, given, connection) if plain else None
    form = form or _settled(partial(_look_again, paths, given, connection), paths, given, connection)
    assert form is not None
    fractions = [name for name, kind in form.types.items() if kind == "DOUBLE"]
    return form.reading(_exact_types(paths, given, fractions, form.reading, connection))


class _Form(msgspec.Struct, frozen=True):
    """How files are read. `types`: of the columns, as they were found; DuckDB was told those that are `said`. `known`:
    `arguments` say how a file is written, so that no reader has to look again."""

    arguments: str
    types: dict[str, str]
    said: dict[str, str]
    known: bool

    def reading(self, types: dict[str, str]) -> str:
        """Arguments for a reader, which does not look at the whole of one file first; `types` go before those found."""
        if self.known:
            return f"{self.arguments}, columns={_struct(self.types | types)}"
        return self.arguments + _said(self.said | types)


def _exact_columns(types: dict[str, str]) -> str:
    return f", columns={_struct(types)}" if types else ""


def _said(types: dict[str, str]) -> str:
    return f", types={_struct(types)}" if types else ""


def _struct(texts: dict[str, str]) -> str:
    return "{" + ", ".join(f"{literal(name)}: {literal(text)}" for name, text in texts.items()) + "}"


def _is_one_file(paths: str) -> bool:
    return paths.startswith("'") and not _PATTERN.search(paths)


def _look(
    paths: str, given: str, sample: str, connection: duckdb.DuckDBPyConnection, said: dict[str, str]
) -> _Form | None:
    """Done once for all the readings of one file; None where DuckDB does not say how it is written."""
    arguments = f"{given}{sample}{files_iso.day_format(given)}{_said(said)}"
    row = connection.execute(f"SELECT prompt, columns, SkipRows FROM sniff_csv({paths}{arguments})").fetchone()
    match = _PROMPT.search(row[0]) if row else None
    if row is None or match is None:
        return None
    types = {column["name"]: column["type"] for column in row[1]}
    _refuse_ragged(paths, row[2], types)
    header = "" if given else match[2]
    return _Form(f", {match[1]}{header}", types, said, known=True)


def _refuse_ragged(paths: str, skipped: int, types: dict[str, str]) -> None:
    """DuckDB leaves out lines until all have as many fields as the first, or takes each line for one field."""
    file = _path(paths)
    if (len(types) == 1 and _SEPARATOR.search(next(iter(types)))) or (skipped and _has_text(file, skipped)):
        raise files_errors.ragged(file.name)


def _has_text(file: Path, lines: int) -> bool:
    with (gzip.open if file.suffix.lower() == ".gz" else open)(file, "rb") as found:
        return any(found.readline().strip() for _ in range(lines))


def _path(paths: str) -> Path:
    return Path(paths[1:-1].replace("''", "'"))


def _look_again(paths: str, given: str, connection: duckdb.DuckDBPyConnection, said: dict[str, str]) -> _Form:
    scan, arguments = f"read_csv({paths}{given}", _WHOLE_FILE + files_iso.day_format(given)
    types = files_sample.types_of(f"{scan}{arguments}{_said(said)})", connection)
    if any(map(files_iso.is_temporal, types.values())):  # but not of a path's parts, of which no type can be said
        texts = files_sample.types_of(f"{scan}, all_varchar=true)", connection)
        types = {name: kind for name, kind in types.items() if texts.get(name, "VARCHAR") == "VARCHAR"}
    return _Form(arguments, types, said, known=False)


def _settled(
    look: Callable[[dict[str, str]], _Form | None],
    paths: str,
    given: str,
    connection: duckdb.DuckDBPyConnection,
    rows: str = "",
) -> _Form | None:
    """The form in which only what is written as in ISO 8601 is a day or an instant, unless the query says formats.

    DuckDB finds one format for the instants of all columns, so it looks anew without those that have to stay text.
    """
    form = look({})
    while form and (texts := _not_iso(form, paths, given, rows, connection)):
        form = look(form.said | dict.fromkeys(texts, "VARCHAR"))
    return form


def _not_iso(form: _Form, paths: str, given: str, rows: str, connection: duckdb.DuckDBPyConnection) -> list[str]:
    kinds = {name: kind for name, kind in form.types.items() if files_iso.is_temporal(kind)}
    if not kinds or files_iso.says_formats(given):
        return []
    scan = f"read_csv({paths}{form.reading(dict.fromkeys(kinds, 'VARCHAR'))}{given})"
    checks = [f"coalesce(bool_and({files_iso.is_iso(quote(name), kind)}), true)" for name, kind in kinds.items()]
    return [
        name
        for name, holds in zip(kinds, _one_row(f"(FROM {scan}{rows})", checks, connection), strict=True)
        if not holds
    ]


def _holds(scan: str, connection: duckdb.DuckDBPyConnection) -> bool:
    import duckdb

    try:
        return files_sample.json_holds(scan, connection)
    except duckdb.Error:  # a row is of another form than the first ones
        return False


def _proven(paths: str, given: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Arguments that the beginning of a CSV file gives and that all of it is read with; "" without that proof."""
    import duckdb

    file = _path(paths)
    if file.suffix.lower() == ".gz" or not file.is_file() or not file.stat().st_size:
        return ""
    try:
        look = partial(_look, paths, given, files_sample.SAMPLE, connection)
        found = _settled(look, paths, given, connection, f" LIMIT {files_sample.FIRST_ROWS}")
        form = files_sample.csv_form(file, found.arguments) if found else None
        if found is None or form is None:
            return ""
        found = msgspec.structs.replace(found, arguments=form.dialect)
        if not files_sample.has_values(f"read_csv({paths}{found.reading({})}{given}", found.types, connection):
            return ""
        fractions = [name for name, kind in found.types.items() if kind == "DOUBLE"]
        texts = {name: "VARCHAR" for name, kind in found.types.items() if files_sample.is_proven_by_text(kind)}
        scan = f"read_csv({paths}{found.reading(texts)}{given})"
        checks = files_sample.csv_checks(found.types, form, headers=int("header=true" in form.dialect or bool(given)))
        decimals = _decimals(scan, fractions, connection, checks)
    except duckdb.Error:  # a row is of another form than the first ones
        return ""
    return found.reading(decimals) if decimals is not None and len(decimals) == len(fractions) else ""


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
    beyond = _one_row(scan, [_is_beyond(quote(name)) for name in names], connection)
    return {name: "VARCHAR" for name, found in zip(names, beyond, strict=True) if found}


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


def _is_beyond(column: str) -> str:
    """Whether a float loses a digit of any, or is so large or so near to zero that it may lose all of them. Looked at
    only where it matters: it takes twice as long as all the others."""
    digits = f"regexp_replace(regexp_replace(trim({column}), '[eE].*$', ''), '[^0-9]', '', 'g')"
    size = f"abs(TRY_CAST({column} AS DOUBLE))"
    outside = f"(isinf({size}) OR {size} < {_LEAST_EXACT_DOUBLE}) AND regexp_matches({digits}, '[1-9]')"
    return f"coalesce(bool_or(length({digits}) > {_DIGITS_OF_DOUBLE} OR {outside}), false)"
