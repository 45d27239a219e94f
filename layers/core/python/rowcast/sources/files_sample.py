"""Whether what the beginning of a text file says of its form holds of the whole of it.

DuckDB's look at a whole file takes one processor longer than all processors need to read the file. So it looks at the
beginning, and one quick pass, which all processors share, proves that it would not have found otherwise. Where the
proof fails the file is looked at as a whole: it may still be of the same form.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast.sources import files_iso
from rowcast.sqltext import quote

if TYPE_CHECKING:
    import duckdb

ROWS = 20_480
"""At the beginning of a file."""
SAMPLE = f", sample_size={ROWS}"
FIRST_ROWS = 2048
"""Of those so many are looked at closer."""

_DIALECT = re.compile(r"delim='((?:[^']|'')*)', quote='((?:[^']|'')*)', escape='((?:[^']|'')*)'")
_DOUBLE_QUOTES = (("", ""), ('"', ""), ('"', '"'))
_BLOCK = 1 << 18
_FIELDS_SHOWN = 0.5
"""Of a JSON file's fields so many hold a value, at least: where most are missing, objects may be read as maps."""


class Form(msgspec.Struct, frozen=True):
    """`dialect`: arguments of read_csv. `separators`: how many of them all lines hold together; None where that makes
    no difference. One more at a line's end is an error to DuckDB's look, but not to its reader."""

    dialect: str
    separators: int | None


def csv_form(path: Path, dialect: str) -> Form | None:
    """A CSV file's form, from what its beginning gives, that also reads what is quoted further on; None where a look at
    the whole file may find another one.

    What separates values DuckDB decides by the first rows. Of the quotes that suit all rows it takes those in which a
    value stands: single ones, only if a value begins with one, and double ones as their own escape, unless another
    character comes before one.
    """
    found = _DIALECT.search(dialect)
    if (
        found is None
        or not found[1]
        or (found[2], found[3]) not in _DOUBLE_QUOTES
        or "skip=0, comment=''" not in dialect
    ):
        return None
    separator = found[1].replace("''", "'").encode()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:

        def holds(*texts: bytes) -> bool:
            return any(whole.find(text) >= 0 for text in texts)

        begun = (before + b"'" for before in (b"\n", b"\r", b" ", b"\t", separator))
        if whole[:1] == b"'" or (holds(b"'") and holds(*begun)):
            return None
        open_ended = _ends_lines(whole, separator)
        if not holds(b'"'):
            return Form(dialect, _count(whole, separator) if open_ended else None)
        if open_ended or holds(b"\\", b"'\""):
            return None
    return Form(f"{dialect[: found.start(2)]}\"', escape='\"'{dialect[found.end() :]}", None)


def _ends_lines(whole: mmap.mmap, text: bytes) -> bool:
    """Five times as fast as `find`, which looks closer at each byte that may be the beginning."""
    import numpy as np

    data = np.frombuffer(whole, np.uint8)
    for start in range(0, len(data), _BLOCK):
        before = data[max(0, start - 1) : start + _BLOCK]
        ends = before[:-1][(before[1:] == 10) | (before[1:] == 13)]
        if (ends == text[-1]).any():
            return True
    return bool(data[-1] == text[-1])


def _count(whole: mmap.mmap, text: bytes) -> int:
    return sum(whole[start : start + _BLOCK].count(text) for start in range(0, len(whole), _BLOCK))


