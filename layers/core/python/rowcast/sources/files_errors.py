"""Why a query over files failed, in words that hold no value of a row."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from rowcast.arrival import refusal_in
from rowcast.errors import SourceFailed

if TYPE_CHECKING:
    import duckdb

_LISTED = 20
_LONGEST_LINE = 2_000_000
"""Bytes, unless the query says otherwise."""
_TOO_LONG = "A line is longer than 2 MB: say how long, as in read_csv('{}', max_line_size = 10000000)."
_NO_CSV = (
    "It does not look like CSV, or its lines hold different numbers of fields: say how it is written, as in"
    " read_csv('{0}', delim = ';') or read_csv('{0}', null_padding = true)."
)
_KNOWN = (
    ("Maximum line size of", _TOO_LONG),
    ("not utf-8 encoded", "It is not in UTF-8: say its encoding, as in read_csv('{}', encoding = 'latin-1')."),
    ("sniffing file", _NO_CSV),
    ("CSV Sniffer", "It is empty, or not written as it is read."),
    ("Malformed JSON", "Its JSON is not valid."),
    ("Parquet file", "It is no Parquet file, or not whole."),
    ("duplicate key", "An object in it has one name twice: leave one."),
    ("GZIP", "It is not compressed with gzip, as its name says."),
)
"""What DuckDB says of a file, and what helps."""
_BEGINNINGS = (
    (b"\x1f\x8b", "It is compressed with gzip: name it {0}.gz, or read it with compression = 'gzip'."),
    (b"\xff\xfe", "It is in UTF-16: save it in UTF-8, or, if it is CSV, write read_csv('{0}', encoding = 'utf-16')."),
    (b"\xfe\xff", "It is in UTF-16: save it in UTF-8."),
)
"""How files begin that are not what their names say, and what helps."""


def failure(error: duckdb.Error, queried: Collection[str], existing: Collection[str], folder: Path) -> SourceFailed:
    """DuckDB's texts quote values and lines of files, except where it has only looked at the query.

    `queried` and `existing` are names of files: those that the query reads, which lie in `folder`, and all.
    """
    import duckdb

    text = str(error)
    if isinstance(error, duckdb.CatalogException):
        return SourceFailed(f"DuckDB refused the query: {text.splitlines()[0]} The files are: {names(existing)}.")
    if isinstance(error, duckdb.BinderException | duckdb.ParserException | duckdb.PermissionException):
        return SourceFailed(f"DuckDB refused the query: {text.splitlines()[0]}")
    if ours := refusal_in(text):
        return SourceFailed(ours)
    kind = type(error).__name__
    known = next((words for part, words in _KNOWN if part in text), None)
    line = re.search(r"CSV Error on Line: (\d+)", text)
    if known is None and line is None and isinstance(error, duckdb.ConversionException):
        return SourceFailed("A cast in the query fails for a value: TRY_CAST gives null instead.")
    if known is None and line is None:
        return SourceFailed(f"The query failed over its files ({kind}).")
    one = next(iter(queried)) if len(queried) == 1 else "A file"
    file = next((name for name in sorted(queried, key=len, reverse=True) if name in text), one)
    where = f" at line {line[1]}" if line else ""
    known = _seen_in(folder / file) or known
    return SourceFailed(f"{file} cannot be read{where} ({kind}). {(known or '').format(file)}".rstrip())


def ragged(file: str) -> SourceFailed:
    return SourceFailed(
        f"The lines of {file} hold different numbers of fields, so that its first line could not be taken for names:"
        " perhaps a line has a separator or a quote too many or too few. Mend it, or say how it is written, as in"
        f" read_csv('{file}', null_padding = true), or with strict_mode = false for stray quotes,"
        " or with skip = 2 for lines before the names."
    )


def _seen_in(path: Path) -> str:
    """What the file itself shows to be wrong with it, in words; "" for nothing, and for a file that is not there."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        beginning = file.read(2)
        for known, words in _BEGINNINGS:
            if beginning == known and not path.name.endswith(".gz"):
                return words
        file.seek(0)
        is_text = path.suffix.lower() in (".csv", ".tsv")
        too_long = is_text and any(
            len(line) > _LONGEST_LINE for line in iter(lambda: file.readline(_LONGEST_LINE + 1), b"")
        )
    return _TOO_LONG if too_long else ""


def names(files: Collection[str]) -> str:
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return ", ".join(sorted(files)[:_LISTED]) + more
