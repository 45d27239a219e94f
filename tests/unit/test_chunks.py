"""Chunks as they are stored: what is cut from what was found, and what is read of it again."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rowcast.chunks import Batch, Filling, Layout, Naming, Table, cut

LAYOUT = Layout(key=["b", "a"], before=["a", "gone", "b"], after=["b", "new", "a"])


def batches(*found: tuple[str, Sequence[int]], owed: bool = False) -> list[Batch]:
    """Changes of these sizes, each named by its operation and number."""
    return [
        Batch(operation=name, sizes=list(sizes), part=part(name), owed=owed)  # type: ignore[arg-type]
        for name, sizes in found
    ]


def part(name: str) -> Callable[[int, int], list[str]]:
    return lambda start, end: [f"{name}{number}" for number in range(start, end)]


def held(fillings: Any) -> list[list[str]]:
    return [list(chain(*filling.owed, *filling.rows)) for filling in fillings]


@given(st.lists(st.lists(st.integers(0, 30), max_size=9), max_size=5), st.integers(1, 6), st.integers(1, 60))
def test_every_change_is_in_one_chunk_and_none_is_larger_than_asked(
    found: list[list[int]], most: int, most_bytes: int
) -> None:
    sizes = [size for part in found for size in part]
    fillings = list(cut(batches(*(("added", part) for part in found)), most, most_bytes))
    assert [text for group in held(fillings) for text in group] == [
        f"added{n}" for part in found for n in range(len(part))
    ]
    assert all(0 < filling.count <= most for filling in fillings)
    assert all(filling.bytes <= most_bytes or filling.count == 1 for filling in fillings)
    assert sum(filling.bytes for filling in fillings) == sum(sizes)
    starts = [sum(one.count for one in fillings[:place]) for place in range(1, len(fillings))]
    for filling, start in zip(fillings, starts, strict=False):
        assert filling.count == most or filling.bytes + sizes[start] > most_bytes, (
            "a chunk is left only when it is full"
        )


def test_a_chunk_holds_one_operation() -> None:
    found = batches(("added", [1, 1]), ("removed", [1]), ("added", [1]))
    assert held(cut(found, 10, 100)) == [["added0", "added1", "added0"], ["removed0"]]


def test_changes_with_a_debt_lie_apart_and_count() -> None:
    owed = batches(("added", [5]), owed=True)
    fillings = list(cut([*owed, *batches(("added", [5, 5]))], 2, 100))
    assert [(one.owed, one.rows) for one in fillings] == [([["added0"]], [["added0"]]), ([], [["added1"]])]
    assert fillings[0] == Filling(operation="added", owed=[["added0"]], rows=[["added0"]], count=2, bytes=10)


def test_a_changed_row_takes_over_what_is_not_told_again() -> None:
    change = LAYOUT.change("changed", ["hash", "id", [1, "x", None], ["new"], [1, "y", 0, 2]])
    assert (change.key_hash, change.id, change.columns) == ("hash", "id", ["new"])
    assert change.before == {"a": 1, "gone": "x", "b": None}
    assert change.after == {"b": 2, "new": "y", "a": 1}
    assert list(change.after) == LAYOUT.after
    assert change.key == [2, 1]


def test_added_and_removed_rows_have_one_side() -> None:
    added = LAYOUT.change("added", ["hash", "id", [1, 2, 3]])
    assert (added.before, added.after, added.key) == (None, {"b": 1, "new": 2, "a": 3}, [1, 3])
    removed = LAYOUT.change("removed", ["hash", "id", [1, 2, 3]])
    assert (removed.before, removed.after, removed.key) == ({"a": 1, "gone": 2, "b": 3}, None, [3, 1])


def test_the_names_in_rows_that_were_read_are_the_very_objects_that_code_names() -> None:
    read = msgspec.json.decode(b'{"key":["order"],"before":[],"after":["order","amount"]}', type=Layout)
    table = Table(keys=["i1"], prints=b64encode(bytes(64)).decode(), after=[[1], [59]])
    (change,) = table.changes("added", read, Naming(sync="s", destination="d", generation=0))
    assert change.after == {"order": 1, "amount": 59}
    assert all(name is literal for name, literal in zip(change.after, ("order", "amount"), strict=True))
