"""Which rows of the two sides belong together, by their fingerprints' files: in arrays, a few dozen bytes a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rowcast.fingerprints import Fingerprints, joined
from rowcast.models import OPERATIONS, Operation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rowcast.fingerprints import Words

    Places = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]
    Indexes = npt.NDArray[np.intp]

FILE_BITS = 32
"""A row's place is its file's number, then so many bits for its position in the file."""
NOWHERE = -1


@dataclass(frozen=True, kw_only=True)
class Side:
    """Rows of one side, in order of `keys`, the leading 8 bytes of their key hashes."""

    keys: Words
    upper: Words
    lower: Words
    places: Places


def side(parts: Sequence[Fingerprints]) -> Side:
    """The rows of several files as one side."""
    import numpy as np

    places = [np.empty(0, np.int64)]
    places += [part.rows.astype(np.int64) + (part.file << FILE_BITS) for part in parts]
    all_, at = joined(parts), np.concatenate(places)
    if (all_.keys[1:] < all_.keys[:-1]).any():  # each part has an order of its own: by keys, or by place
        order = all_.keys.argsort(kind="stable")
        all_, at = all_.at(order), at[order]
    return Side(keys=all_.keys, upper=all_.upper, lower=all_.lower, places=at)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Rows with what they were before, in order of operation (as OPERATIONS) and place.

    `old`, `new`: places, or NOWHERE. `prints`: rows of four big-endian words, both fingerprints; zeros where a side has
    no row.
    """

    operations: npt.NDArray[np.uint8]
    old: Places
    new: Places
    prints: Words

    def __len__(self) -> int:
        return len(self.operations)

    def of(self, operation: Operation) -> Flags:
        found: Flags = self.operations == OPERATIONS.index(operation)
        return found

    def counts(self) -> dict[Operation, int]:
        """Of those that there are."""
        found = {operation: int(self.of(operation).sum()) for operation in OPERATIONS}
        return {operation: count for operation, count in found.items() if count}

    def at(self, some: slice | Flags | Places) -> Pairs:
        return Pairs(operations=self.operations[some], old=self.old[some], new=self.new[some], prints=self.prints[some])

    def without(self, operation: Operation) -> Pairs:
        return self.at(~self.of(operation))

    def told_as(self, operation: Operation) -> Pairs:
        """All with this operation; what was added has nothing before it."""
        import numpy as np

        old = np.full_like(self.old, NOWHERE) if operation == "added" else self.old
        operations = np.full_like(self.operations, OPERATIONS.index(operation))
        return Pairs(operations=operations, old=old, new=self.new, prints=self.prints)


def united(parts: Sequence[Pairs]) -> Pairs:
    import numpy as np

    whole = _one_by_one(parts)
    return whole.at(np.lexsort((np.where(whole.new == NOWHERE, whole.old, whole.new), whole.operations)))


def _one_by_one(parts: Sequence[Pairs]) -> Pairs:
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    operations, old, new, prints = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("operations", "old", "new", "prints")
    )
    return Pairs(operations=operations, old=old, new=new, prints=prints)


def doubtful(old: Side, new: Side, heads: Iterable[int]) -> tuple[Flags, Flags]:
    """Which rows of either side are not told apart by the 8 bytes: two of one side share them, or they are among these
    `heads`."""
    import numpy as np

    twins = [each.keys[1:][each.keys[1:] == each.keys[:-1]] for each in (old, new)]
    shared = np.unique(np.concatenate([np.array(list(heads), np.uint64), *twins]))
    if not len(shared):
        return np.zeros(len(old.keys), bool), np.zeros(len(new.keys), bool)
    return np.isin(old.keys, shared), np.isin(new.keys, shared)


def paired(old: Side, new: Side, doubts: tuple[Flags, Flags]) -> tuple[Indexes, Indexes, Indexes, Indexes]:
    """Where the rows without a doubt lie among their side's: those that are gone; those that are on both sides, in
    order of their places now, before and after; those that are new."""
    import numpy as np

    at = np.minimum(old.keys.searchsorted(new.keys), len(old.keys) - 1)
    met = (old.keys[at] == new.keys) & ~doubts[1] if len(old.keys) else np.zeros(len(new.keys), bool)
    gone = ~doubts[0]
    gone[at[met]] = False
    later = np.flatnonzero(met)
    later = later[np.argsort(new.places[later])]
    return np.flatnonzero(gone), at[later], later, np.flatnonzero(~met & ~doubts[1])


def same(old: Side, new: Side, a: Indexes, b: Indexes) -> Flags:
    """Which of the rows side by side are equal."""
    found: Flags = (old.upper[a] == new.upper[b]) & (old.lower[a] == new.lower[b])
    return found


def pairs(
    old: Side,
    new: Side,
    *,
    removed: Sequence[Indexes] = (),
    changed: Sequence[tuple[Indexes, Indexes]] = (),
    added: Sequence[Indexes] = (),
) -> Pairs:
    """Of rows that are told by where they lie among their side's."""
    import numpy as np

    none = np.empty(0, np.intp)
    earlier, later = (np.concatenate([none, *(each[side_] for each in changed)]) for side_ in (0, 1))
    told = [
        _told("added", old, new, None, np.concatenate([none, *added])),
        _told("changed", old, new, earlier, later),
        _told("removed", old, new, np.concatenate([none, *removed]), None),
    ]
    return _one_by_one([each for each in told if len(each)] or told[:1])


def _told(operation: Operation, old: Side, new: Side, a: Indexes | None, b: Indexes | None) -> Pairs:
    import numpy as np

    by = new.places[b] if b is not None else old.places[a]
    order = by.argsort(kind="stable")  # at no cost where they are in order
    places, prints = [np.full(len(by), NOWHERE) for _ in range(2)], np.zeros((len(by), 4), ">u8")
    for number, (side_, rows) in enumerate(((old, a), (new, b))):
        if rows is not None:
            at = rows[order]
            places[number] = side_.places[at]
            prints[:, 2 * number], prints[:, 2 * number + 1] = side_.upper[at], side_.lower[at]
    operations = np.full(len(by), OPERATIONS.index(operation), np.uint8)
    return Pairs(operations=operations, old=places[0], new=places[1], prints=prints)
