"""How a chunk is stored.

Version 1 holds each change as an object with both rows whole. Version 2 names the columns once and holds a change as an
array, without what can be told from the rest:

    added    [key hash, id, values]
    removed  [key hash, id, values before]
    changed  [key hash, id, values before, names that differ, [place, value, place, value, …]]

The places are those among the columns after, of the values that are not before just as they are after.

Version 3, what the diff writes, holds column by column, as `table` describes, what is in version 2, but for key hashes
and ids: they are made when it is read, of the keys' canonical texts and the rows' fingerprints.

Changes of rows with a debt have more to tell; they come first, as objects.
"""

from __future__ import annotations

import hashlib
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from rowcast.models import Change, Chunk, Operation, Row, frame, framed


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


class Table(msgspec.Struct, kw_only=True):
    """Changes of one operation, column by column.

    `keys`: canonical texts, of which a key's hash is the hash. `prints`: base64 of 32 bytes a change, the row's
    fingerprints before and after; zeros where there is no such row. `before`: the columns before; `after`: of added
    rows, the columns after. Of changed rows `given` holds, of each column in which rows have another text after, its
    place, the numbers of those rows (null: all), and the texts; `equal` of some of these columns place and rows whose
    values are equal all the same. Values are JSON.
    """

    keys: list[str]
    prints: str
    before: list[list[Any]] = []
    after: list[list[Any]] = []
    given: list[tuple[int, list[int] | None, list[Any]]] = []
    equal: list[tuple[int, list[int]]] = []

    def changes(self, operation: Operation, layout: Layout, naming: Naming) -> Iterator[Change]:
        before, after = self._rows(operation, layout)
        names = self._names(layout)
        hashes = [hashlib.sha256(key.encode()).hexdigest()[:32] for key in self.keys]
        ids = naming.ids(hashes, b64decode(self.prints).hex())
        for key_hash, id_, columns, old, new in zip(hashes, ids, names, before, after, strict=True):
            named = new or old or {}
            yield Change(
                operation=operation,
                key=[named[name] for name in layout.key],
                key_hash=key_hash,
                id=id_,
                columns=columns,
                before=old,
                after=new,
            )

    def _rows(self, operation: Operation, layout: Layout) -> tuple[Sequence[Row | None], Sequence[Row | None]]:
        none: list[Row | None] = [None] * len(self.keys)
        if operation == "added":
            return none, _dicts(layout.after, self.after)
        before = _dicts(layout.before, self.before)
        if operation == "removed":
            return before, none
        old = dict(zip(layout.before, self.before, strict=True))
        after = [list(old[name]) if name in old else list(none) for name in layout.after]
        for place, rows, values in self.given:
            column = after[place]
            for row, value in zip(range(len(column)) if rows is None else rows, values, strict=True):
                column[row] = value
        return before, _dicts(layout.after, after)

    def _names(self, layout: Layout) -> list[list[str]]:
        """Of each change, the columns that differ: only those that both sides have can."""
        found: list[list[str]] = [[] for _ in self.keys]
        equal = {place: set(rows) for place, rows in self.equal}
        for place, rows, _ in self.given:
            name, same = layout.after[place], equal.get(place, set())
            if name in layout.before:
                for row in range(len(found)) if rows is None else rows:
                    if row not in same:
                        found[row].append(name)
        return found


def _dicts(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[Row | None]:
    names = [sys.intern(name) for name in names]  # code that asks for a name need not compare its characters then
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


class Naming(msgspec.Struct, kw_only=True, frozen=True):
    """What a change's id is made of beside its row."""

    sync: str
    destination: str
    generation: int

    def ids(self, key_hashes: Iterable[str], prints: str) -> Iterator[str]:
        """`models.change_id` of rows whose fingerprints before and after are in `prints`, 64 hex digits a row."""
        first = framed(self.sync) + framed(self.destination) + frame(32)
        last = framed(str(self.generation))
        for number, key_hash in enumerate(key_hashes):
            at = 64 * number
            sides = _framed_print(prints[at : at + 32]) + _framed_print(prints[at + 32 : at + 64])
            yield hashlib.sha256(first + key_hash.encode() + sides + last).hexdigest()[:32]


_NO_PRINT = "0" * 32
_NOTHING, _PRINT = frame(0), frame(36)


def _framed_print(digits: str) -> bytes:
    """As a UUID is spelled."""
    if digits == _NO_PRINT:
        return _NOTHING
    spelled = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return _PRINT + spelled.encode()


class WrittenTable(msgspec.Struct, kw_only=True):
    """A Table whose columns are JSON already."""

    keys: msgspec.Raw
    prints: str
    before: list[msgspec.Raw] = []
    after: list[msgspec.Raw] = []
    given: list[tuple[int, list[int] | None, msgspec.Raw]] = []
    equal: list[tuple[int, list[int]]] = []


class WrittenChunk(msgspec.Struct, kw_only=True):
    """A chunk in version 3, whose changes are JSON already."""

    version: Literal[3] = 3
    sync: str
    run: str
    id: str
    operation: Operation
    layout: Layout
    destination: str
    generation: int
    changes: list[msgspec.Raw]
    table: WrittenTable | None


class StoredChunk(msgspec.Struct, kw_only=True):
    """A chunk as it is read, in any version."""

    version: Literal[1, 2, 3] = 1
    sync: str
    run: str
    id: str
    changes: list[Change]
    settled: list[str] = []
    operation: Operation = "changed"
    layout: Layout | None = None
    rows: list[list[Any]] = []
    destination: str = ""
    generation: int = 0
    table: Table | None = None

    def chunk(self) -> Chunk:
        layout = self.layout or Layout(key=[], before=[], after=[])
        rows = [layout.change(self.operation, row) for row in self.rows]
        if self.table is not None:
            naming = Naming(sync=self.sync, destination=self.destination, generation=self.generation)
            rows += self.table.changes(self.operation, layout, naming)
        return Chunk(sync=self.sync, run=self.run, id=self.id, changes=self.changes + rows, settled=self.settled)


decoder = msgspec.json.Decoder(StoredChunk, float_hook=Decimal)


class Batch(msgspec.Struct, kw_only=True):
    """Changes of one operation, in order. `sizes`: of each, the bytes of both sides' JSON. `part`: some of them, from
    one to before another. `owed`: they carry a debt."""

    operation: Operation
    sizes: Sequence[int]
    part: Callable[[int, int], Any]
    owed: bool = False


class Filling(msgspec.Struct, kw_only=True):
    """What goes into one chunk: parts of batches."""

    operation: Operation
    owed: list[Any] = []
    rows: list[Any] = []
    count: int = 0
    bytes: int = 0

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
        (self.owed if batch.owed else self.rows).append(batch.part(start, end))
        self.count += end - start
        self.bytes += sum(batch.sizes[start:end])


def cut(batches: Iterable[Batch], most: int, most_bytes: int) -> Iterator[Filling]:
    """Groups by operation, up to `most` changes and bytes; a change larger than that has a group of its own. Changes
    with a debt are expected before all others."""
    fillings: dict[str, Filling] = {}
    for batch in batches:
        start = 0
        while start < len(batch.sizes):
            filling = fillings.setdefault(batch.operation, Filling(operation=batch.operation))
            end = start + filling.room(batch.sizes[start : start + most], most, most_bytes)
            if end == start:
                yield fillings.pop(batch.operation)
            else:
                filling.add(batch, start, end)
            start = end
    yield from (filling for _, filling in sorted(fillings.items()))
