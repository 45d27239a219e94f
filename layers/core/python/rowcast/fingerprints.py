"""The fingerprints of a partition's rows, in a file of their own: which rows differ is found without opening any row.

The file holds MAGIC, the number of rows as 8 bytes, and then column by column, little-endian: the leading 8 bytes of
each row's key hash, ascending; the upper and the lower 8 bytes of its fingerprint; its position in the Parquet file as
4 bytes. Fingerprints cover the key, and equal rows are those whose 8 and 16 bytes are equal. Rows that share 8 bytes of
different key hashes therefore never pass for each other; they are only looked at more closely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowcast.checksums import Checksum
from rowcast.engine import columns
from rowcast.errors import SnapshotDamaged
from rowcast.sqltext import own, place

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt

    Words = npt.NDArray[np.uint64]
    Positions = npt.NDArray[np.integer[Any]]

MAGIC = b"rowcast2"
_HEADER = len(MAGIC) + 8
_ROW = 3 * 8 + 4
_LOWER = 2**64 - 1
_BLOCK = 6_000
"""Rows that are compared at once. Arrays over those of both sides stay in the processor's cache, and under the 128 kB
from which the C library takes memory from the kernel anew each time: mallopt(3), M_MMAP_THRESHOLD."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file of fingerprints. `digest` is over keys and fingerprints alone: equal digests mean equal rows, wherever in
    the Parquet file they lie. `checksum` is over the whole file."""

    digest: str
    checksum: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Fingerprints:
    """Arrays of one length, in order of `keys`, then `upper` and `lower`. `file`: which of several Parquet files."""

    keys: Words
    upper: Words
    lower: Words
    rows: Positions
    file: int = 0

    @property
    def has_twins(self) -> bool:
        """Whether two rows may have the same key: their hashes begin alike."""
        return bool((self.keys[1:] == self.keys[:-1]).any())

    def at(self, positions: Positions | slice) -> Fingerprints:
        return Fingerprints(
            keys=self.keys[positions],
            upper=self.upper[positions],
            lower=self.lower[positions],
            rows=self.rows[positions],
            file=self.file,
        )

    def within(self, number: int, bits: int) -> Fingerprints:
        """Those of the rows in partition `number` of 2^bits."""
        width = 64 - bits
        first, last = _words([number << width, ((number + 1) << width) - 1])
        return self.at(slice(int(self.keys.searchsorted(first)), int(self.keys.searchsorted(last, side="right"))))

    def positions(self) -> dict[str, Any]:
        """As a table for DuckDB."""
        import numpy as np

        return {"row": self.rows.astype(np.int64), "upper": self.upper, "lower": self.lower}

    def write(self, path: Path) -> Written:
        digest, checksum = hashlib.sha256(), Checksum()
        compared: list[Any] = [MAGIC + len(self.keys).to_bytes(8, "little")]
        compared += [words.astype("<u8", copy=False).data for words in (self.keys, self.upper, self.lower)]
        with path.open("wb") as file:
            for data in (*compared, self.rows.astype("<u4").data):
                checksum.update(data)
                file.write(data)
        for data in compared:
            digest.update(data)
        return Written(digest=f"2:{digest.hexdigest()}", checksum=checksum.text(), bytes=path.stat().st_size)


def none(file: int = 0) -> Fingerprints:
    import numpy as np

    words = np.empty(0, np.uint64)
    return Fingerprints(keys=words, upper=words, lower=words, rows=words, file=file)


def read(path: Path, file: int = 0) -> Fingerprints:
    """Raises SnapshotDamaged for what is no such file."""
    import numpy as np

    size = path.stat().st_size
    with path.open("rb") as opened:
        head = opened.read(_HEADER)
    count = int.from_bytes(head[len(MAGIC) :], "little")
    if len(head) != _HEADER or not head.startswith(MAGIC) or size != _HEADER + count * _ROW:
        raise SnapshotDamaged("A snapshot's file of fingerprints cannot be read.")
    data = np.memmap(path, np.uint8, "r")
    keys, upper, lower = (np.frombuffer(data, "<u8", count, _HEADER + index * count * 8) for index in range(3))
    rows = np.frombuffer(data, "<u4", count, _HEADER + 3 * count * 8)
    return Fingerprints(keys=keys, upper=upper, lower=lower, rows=rows, file=file)


def compute(
    connection: duckdb.DuckDBPyConnection, path: Path, key_hash: str, fingerprint: str, file: int = 0
) -> Fingerprints:
    """From the rows of a Parquet file. `key_hash`, `fingerprint`: SQL over its columns that gives UUIDs, never NULL."""
    key, whole = own("key_hash"), own("fingerprint")
    keys, upper, lower, rows = columns(
        connection,
        f"SELECT ({key} >> 64)::UBIGINT AS keys, ({whole} >> 64)::UBIGINT AS upper,"
        f" ({whole} & {_LOWER}::UHUGEINT)::UBIGINT AS lower, file_row_number::UBIGINT AS rows FROM"
        f" (SELECT {key_hash}::UHUGEINT AS {key}, {fingerprint}::UHUGEINT AS {whole}, file_row_number"
        f" FROM read_parquet({place(path)}, file_row_number = true))",
    )
    return in_order(Fingerprints(keys=keys, upper=upper, lower=lower, rows=rows, file=file))


def in_order(unsorted: Fingerprints) -> Fingerprints:
    import numpy as np

    found = unsorted.at(np.argsort(unsorted.keys))
    if not found.has_twins:
        return found
    return unsorted.at(np.lexsort((unsorted.lower, unsorted.upper, unsorted.keys)))


def differing(
    old: Sequence[Fingerprints], new: Sequence[Fingerprints]
) -> tuple[list[Fingerprints], list[Fingerprints]]:
    """Of each side the rows that have no equal on the other, file by file.

    Where key hashes begin alike a row may be among them that has an equal: who reads the rows sees by the whole key.
    """
    import numpy as np

    before, after = joined(old), joined(new)
    old_equal, new_equal = np.zeros(len(before.keys), bool), np.zeros(len(after.keys), bool)
    bounds = after.keys[_BLOCK::_BLOCK]
    old_edges = [0, *before.keys.searchsorted(bounds).tolist(), len(before.keys)]
    new_edges = [0, *after.keys.searchsorted(bounds).tolist(), len(after.keys)]
    for block in range(len(bounds) + 1):
        a, b = slice(*old_edges[block : block + 2]), slice(*new_edges[block : block + 2])
        _note_equal(before.at(a), after.at(b), old_equal[a], new_equal[b])
    return _without(old, old_equal), _without(new, new_equal)


def _note_equal(
    before: Fingerprints, after: Fingerprints, old_equal: npt.NDArray[np.bool_], new_equal: npt.NDArray[np.bool_]
) -> None:
    """Sets what belongs to rows of either side that are equal on the other."""
    import numpy as np

    count = len(before.keys)
    keys = np.concatenate([before.keys, after.keys])
    order = np.argsort(keys, kind="stable")  # merges two ascending runs in one pass; those of `before` come first
    is_after = order >= count
    with_next = is_after[1:] & ~is_after[:-1]
    for words in (keys, np.concatenate([before.upper, after.upper]), np.concatenate([before.lower, after.lower])):
        merged = words.take(order, mode="clip")  # which looks at no bounds
        with_next &= merged[1:] == merged[:-1]
    found = np.zeros(len(order), bool)
    found[:-1] = with_next
    found[1:] |= with_next
    told = np.empty_like(found)
    told[order] = found
    old_equal[:], new_equal[:] = told[:count], told[count:]


def having(sides: Sequence[Fingerprints], key_hashes: Sequence[str]) -> list[Fingerprints]:
    """The rows whose key hashes begin like one of these 32 hex digits."""
    import numpy as np

    wanted = _words([int(key_hash[:16], 16) for key_hash in key_hashes])
    return [side.at(np.flatnonzero(np.isin(side.keys, wanted))) for side in sides]


def united(some: Sequence[Fingerprints], more: Sequence[Fingerprints]) -> list[Fingerprints]:
    """File by file the rows that are in either, in order of their places."""
    import numpy as np

    both = []
    for one, other in zip(some, more, strict=True):
        whole = joined([one, other])
        both.append(whole.at(np.unique(whole.rows, return_index=True)[1]))
    return both


def joined(parts: Sequence[Fingerprints]) -> Fingerprints:
    """One after the other."""
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    none = np.empty(0, np.uint64)
    return Fingerprints(
        keys=np.concatenate([none, *(part.keys for part in parts)]),
        upper=np.concatenate([none, *(part.upper for part in parts)]),
        lower=np.concatenate([none, *(part.lower for part in parts)]),
        rows=np.concatenate([none, *(part.rows for part in parts)]),
        file=parts[0].file if parts else 0,
    )


def _without(parts: Sequence[Fingerprints], equal: npt.NDArray[np.bool_]) -> list[Fingerprints]:
    """`equal` goes through all the parts."""
    import numpy as np

    kept, start = [], 0
    for part in parts:
        here = equal[start : start + len(part.keys)]
        kept.append(part.at(np.flatnonzero(~here)) if here.any() else part)
        start += len(part.keys)
    return kept


def _words(numbers: Sequence[int]) -> Words:
    import numpy as np

    return np.array(numbers, np.uint64)
