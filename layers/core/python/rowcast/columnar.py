"""Changes as the engine gave them, column by column, and cut into what chunks store."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from rowcast.arrow import Texts, joined
from rowcast.changetext import Compared
from rowcast.chunks import Batch, WrittenTable
from rowcast.models import OPERATIONS, Operation
from rowcast.pairing import Pairs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rowcast.arrow import Numbers

    Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What `changetext.select` answers. `numbers`: the changes' places among those that were asked for. `equal`: by the
    column's place among `after`, 1 where the values of both sides are equal. `key`: places of the key.
    """

    numbers: Numbers
    keys: Texts
    before: list[Texts]
    after: list[Texts]
    equal: dict[int, Numbers]
    key: list[int]

    @classmethod
    def of(cls, columns: Sequence[Any], compared: Compared) -> Columns:
        first, last = 2 + len(compared.old), 2 + len(compared.old) + len(compared.new)
        key = {column.name for column in compared.key}
        return cls(
            numbers=columns[0],
            keys=columns[1],
            before=list(columns[2:first]),
            after=list(columns[first:last]),
            equal=dict(zip(compared.respelled, columns[last:], strict=True)),
            key=[place for place, column in enumerate(compared.new) if column.name in key],
        )


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Changes of one operation that lie together. `prints`: 32 bytes a change. `given`: per column after, whether there
    is a value."""

    operation: Operation
    columns: Columns
    start: int
    end: int
    prints: bytes
    given: list[npt.NDArray[np.bool_]]

    def part(self, start: int, end: int) -> Stretch:
        return replace(self, start=self.start + start, end=self.start + end)


def batches(columns: Columns, asked: Pairs) -> Iterator[Batch]:
    """The changes that were found of those that were asked for, by operation."""
    import numpy as np

    found = asked.at(columns.numbers.astype(np.int64))
    bounds = np.searchsorted(found.operations, np.arange(len(OPERATIONS) + 1)).tolist()
    before, after = _sizes(columns.before, len(found)), _sizes(columns.after, len(found))
    given = [np.diff(column.ends) > 0 for column in columns.after]
    prints = found.prints.tobytes()
    for operation, start, end in zip(OPERATIONS, bounds, bounds[1:], strict=False):
        if start < end:
            sizes = before[start:end] * (2 if operation == "changed" else 1) + after[start:end]
            stretch = Stretch(operation=operation, columns=columns, start=start, end=end, prints=prints, given=given)
            yield Batch(operation=operation, sizes=sizes.tolist(), part=stretch.part)


def have_other_keys(columns: Columns, asked: Pairs) -> bool:
    """Whether a row that was asked for as changed has another key than it had."""
    import numpy as np

    changed = asked.of("changed")[columns.numbers.astype(np.int64)]
    for place in columns.key:
        other = changed & (np.diff(columns.after[place].ends) > 0)
        if place in columns.equal:
            other &= columns.equal[place] == 0
        if other.any():
            return True
    return False


def _sizes(columns: Sequence[Texts], count: int) -> Counts:
    import numpy as np

    total = np.zeros(count, np.int64)
    for column in columns:
        total += np.diff(column.ends)
    return total


def table(operation: Operation, stretches: Sequence[Stretch]) -> WrittenTable:
    """What a chunk stores of changes that lie one after the other."""
    first = stretches[0].columns
    pieces = [(each.columns, each.start, each.end) for each in stretches]
    prints = b"".join(each.prints[each.start * 32 : each.end * 32] for each in stretches)
    written = WrittenTable(
        keys=_array([columns.keys.joined(start, end) for columns, start, end in pieces]),
        prints=b64encode(prints).decode(),
    )
    if operation != "added":
        written.before = [
            _array([columns.before[place].joined(start, end) for columns, start, end in pieces])
            for place in range(len(first.before))
        ]
    if operation == "added":
        written.after = [_after(pieces, place) for place in range(len(first.after))]
    if operation == "changed":
        _differing(written, stretches)
    return written


def _after(pieces: Sequence[tuple[Columns, int, int]], place: int) -> msgspec.Raw:
    return _array([columns.after[place].joined(start, end) for columns, start, end in pieces])


def _array(texts: Sequence[bytes]) -> msgspec.Raw:
    """Each value has a comma behind it."""
    return msgspec.Raw(b"[" + b"".join(texts)[:-1] + b"]")


def _differing(written: WrittenTable, stretches: Sequence[Stretch]) -> None:
    import numpy as np

    pieces = [(each.columns, each.start, each.end) for each in stretches]
    for place in range(len(stretches[0].columns.after)):
        given = joined([each.given[place][each.start : each.end] for each in stretches])
        count = int(np.count_nonzero(given))
        if not count:
            continue
        rows = None if count == len(given) else np.flatnonzero(given).tolist()
        written.given.append((place, rows, _after(pieces, place)))
        if place in stretches[0].columns.equal:
            equal = joined([each.columns.equal[place][each.start : each.end] for each in stretches])
            alike = np.flatnonzero(given & (equal != 0)).tolist()
            if alike:
                written.equal.append((place, alike))
