"""PostgreSQL's and its driver's errors as SourceFailed, without the row values that their texts may hold."""

from __future__ import annotations

import re
from typing import Any

from rowcast.errors import SourceFailed

_HINTS = {
    "25006": "The query must only read: it runs in a read-only transaction.",
    "28P01": "Check user and password in rowcast.yaml and its secret.",
    "28000": "Check the user, and that the server lets it in from here.",
    "3D000": "Check `database` in rowcast.yaml.",
    "42501": "Grant SELECT to the source's user.",
    "57014": "The query ran into its statement timeout: make it faster, or raise `statement_timeout`.",
    "40001": "The server broke off the reading transaction: the next run tries again.",
}
_SHOWN_CLASSES = frozenset({"08", "0A", "22", "23", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"})
"""SQLSTATE classes whose texts are the server's own. Others, such as a function's own RAISE, may say anything."""

_IN_STREAM = (
    (r"division by zero", "22012", "division by zero"),
    (r"invalid input syntax for type", "22P02", "a value has not the form of the type it is cast to"),
    (r"read-only transaction|read-write mode", "25006", "it tried to write"),
    (r"out of range", "22003", "a value is out of its type's range"),
    (r"canceling statement due to statement timeout", "57014", "statement timeout"),
    (r"canceling statement due to conflict with recovery", "40001", "conflict with recovery on a replica"),
    (r"terminating connection", "57P01", "the server ended the connection"),
    (
        r"server closed the connection|SSL SYSCALL|could not receive data|no connection",
        "08006",
        "the connection was lost",
    ),
)


def statement_failed(error: Exception, *, parsing: bool) -> SourceFailed:
    """`parsing`: no row was read yet, so that what the text quotes is the query's own."""
    state = getattr(error, "sqlstate", None) or ""
    primary = _detail(error, "PG_DIAG_MESSAGE_PRIMARY")
    if state[:2] not in _SHOWN_CLASSES:
        primary = ""
    elif not parsing or state[:2] in ("22", "23"):
        primary = re.sub(r'"[^"]*"?', '"…"', primary)
    text = f"PostgreSQL refused the query: {primary}" if primary else "PostgreSQL refused the query"
    position = _detail(error, "PG_DIAG_STATEMENT_POSITION") if parsing else ""
    where = f" at character {position}" if position else ""
    return _failure(f"{text}{where}", state)


def stream_failed(text: str) -> SourceFailed:
    """For a failure after the first rows: the driver passes on a text alone, which is recognised but never shown."""
    for pattern, state, meaning in _IN_STREAM:
        if re.search(pattern, text.split("\n", 1)[0]):
            return _failure(f"PostgreSQL broke off the result half way: {meaning}", state)
    return _failure("PostgreSQL broke off the result half way", "")


def not_a_select() -> SourceFailed:
    return SourceFailed("The query is no SELECT: write one SELECT, WITH … SELECT, VALUES or TABLE that only reads.")


def connection_failed(error: Exception, place: str, password: str | None) -> SourceFailed:
    """The driver's text names host, user and reason; it is shown without the password in any case."""
    text = str(error).split("\n\n", 1)[0]
    text = re.sub(r"^.*?Failed to connect: ", "", text, flags=re.DOTALL)
    if password:
        text = text.replace(password, "***")
    state = getattr(error, "sqlstate", None) or ("28P01" if "password authentication failed" in text else "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _failure(f"Cannot connect to {place}: {'; '.join(lines)}", state)


def _failure(text: str, state: str) -> SourceFailed:
    named = f"{text} (SQLSTATE {state})" if state.strip("0") else text
    hint = _HINTS.get(state)
    sentence = named if named.endswith((".", "?")) else f"{named}."
    return SourceFailed(f"{sentence} {hint}" if hint else sentence)


def _detail(error: Any, name: str) -> str:
    for key, value in getattr(error, "details", None) or ():
        if (key.decode() if isinstance(key, bytes) else key) == name:
            return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return ""
