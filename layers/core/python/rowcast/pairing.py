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

    def at(self, some: npt.NDArray[np.intp] | Flags | slice) -> Side:
        return Side(keys=self.keys[some], upper=self.upper[some], lower=self.lower[some], places=self.places[some])


def side(parts: Sequence[Fingerprints]) -> Side:
    """The rows of several files as one side."""
    import numpy as np

    places = [np.empty(0, np.int64)]
    places += [part.rows.astype(np.int64) + (part.file << FILE_BITS) for part in parts]
    all_ = joined(parts)
    return Side(keys=all_.keys, upper=all_.upper, lower=all_.lower, places=np.concatenate(places))


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

    operations, old, new, prints = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("operations", "old", "new", "prints")
    )
    order = np.lexsort((np.where(new == NOWHERE, old, new), operations))
    return Pairs(operations=operations[order], old=old[order], new=new[order], prints=prints[order])


def apart(old: Side, new: Side, heads: Iterable[int]) -> tuple[tuple[Side, Side], tuple[Side, Side]]:
    """Those whose 8 bytes name one row on either side, and the others, with those that have one of these `heads`."""
    import numpy as np

    asked = np.array(list(heads), np.uint64)
    twins = [each.keys[1:][each.keys[1:] == each.keys[:-1]] for each in (old, new)]
    suspects = np.unique(np.concatenate([asked, *twins]))
    if not len(suspects):
        return (old, new), (old.at(slice(0)), new.at(slice(0)))
    a, b = np.isin(old.keys, suspects), np.isin(new.keys, suspects)
    return (old.at(~a), new.at(~b)), (old.at(a), new.at(b))


def paired(old: Side, new: Side) -> tuple[Side, Side, Side, Side]:
    """Of rows whose 8 bytes name one row on either side: removed; changed, before and after; added."""
    import numpy as np

    if not len(old.keys) or not len(new.keys):
        return old, old.at(slice(0)), new.at(slice(0)), new
    at = np.minimum(old.keys.searchsorted(new.keys), len(old.keys) - 1)
    met = old.keys[at] == new.keys
    gone = np.ones(len(old.keys), bool)
    gone[at[met]] = False
    return old.at(gone), old.at(at[met]), new.at(met), new.at(~met)


def same(old: Side, new: Side) -> Flags:
    """Which of rows side by side are equal."""
    found: Flags = (old.upper == new.upper) & (old.lower == new.lower)
    return found


def pairs(operation: Operation, old: Side | None, new: Side | None) -> Pairs:
    """Of rows side by side, in no order."""
    import numpy as np

    one = new if new is not None else old
    assert one is not None, "a change has at least one side"
    count = len(one.keys)
    prints = np.zeros((count, 4), ">u8")
    for first, each in ((0, old), (2, new)):
        if each is not None:
            prints[:, first], prints[:, first + 1] = each.upper, each.lower
    nowhere = np.full(count, NOWHERE, np.int64)
    return Pairs(
        operations=np.full(count, OPERATIONS.index(operation), np.uint8),
        old=old.places if old is not None else nowhere,
        new=new.places if new is not None else nowhere,
        prints=prints,
    )


def both(one: Side, other: Side) -> Side:
    """The rows of both, in no order."""
    import numpy as np

    keys, upper, lower, places = (
        np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("keys", "upper", "lower", "places")
    )
    return Side(keys=keys, upper=upper, lower=lower, places=places)
