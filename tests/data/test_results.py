"""Results that are empty, shorter, broken off, or whose snapshot was damaged since."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.data.files import FilesWorld
from tests.world import World, sync_definition


def rows(count: int, value: str = "'a'") -> str:
    return f"SELECT i AS id, {value} AS v FROM range({count}) AS t(i)"


def test_an_empty_result_is_held_and_sends_nothing(world: FilesWorld) -> None:
    world.run_with(rows(3))
    world.sent()
    summary = world.run_with(rows(0))
    assert (summary["status"], world.sent(), world.head.generation) == ("held", [], 1)
    assert "set `guard.allow_empty: true`" in summary["reason"]
    assert (world.run_with(rows(3))["status"], world.sent()) == ("completed", [])


def test_an_empty_first_result_is_no_surprise(world: FilesWorld) -> None:
    assert world.run_with(rows(0))["status"] == "completed"
    assert world.run_with(rows(2))["added"] == 2


def test_a_result_with_half_the_rows_gone_is_held(world: FilesWorld) -> None:
    world.run_with(rows(1_000))
    world.sent()
    summary = world.run_with(rows(500))
    assert (summary["status"], world.sent()) == ("held", [])
    assert "500 of 1000 rows would be removed, more than 15%" in summary["reason"]


def test_a_query_that_fails_after_half_its_rows_sends_nothing_and_moves_nothing(world: FilesWorld) -> None:
    world.run_with(rows(3))
    world.sent()
    before = world.head
    world.put(rows(100_000, "CASE WHEN i = 50000 THEN 'canary' ELSE i::VARCHAR END"))
    world.deploy(sync_definition(query="SELECT id, v::BIGINT AS v FROM orders"))
    summary = world.run()
    assert (summary["status"], world.sent()) == ("failed", [])
    assert "canary" not in summary["reason"]
    assert (world.head.generation, world.head.history) == (before.generation, before.history)
    world.deploy(sync_definition())
    assert (world.run_with(rows(4))["status"], world.sent()) == ("completed", [("added", 3)])


def baseline_file(world: World, name: str = "key") -> str:
    [partition] = world.snapshots.manifest(world.head.manifest).partitions
    key = getattr(partition, name)
    assert isinstance(key, str)
    return key


FIRST_CHANGED = "CASE WHEN i = 0 THEN 'b' ELSE 'a' END"


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "altered": lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:],
    "cut short": lambda data: data[:-1],
    "another file": lambda data: b"",
}


@pytest.mark.parametrize("file", ["key", "fingerprints"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_snapshot_file_stops_the_run_before_anything_is_sent(
    world: FilesWorld, damage: str, file: str
) -> None:
    world.run_with(rows(3))
    world.sent()
    key, before = baseline_file(world, file), world.head
    whole = world.snapshots.objects[key]
    world.snapshots.objects[key] = DAMAGE[damage](whole)
    summary = world.run_with(rows(3, FIRST_CHANGED))
    assert (summary["status"], world.sent(), world.head.history) == ("failed", [], before.history)
    assert key in summary["reason"]
    world.snapshots.objects[key] = whole
    assert (world.run()["status"], world.sent()) == ("completed", [("changed", 0)])


@pytest.mark.parametrize("file", ["key", "fingerprints"])
def test_a_snapshot_file_that_is_gone_stops_the_run_before_anything_is_sent(world: FilesWorld, file: str) -> None:
    world.run_with(rows(3))
    world.sent()
    del world.snapshots.objects[baseline_file(world, file)]
    assert (world.run_with(rows(3, FIRST_CHANGED))["status"], world.sent()) == ("failed", [])


def test_of_the_baseline_only_the_rows_that_are_needed_are_opened(world: FilesWorld) -> None:
    """A row that was added has none before it."""
    world.run_with(rows(3))
    world.sent()
    del world.snapshots.objects[baseline_file(world)]
    assert (world.run_with(rows(4))["status"], world.sent()) == ("completed", [("added", 3)])


def test_a_snapshot_damaged_between_its_writing_and_the_diff_is_thrown_away(world: FilesWorld) -> None:
    """The next run takes one of its own."""
    world.run_with(rows(3))
    world.sent()
    world.put(rows(4))

    def damage(state: str) -> None:
        if state == "diff":
            files = [key for key in world.snapshots.objects if key.endswith(".parquet")]
            world.snapshots.objects[max(files)] += b"!"

    assert (world.run(on=damage)["status"], world.sent()) == ("failed", [])
    assert (world.run()["status"], world.sent()) == ("completed", [("added", 3)])
