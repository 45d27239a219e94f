"""Names and texts inside DuckDB SQL."""

from __future__ import annotations


def quote(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def reference(name: str, table: str = "") -> str:
    """A column, of the table alias `table` if one is given; the alias is taken as it is."""
    return f"{table}.{quote(name)}" if table else quote(name)
