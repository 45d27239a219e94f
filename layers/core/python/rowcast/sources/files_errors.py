"""Why a query over files failed, in words that hold no value of a row."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from rowcast.arrival import refusal_in
from rowcast.errors import SourceFailed

if TYPE_CHECKING:
    import duckdb

_LISTED = 20
_KNOWN = (
    ("not utf-8 encoded", "It is not in UTF-8: say its encoding, as in read_csv('{}', encoding = 'latin-1')."),
    ("sniffing file", "It does not look like CSV: say how it is written, as in read_csv('{}', delim = ';')."),
    ("CSV Sniffer", "It is empty, or not written as it is read."),
    ("Malformed JSON", "Its JSON is not valid."),
    ("Parquet file", "It is no Parquet file, or not whole."),
    ("GZIP", "It is not compressed with gzip, as its name says."),
)
"""What DuckDB says of a file, and what helps."""


def failure(error: duckdb.Error, queried: Collection[str], existing: Collection[str]) -> SourceFailed:
    """DuckDB's texts quote values and lines of files, except where it has only looked at the query.

    `queried` and `existing` are names of files: those that the query reads, and all.
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
    return SourceFailed(f"{file} cannot be read{where} ({kind}). {(known or '').format(file)}".rstrip())


def names(files: Collection[str]) -> str:
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return ", ".join(sorted(files)[:_LISTED]) + more
