"""Rows are divided among many partitions in passes, and lie where a single pass would put them."""

from __future__ import annotations

import errno
import os
from typing import Any

import duckdb
import pytest

from rowcast import staging, storing
from rowcast.definition import Limits
from rowcast.models import Manifest
from tests.unit.test_route import world_of
from tests.world import World

LIMITS = Limits(concurrency=1, rows_per_partition=16)
"""Of 400 rows 32 partitions."""


def snapshot_of(world: World) -> Manifest:
    assert world.run()["status"] == "completed"
    assert world.head.manifest is not None
    return world.snapshots.manifest(world.head.manifest)


@pytest.mark.parametrize("most_bits", [1, 2, 3, 4])
def test_rows_lie_in_the_same_partitions_in_however_many_passes_they_got_there(
    most_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [partition.digest for partition in snapshot_of(world_of(*range(400), limits=LIMITS)).partitions]
    monkeypatch.setattr(staging, "MOST_BITS", most_bits)
    world = world_of(*range(400), limits=LIMITS)
    first = snapshot_of(world)
    assert [partition.digest for partition in first.partitions] == whole
    world.source.put(id=7, v="other")
    later = snapshot_of(world)
    assert sum(a != b for a, b in zip(first.partitions, later.partitions, strict=True)) == 1
    assert len(world.target.sent) == 401


@pytest.mark.parametrize(("bits", "most"), [(0, 0), (3, 3), (6, 6), (7, 4), (8, 4), (12, 6)])
def test_no_pass_has_more_ways_than_there_are_files_open(bits: int, most: int) -> None:
    first = staging.first_bits(bits)
    assert first == most
    assert bits - first <= staging.MOST_BITS


@pytest.mark.parametrize("partitions", [1, 32])
def test_a_result_for_which_the_disk_has_no_room_says_so(partitions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = staging.run
    copies = iter(range(100))

    def run(connection: Any, statement: str) -> list[Any]:
        if statement.startswith("COPY") and next(copies) == (0 if partitions == 1 else 1):
            raise duckdb.IOException(f"Could not write file: {os.strerror(errno.ENOSPC)}")
        return real(connection, statement)

    monkeypatch.setattr(staging, "run", run)
    summary = world_of(*range(400), limits=Limits(concurrency=1, rows_per_partition=400 // partitions)).run()
    assert summary["status"] == "failed"
    assert "does not fit on the disk" in summary["reason"]


def test_a_disk_that_is_full_when_files_are_made_of_the_result_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storing, "without_columns", full)
    assert "does not fit on the disk" in world_of(1, 2).run()["reason"]
