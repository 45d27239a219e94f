"""A step that needs several files of the store asks for them at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests import fakes
from tests.unit.test_route import settled

SECONDS = 20.0


class Meeting(fakes.FakeSnapshotStore):
    """Each fetch ends when a second one is under way."""

    def __init__(self, other: fakes.FakeSnapshotStore) -> None:
        super().__init__()
        self.objects = other.objects
        self.fetched: list[str] = []
        self._met = threading.Barrier(2)

    def fetch(self, partition_key: str, checksum: str, path: Path) -> None:
        self._met.wait(SECONDS)
        self.fetched.append(partition_key.rpartition(".")[2])
        super().fetch(partition_key, checksum, path)


@pytest.mark.parametrize("wanted", ["both", "changed alone"])
def test_the_files_of_both_sides_are_fetched_at_once_and_each_only_once(wanted: str) -> None:
    world = settled(1, 2, 3)
    world.source.put(id=1, v="other")
    if wanted == "both":
        world.source.put(id=4, v="new")
        world.source.remove(2)
    store = world.snapshots = Meeting(world.snapshots)
    assert world.run()["status"] == "completed"
    assert store.fetched == ["fingerprints"] * 2 + ["parquet"] * 2
