"""How a chunk is stored.

Version 1 holds each change as an object with both rows whole. Version 2, what the diff writes, names the columns once
and holds a change as an array, without what can be told from the rest:

    added    [key hash, id, values]
    removed  [key hash, id, values before]
    changed  [key hash, id, values before, names that differ, [place, value, place, value, …]]

The places are those among the columns after, of the values that are not before just as they are after. Changes of rows
with a debt have more to tell; they come first, as objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from rowcast.models import Change, Chunk, Operation, Row


class Layout(msgspec.Struct, kw_only=True, frozen=True):
    """The names of the columns, in the order of the values; `key` is among both."""

    key: list[str]
    before: list[str]
    after: list[str]

    def change(self, operation: Operation, row: Sequence[Any]) -> Change:
        """The change that an array holds."""
        before, after = self._sides(operation, row)
        named = after if after is not None else before or {}
        return Change(
            operation=operation,
            key=[named[name] for name in self.key],
            key_hash=row[0],
            id=row[1],
            columns=row[3] if operation == "changed" else [],
            before=before,
            after=after,
        )

    def _sides(self, operation: Operation, row: Sequence[Any]) -> tuple[Row | None, Row | None]:
        if operation == "added":
            return None, dict(zip(self.after, row[2], strict=True))
        before = dict(zip(self.before, row[2], strict=True))
        if operation == "removed":
            return before, None
        after = {name: before.get(name) for name in self.after}
        places = iter(row[4])
        after.update((self.after[place], value) for place, value in zip(places, places, strict=True))
        return before, after


class WrittenChunk(msgspec.Struct, kw_only=True):
    """A chunk in version 2, whose changes are JSON already."""

    version: Literal[2] = 2
    sync: str
    run: str
    id: str
    operation: Operation
    layout: Layout
    changes: list[msgspec.Raw]
    rows: msgspec.Raw


class StoredChunk(msgspec.Struct, kw_only=True):
    """A chunk as it is read, in either version."""

    version: Literal[1, 2] = 1
    sync: str
    run: str
    id: str
    changes: list[Change]
    settled: list[str] = []
    operation: Operation = "changed"
    layout: Layout | None = None
    rows: list[list[Any]] = []

    def chunk(self) -> Chunk:
        layout = self.layout or Layout(key=[], before=[], after=[])
        rows = [layout.change(self.operation, row) for row in self.rows]
        return Chunk(sync=self.sync, run=self.run, id=self.id, changes=self.changes + rows, settled=self.settled)


decoder = msgspec.json.Decoder(StoredChunk, float_hook=Decimal)
row_decoder = msgspec.json.Decoder(list[Any], float_hook=Decimal)


class Batch(msgspec.Struct, kw_only=True):
    """Changes of one operation, in order. `sizes`: of each, the bytes of both sides' JSON. `owed`: the texts are
    objects, for they carry a debt."""

    operation: Operation
    texts: Sequence[str]
    sizes: Sequence[int]
    owed: bool = False


class Filling(msgspec.Struct, kw_only=True):
    """What goes into one chunk."""

    operation: Operation
    owed: list[str] = []
    rows: list[str] = []
    bytes: int = 0

    @property
    def count(self) -> int:
        return len(self.owed) + len(self.rows)

    def room(self, sizes: Sequence[int], most: int, most_bytes: int) -> int:
        """How many of the changes of these sizes fit in; a change that is too large fits where nothing else is."""
        sizes = sizes[: most - self.count]
        if self.bytes + sum(sizes) <= most_bytes:
            return len(sizes)
        bytes_ = self.bytes
        for place, size in enumerate(sizes):
            bytes_ += size
            if bytes_ > most_bytes and self.count + place:
                return place
        return len(sizes)

    def add(self, batch: Batch, start: int, end: int) -> None:
        (self.owed if batch.owed else self.rows).extend(batch.texts[start:end])
        self.bytes += sum(batch.sizes[start:end])


def cut(batches: Iterable[Batch], most: int, most_bytes: int) -> Iterator[Filling]:
    """Groups by operation, up to `most` changes and bytes; a change larger than that has a group of its own. Changes
    with a debt are expected before all others."""
    fillings: dict[str, Filling] = {}
    for batch in batches:
        start = 0
        while start < len(batch.texts):
            filling = fillings.setdefault(batch.operation, Filling(operation=batch.operation))
            end = start + filling.room(batch.sizes[start : start + most], most, most_bytes)
            if end == start:
                yield fillings.pop(batch.operation)
            filling.add(batch, start, end)
            start = end
    yield from (filling for _, filling in sorted(fillings.items()))
