"""Names and texts inside DuckDB SQL."""

from __future__ import annotations

from pathlib import Path

RESERVED = ("_rowcast", "_key_hash", "_fingerprint")
"""How the names begin that no column of a source may have, in any case. Beside such columns our SQL gives no other
names to its own columns and lambda variables, since DuckDB takes a source's column for them wherever it can."""
TAKEN = ("file_row_number",)
"""Names that no column of a source may have either: read_parquet's own columns, by which rows are found again."""


def quote(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def place(path: Path) -> str:
    """A file or folder as a text."""
    return literal(str(path))


def own(name: str) -> str:
    """Such a name, as it stands in SQL."""
    return f"{RESERVED[0]}_{name}"


def reference(name: str, table: str = "") -> str:
    """A column, of the table alias `table` if one is given; the alias is taken as it is."""
    return f"{table}.{quote(name)}" if table else quote(name)
