"""Which texts of a file are days and instants as ISO 8601 writes them: DuckDB also takes others for them, by guessing
what stands first, and drops what is smaller than a microsecond."""

from __future__ import annotations

import re

from rowcast.sqltext import literal

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_ZONE = "(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
_ISO = {
    "DATE": _DAY,
    "TIME": _TIME,
    "TIMESTAMP": f"{_DAY}([T ]{_TIME})?",
    "TIMESTAMP WITH TIME ZONE": f"{_DAY}([T ]{_TIME}{_ZONE})?",
}
_FORMATS = re.compile(r"\b(dateformat|date_format|timestampformat|timestamp_format)\s*(:=|=)", re.IGNORECASE)


def day_format(given: str) -> str:
    """An argument for a reader of CSV, which finds one format for the days of all columns; `given`: the query's own."""
    return "" if says_formats(given) else ", dateformat='%Y-%m-%d'"


def is_temporal(kind: str) -> bool:
    return kind in _ISO


def says_formats(given: str) -> bool:
    """Whether the arguments that a query gives a reader say how days or instants are written."""
    return bool(_FORMATS.search(given))


def is_iso(text: str, kind: str) -> str:
    """BOOLEAN: whether a text is a day, time or instant of DuckDB's type `kind`; NULL for null."""
    return f"regexp_matches({text}, {literal(f'^ *{_ISO[kind]} *$')})"
