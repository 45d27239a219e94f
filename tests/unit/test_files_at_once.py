"""A step that moves several files to the store, or from it, moves them at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from rowcast import threads
from rowcast.checksums import Checksum
from rowcast.definition import Limits
from rowcast.errors import RunFailed
from rowcast.models import Manifest
from tests import fakes
from tests.model.inline import without_threads
from tests.unit.test_route import settled, world_of
from tests.world import World

SECONDS = 20.0
LIMITS = Limits(concurrency=1, rows_per_partition=16)
PARTITIONS = 32
"""Of 400 rows."""


class Store(fakes.FakeSnapshotStore):
    """Calls `on_put` and `on_fetch` with the path of each file before it is moved."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        super().__init__()
        self.objects = objects or {}
        self.put: list[str] = []
        self.fetched: list[str] = []
        self.on_put: Callable[[Path], object] = lambda path: None
        self.on_fetch: Callable[[Path], object] = lambda path: None

    def put_file(self, key: str, path: Path) -> None:
        self.on_put(path)
        self.put.append(key)
        super().put_file(key, path)

    def fetch(self, partition_key: str, checksum: str, path: Path) -> None:
        self.on_fetch(path)
        self.fetched.append(path.suffix)
        super().fetch(partition_key, checksum, path)

    def manifests(self) -> list[Manifest]:
        names = [key for key in self.objects if key.endswith("manifest.json")]
        return [msgspec.json.decode(self.objects[key], type=Manifest) for key in names]


def partitioned() -> World:
    """A world before its first run, with the store of this module."""
    world = world_of(*range(400), limits=LIMITS)
    world.snapshots = Store()
    return world


def taken(world: World) -> Store:
    """The store after the snapshot of a first run."""
    opened = world.open(world.next_time(), "execution")
    world.snapshot(opened.run, opened.token)
    assert isinstance(world.snapshots, Store)
    return world.snapshots


@pytest.mark.parametrize("what", ["all three", "changed"])
def test_the_files_of_both_sides_are_fetched_at_once_and_each_only_once(what: str) -> None:
    world = settled(1, 2, 3)
    world.source.put(id=1, v="other")
    if what == "all three":
        world.source.put(id=4, v="new")
        world.source.remove(2)
    store = world.snapshots = Store(world.snapshots.objects)
    both = threading.Barrier(2)
    store.on_fetch = lambda path: both.wait(SECONDS)
    assert world.run()["status"] == "completed"
    assert store.fetched == [".fingerprints"] * 2 + [".parquet"] * 2


def test_as_many_files_of_a_snapshot_are_put_at_once_as_are_allowed_and_never_more() -> None:
    world = partitioned()
    inside: set[Path] = set()
    hands: set[int] = set()
    most = 0
    changed = threading.Condition()

    def put(path: Path) -> None:
        nonlocal most
        with changed:
            inside.add(path)
            hands.add(threading.get_ident())
            most = max(most, len(inside))
            changed.notify_all()
            assert changed.wait_for(lambda: most >= threads.FILES, SECONDS)
            inside.remove(path)

    assert isinstance(world.snapshots, Store)
    world.snapshots.on_put = put
    assert len(taken(world).put) == 2 * PARTITIONS
    assert most == len(hands) == threads.FILES


def test_a_snapshot_is_the_same_however_many_of_its_files_are_made_and_put_at_once() -> None:
    with without_threads():
        [one_by_one] = taken(partitioned()).manifests()
    store = taken(partitioned())
    [manifest] = store.manifests()
    assert [(each.digest, each.key) for each in manifest.partitions] == [
        (each.digest, each.key) for each in one_by_one.partitions
    ]
    for number, partition in enumerate(manifest.partitions):
        assert partition.files[0].endswith(f"/{number:05d}.parquet")
        for key, checksum in zip(partition.files, partition.checksums, strict=True):
            found = Checksum()
            found.update(store.objects[key])
            assert found.text() == checksum


@pytest.mark.parametrize("at", [1, 20, 2 * PARTITIONS])
def test_a_file_that_cannot_be_put_leaves_no_manifest_and_is_why_the_run_failed(at: int) -> None:
    world = partitioned()
    numbers = iter(range(1, 1 + 2 * PARTITIONS))

    def put(_path: Path) -> None:
        if next(numbers) == at:
            raise RunFailed("The store is full.")

    assert isinstance(world.snapshots, Store)
    world.snapshots.on_put = put
    summary = world.run()
    assert (summary["status"], summary["reason"]) == ("failed", "The store is full.")
    assert world.snapshots.manifests() == []


def test_no_file_is_put_before_all_rows_are_known_to_have_keys_of_their_own() -> None:
    world = partitioned()
    world.source.rows.append({"id": 99, "v": "again"})
    summary = world.run()
    assert "2 that share a key" in summary["reason"]
    assert isinstance(world.snapshots, Store)
    assert world.snapshots.put == []


@pytest.mark.parametrize("partitions", [1, PARTITIONS])
def test_when_files_are_put_the_disk_holds_each_row_only_once(partitions: int) -> None:
    world = partitioned()
    if partitions == 1:
        world.source.rows = world.source.rows[:3]
    there: set[str] = set()
    assert isinstance(world.snapshots, Store)
    world.snapshots.on_put = lambda path: there.update(file.parent.name for file in path.parents[1].rglob("*.parquet"))
    taken(world)
    assert there == {"made"}
