"""Parquet files taken apart by whole column chunks: some columns left out, several files made one, no page decoded.

Only the footer is read and written: a struct of Thrift's compact protocol. Ids of fields are those of `parquet.thrift`.
https://github.com/apache/parquet-format, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rowcast.checksums import Checksum

_MAGIC = b"PAR1"
_TRUE, _FALSE, _BYTE, _I16, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 4, 6, 7, 8, 9, 10, 12
_SCHEMA, _ROWS, _GROUPS, _ORDERS = 2, 3, 4, 7  # of FileMetaData
_CHILDREN, _NAME = 5, 4  # of SchemaElement
_COLUMNS, _GROUP_BYTES, _GROUP_START, _GROUP_COMPRESSED, _ORDINAL = 1, 2, 5, 6, 7  # of RowGroup
_CHUNK_START, _META = 2, 3  # of ColumnChunk, whose other fields name indexes outside the chunk
_UNCOMPRESSED, _COMPRESSED, _DATA, _DICTIONARY = 6, 7, 9, 11  # of ColumnMetaData
_OUTSIDE = (10, 14, 15)  # of ColumnMetaData: index pages and Bloom filters

Struct = dict[int, tuple[int, Any]]
"""By field id: Thrift's type and the value. A list's value is the type of its items, and the items."""


def without_columns(paths: Sequence[Path], target: Path, dropped: Sequence[str]) -> str:
    """Writes the row groups of files of one flat schema, in order, without these columns; the file's checksum."""
    footer: Struct = {}
    groups: list[Struct] = []
    checksum = Checksum()
    with target.open("wb") as out:

        def put(data: Any) -> None:
            checksum.update(data)
            out.write(data)

        put(_MAGIC)
        for path in paths:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
                found = _footer(whole)
                kept = _kept(found, dropped)
                for group in found[_GROUPS][1][1]:
                    starts = _shifted(group, kept, out.tell())
                    group[_ORDINAL] = (_I16, len(groups))
                    groups.append(group)
                    with memoryview(whole) as view:
                        for start, end in _runs(starts):
                            with view[start:end] as part:
                                put(part)
            footer = _joined(footer, found, kept)
        footer[_GROUPS] = (_LIST, (_STRUCT, groups))
        text = b"".join(_struct_bytes(footer))
        put(text + len(text).to_bytes(4, "little") + _MAGIC)
    return checksum.text()


def _footer(whole: mmap.mmap) -> Struct:
    size = int.from_bytes(whole[-8:-4], "little")
    return _Reader(whole[-8 - size : -8]).struct()


def _kept(footer: Struct, dropped: Sequence[str]) -> list[int]:
    """Which of the columns stay."""
    leaves = footer[_SCHEMA][1][1][1:]
    return [number for number, leaf in enumerate(leaves) if leaf[_NAME][1].decode() not in dropped]


def _joined(footer: Struct, found: Struct, kept: Sequence[int]) -> Struct:
    if footer:
        footer[_ROWS] = (_I64, footer[_ROWS][1] + found[_ROWS][1])
        return footer
    kind, [root, *leaves] = found[_SCHEMA][1]
    root[_CHILDREN] = (root[_CHILDREN][0], len(kept))
    found[_SCHEMA] = (_LIST, (kind, [root, *(leaves[number] for number in kept)]))
    if _ORDERS in found:
        kind, orders = found[_ORDERS][1]
        found[_ORDERS] = (_LIST, (kind, [orders[number] for number in kept]))
    return found


def _shifted(group: Struct, kept: Sequence[int], place: int) -> list[tuple[int, int]]:
    """Makes the row group one of the kept columns that begins at `place`; where their bytes lie now: start, end."""
    kind, chunks = group[_COLUMNS][1]
    chunks = [chunks[number] for number in kept]
    ranges = []
    first = place
    for chunk in chunks:
        meta = chunk[_META][1]
        for outside in _OUTSIDE:
            meta.pop(outside, None)
        start = min(meta[offset][1] for offset in (_DICTIONARY, _DATA) if offset in meta)
        for offset in (_DICTIONARY, _DATA):
            if offset in meta:
                meta[offset] = (_I64, meta[offset][1] - start + place)
        for other in set(chunk) - {_CHUNK_START, _META}:
            del chunk[other]
        chunk[_CHUNK_START] = (_I64, place)
        ranges.append((start, start + meta[_COMPRESSED][1]))
        place += meta[_COMPRESSED][1]
    group[_COLUMNS] = (_LIST, (kind, chunks))
    group[_GROUP_BYTES] = (_I64, sum(chunk[_META][1][_UNCOMPRESSED][1] for chunk in chunks))
    group[_GROUP_COMPRESSED] = (_I64, sum(chunk[_META][1][_COMPRESSED][1] for chunk in chunks))
    group[_GROUP_START] = (_I64, first)
    return ranges


def _runs(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same bytes in fewer pieces."""
    start, end = ranges[0]
    for each, following in ranges[1:]:
        if each != end:
            yield start, end
            start = each
        end = following
    yield start, end


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> Struct:
        found: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            found[number] = (kind, kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind))
        return found

    def _value(self, kind: int) -> Any:
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._natural()
            return head & 15, [self._value(head & 15) for _ in range(count)]
        if kind in (_TRUE, _FALSE, _BYTE):  # among a list's items, a truth value has a byte
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._natural())
        if not _I16 <= kind <= _I64:
            raise ValueError(f"a footer has no fields of Thrift's type {kind}")
        return self._integer()

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def _natural(self) -> int:
        number = shift = 0
        while (byte := self._byte()) & 128:
            number |= (byte & 127) << shift
            shift += 7
        return number | byte << shift

    def _integer(self) -> int:
        number = self._natural()
        return number >> 1 ^ -(number & 1)


def _struct_bytes(struct: Struct) -> Iterator[bytes]:
    before = 0
    for number, (kind, value) in sorted(struct.items()):
        spelled = (_TRUE if value else _FALSE) if kind in (_TRUE, _FALSE) else kind
        short = number - before <= 15
        yield bytes([(number - before) << 4 | spelled]) if short else bytes([spelled]) + _integer_bytes(number)
        before = number
        if kind not in (_TRUE, _FALSE):
            yield from _value_bytes(kind, value)
    yield b"\0"


def _value_bytes(kind: int, value: Any) -> Iterator[bytes]:
    if kind == _STRUCT:
        yield from _struct_bytes(value)
    elif kind in (_LIST, _SET):
        of, items = value
        count = len(items)
        yield bytes([count << 4 | of]) if count < 15 else bytes([15 << 4 | of]) + _natural_bytes(count)
        for item in items:
            yield from _value_bytes(of, item)
    elif kind in (_TRUE, _FALSE, _BYTE):
        yield bytes([value])
    elif kind == _DOUBLE:
        yield value
    elif kind == _BINARY:
        yield _natural_bytes(len(value)) + value
    else:
        yield _integer_bytes(value)


def _natural_bytes(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _integer_bytes(number: int) -> bytes:
    return _natural_bytes(number << 1 ^ -(number < 0))