def has_values(scan: str, types: Mapping[str, str], connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether each column of text has a value in a CSV file's first rows: without one its type says nothing.

    `scan`: a table function that reads the file, without `)`.
    """
    names = [quote(name) for name, kind in types.items() if kind == "VARCHAR"]
    if not names:
        return True
    first = f"SELECT {', '.join(names)} FROM {scan}, parallel=false) LIMIT {FIRST_ROWS}"
    counts = ", ".join(f"count({name}) > 0" for name in names)
    row = connection.execute(f"SELECT {counts} FROM ({first})").fetchone()
    return row is not None and all(row)


def csv_checks(types: Mapping[str, str], form: Form, headers: int) -> list[str]:
    """Aggregates that are true where all values are of the types that a CSV file's beginning gives, if each column is
    read as its type, but as text if it `is_proven_by_text`. Of fractions they prove nothing."""
    checks = [_csv_check(quote(name), kind) for name, kind in types.items()]
    if form.separators is not None:
        checks.append(f"(count(*) + {headers}) * {len(types) - 1} = {form.separators}")
    return checks


def is_proven_by_text(kind: str) -> bool:
    """Whether a CSV column of this type is read as text by what proves that it is of it."""
    return kind in ("BIGINT", "DOUBLE") or files_iso.is_temporal(kind)


def _csv_check(column: str, kind: str) -> str:
    if kind == "DOUBLE":
        return "true"
    if not is_proven_by_text(kind):
        return f"count({column}) >= 0"
    if kind == "BIGINT":  # DuckDB's own look takes a number with leading zeros for text, a reader does not
        holds = f"coalesce(TRY_CAST({column} AS BIGINT)::VARCHAR = {column}, false)"
    else:
        holds = f"{files_iso.is_iso(column, kind)} AND TRY_CAST({column} AS {kind}) IS NOT NULL"
    return f"coalesce(bool_and({holds} OR {column} IS NULL), true)"


def json_holds(scan: str, connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether all rows of a JSON file have the types that its beginning gives. `scan`: the table function, without `)`.

    Names that come later are errors in a reader that looked for names.
    """
    types = types_of(f"{scan}{SAMPLE})", connection)
    texts = f"{scan}{SAMPLE}, maximum_depth=1)"
    if (
        types_of(texts, connection) != dict.fromkeys(types, "JSON") or len(types) < 2
    ):  # a lone one may hold all of a row
        return False
    separator = _separator(texts, types, connection)
    if not _PROOFS.keys() >= set(types.values()):
        return False
    all_hold = " AND ".join(f"({_PROOFS[kind](quote(name), separator)})" for name, kind in types.items())
    counts = " + ".join(f"count({quote(name)})" for name in types)
    shown = f"{counts} >= {_FIELDS_SHOWN} * {len(types)} * count(*)"
    row = connection.execute(f"SELECT coalesce(bool_and({all_hold}), true), {shown} FROM {texts}").fetchone()
    return row is not None and all(row)


def types_of(scan: str, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {scan}").fetchall()}


def _separator(texts: str, types: Mapping[str, str], connection: duckdb.DuckDBPyConnection) -> str:
    """What stands between day and time: of all timestamps the same, since DuckDB may take one form for all columns."""
    of = [f"any_value(substr({quote(name)}::VARCHAR, 12, 1))" for name, kind in types.items() if kind == "TIMESTAMP"]
    if not of:
        return " "
    row = connection.execute(f"SELECT {of[0]} FROM (FROM {texts} LIMIT {FIRST_ROWS})").fetchone()
    return "T" if row is not None and row[0] == "T" else " "


_NUMBER = "ascii({0}) BETWEEN 45 AND 57"


def _integer(value: str, _: str) -> str:
    """Below zero or above: those that are both are a HUGEINT."""
    text = f"{value}::VARCHAR"
    fraction = " AND ".join(f"NOT contains({text}, '{mark}')" for mark in ".eE")
    return f"{_NUMBER.format(text)} AND strlen({text}) < 19 AND {fraction}"


def _natural(value: str, separator: str) -> str:
    return f"NOT starts_with({value}::VARCHAR, '-') AND {_integer(value, separator)}"


def _double(value: str, _: str) -> str:
    text = f"{value}::VARCHAR"
    return (
        f"{_NUMBER.format(text)} AND CASE WHEN contains({text}, 'e') OR contains({text}, 'E')"
        f" THEN isfinite(TRY_CAST({text} AS DOUBLE)) ELSE strlen({text}) < 16 OR contains({text}, '.') END"
    )


def _date(value: str, _: str) -> str:
    day = f"substr({value}::VARCHAR, 2, 10)"
    return f"strlen({value}::VARCHAR) = 12 AND coalesce(TRY_CAST({day} AS DATE)::VARCHAR = {day}, {value} IS NULL)"


def _timestamp(value: str, separator: str) -> str:
    instant = f"substr({value}::VARCHAR, 2, 19)"
    spelled = instant if separator == " " else f"concat(substr({instant}, 1, 10), ' ', substr({instant}, 12))"
    form = f"strlen({value}::VARCHAR) = 21"
    form += "" if separator == " " else f" AND substr({instant}, 11, 1) = '{separator}'"
    return f"{form} AND coalesce(TRY_CAST({instant} AS TIMESTAMP)::VARCHAR = {spelled}, {value} IS NULL)"


def _timestamptz(value: str, _: str) -> str:
    text = f"{value}::VARCHAR"
    offset = f"ends_with({text}, 'Z\"') OR substr({text}, -4, 1) IN ('+', '-') OR substr({text}, -7, 1) IN ('+', '-')"
    written = f"substr({text}, 2, strlen({text}) - 2)"
    holds = (
        f"{files_iso.is_iso(written, 'TIMESTAMP WITH TIME ZONE')} AND TRY_CAST({written} AS TIMESTAMPTZ) IS NOT NULL"
    )
    return f"strlen({text}) BETWEEN 22 AND 34 AND ({offset}) AND ({holds} OR {value} IS NULL)"


def _uuid(value: str, _: str) -> str:
    found = f"TRY_CAST(substr({value}::VARCHAR, 2, 36) AS UUID)"
    return f"strlen({value}::VARCHAR) = 38 AND ({found} IS NOT NULL OR {value} IS NULL)"


def _nothing(value: str, _: str) -> str:
    return f"{value} IS NULL"


_PROOFS: dict[str, Callable[[str, str], str]] = {
    "BOOLEAN": lambda value, _: f"{value}::VARCHAR IN ('true', 'false')",
    "BIGINT": _natural,
    "HUGEINT": _integer,
    "DOUBLE": _double,
    "VARCHAR": lambda value, _: f"ascii({value}::VARCHAR) = 34",
    "DATE": _date,
    "TIMESTAMP": _timestamp,
    "TIMESTAMP WITH TIME ZONE": _timestamptz,
    "UUID": _uuid,
    '"NULL"': _nothing,
}
"""By the type that the beginning gives: BOOLEAN, whether a value's JSON text is of it; never false where there is none.
What comes second stands between a timestamp's day and its time."""
