"""Which rows differ, by their fingerprints alone: held against a comparison of two dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast import fingerprints
from rowcast.errors import SnapshotDamaged
from rowcast.fingerprints import Fingerprints

HALF = 64
KEYS = st.builds(
    lambda head, tail: head << HALF | tail, st.sampled_from([0, 1, 2**62, 2**63, 2**64 - 1]), st.integers(0, 2)
)
"""Few heads, so that different keys often begin alike."""
SIDES = st.dictionaries(KEYS, st.integers(0, 3))


def fingerprint(key: int, value: int) -> int:
    """Covers the key, as a row's does."""
    return (key * 31 + value * 2**70 + value) % 2**128


def made(rows: dict[int, int], file: int = 0) -> Fingerprints:
    """Rows lie in the file in order of insertion."""
    listed = [(key >> HALF, fingerprint(key, value), row) for row, (key, value) in enumerate(rows.items())]
    listed.sort()
    return Fingerprints(
        keys=np.array([head for head, _, _ in listed], np.uint64),
        upper=np.array([print_ >> HALF for _, print_, _ in listed], np.uint64),
        lower=np.array([print_ % 2**HALF for _, print_, _ in listed], np.uint64),
        rows=np.array([row for _, _, row in listed], np.uint64),
        file=file,
    )


def split(rows: dict[int, int], bits: int) -> list[dict[int, int]]:
    return [{k: v for k, v in rows.items() if k >> (128 - bits) == number} for number in range(2**bits)]


def differences(old: dict[int, int], new: dict[int, int]) -> set[int]:
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def keys_of(found: Sequence[Fingerprints], files: Sequence[dict[int, int]]) -> dict[int, int]:
    """What reading those rows gives."""
    lists = [list(file.items()) for file in files]
    return dict(lists[part.file][int(row)] for part in found for row in part.rows)


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(0, 3), st.integers(1, 4))
def test_what_differs_is_what_a_comparison_of_dictionaries_finds(
    old: dict[int, int], new: dict[int, int], bits: int, block: int
) -> None:
    before = split(old, bits)
    parts = [made(rows, file) for file, rows in enumerate(before)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fingerprints, "_BLOCK", block)
        found_old, found_new = fingerprints.differing(parts, [made(new)])
    assert differences(keys_of(found_old, before), keys_of(found_new, [new])) == differences(old, new)


@settings(deadline=None)
@given(SIDES, st.integers(1, 4))
def test_equal_sides_differ_nowhere_unless_keys_begin_alike(rows: dict[int, int], block: int) -> None:
    old, new = made(rows), made(dict(reversed(rows.items())))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fingerprints, "_BLOCK", block)
        found = fingerprints.differing([old], [new])
    assert old.has_twins or not any(len(part.rows) for side in found for part in side)


@settings(deadline=None)
@given(SIDES, st.lists(KEYS, min_size=1))
def test_rows_are_found_by_how_their_keys_begin(rows: dict[int, int], wanted: list[int]) -> None:
    found = fingerprints.having([made(rows)], [f"{key:032x}" for key in wanted])
    heads = {key >> HALF for key in wanted}
    assert keys_of(found, [rows]) == {key: value for key, value in rows.items() if key >> HALF in heads}


@settings(deadline=None)
@given(SIDES, st.integers(0, 3))
def test_a_partition_is_a_range_of_the_keys(rows: dict[int, int], bits: int) -> None:
    whole = made(rows)
    for number, part in enumerate(split(rows, bits)):
        assert keys_of([whole.within(number, bits)], [rows]) == part


@settings(deadline=None)
@given(SIDES, st.sets(KEYS), st.sets(KEYS))
def test_united_rows_are_in_either_and_in_none_twice(rows: dict[int, int], some: set[int], more: set[int]) -> None:
    whole = made(rows)
    a, b = (fingerprints.having([whole], [f"{key:032x}" for key in keys]) for keys in (some, more))
    united = fingerprints.united(a, b)
    assert keys_of(united, [rows]) == keys_of(a, [rows]) | keys_of(b, [rows])
    assert len(united[0].rows) == len(set(united[0].rows.tolist()))


@settings(deadline=None)
@given(rows=SIDES)
def test_what_is_written_is_read_again(rows: dict[int, int], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "some.fingerprints"
    whole = made(rows)
    whole.write(path)
    read = fingerprints.read(path, file=3)
    assert (read.keys.tolist(), read.upper.tolist()) == (whole.keys.tolist(), whole.upper.tolist())
    assert (read.lower.tolist(), read.rows.tolist(), read.file) == (whole.lower.tolist(), whole.rows.tolist(), 3)


@settings(deadline=None)
@given(rows=SIDES)
def test_the_digest_depends_on_the_rows_but_not_on_where_they_lie(
    rows: dict[int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "some.fingerprints"
    digest = made(rows).write(path).digest
    assert made(dict(reversed(rows.items()))).write(path).digest == digest
    assert made({**rows, 7: 1}).write(path).digest != digest


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 43, 71])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "some.fingerprints"
    made({1: 1, 2: 2}).write(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SnapshotDamaged):
        fingerprints.read(path)
