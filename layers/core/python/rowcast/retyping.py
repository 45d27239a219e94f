"""Columns that are of another type than in the baseline, and the rows whose values don't compare for it."""

from __future__ import annotations

from typing import Any

from rowcast import bounds, chunks
from rowcast.chunks import WrittenChunk
from rowcast.compare import Sides
from rowcast.models import ColumnType, to_json

EXACT_FLOATS = 2**53
"""Below it every whole number has a float of its own."""


def suspects(sides: Sides) -> dict[str, tuple[ColumnType, ColumnType]]:
    """The columns whose types before and now are not one, with these."""
    before = {column.name: column.type for column in sides.old_common}
    return {
        column.name: (before[column.name], column.type) for column in sides.common if before[column.name] != column.type
    }


def note(chunk: WrittenChunk, among: dict[str, tuple[ColumnType, ColumnType]], retyped: dict[str, int]) -> None:
    """Counts, by column, the rows in which a column differs between two types whose values don't compare."""
    for change in bounds.read_stored(chunks.decoder, to_json(chunk)).chunk().changes:
        old, new = change.before or {}, change.after or {}
        for name in among.keys() & set(change.columns):
            if None not in (old.get(name), new.get(name)) and not _comparable(*among[name], old[name]):
                retyped[name] = retyped.get(name, 0) + 1


def _comparable(before: ColumnType, after: ColumnType, value: Any) -> bool:
    """Whether a value of one type compares with one of the other by what it is: numbers do while they are exact."""
    if {before, after} <= {"integer", "decimal"}:
        return True
    return (before, after) == ("integer", "float") and abs(value) < EXACT_FLOATS
