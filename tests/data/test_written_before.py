"""A baseline of an earlier form goes on as if it had been written today. Version 2 of the manifest gave fingerprints
files of their own; recipe 2 of fingerprints came after it; version 3 checks files by XXH3 instead of SHA-256."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rowcast.definition import Limits
from rowcast.models import Head
from tests.data.files import FilesWorld, files_world
from tests.world import sync_definition

WRITTEN = sorted(Path(__file__).parent.glob("written_by_*"))
KEPT = Path(__file__).parent / "written_by_2_recipe_2"
"""Its recipe is today's, so partitions that did not change stay as they are; the others are written anew as a whole."""
ROWS = """
SELECT i AS id, 'name ' || i AS name, (i / 4.0)::DECIMAL(12, 2) AS amount, i / 3.0 AS ratio, i % 2 = 0 AS even,
  ('\\x0' || (i % 10)::VARCHAR)::BLOB AS raw, DATE '2026-01-01' + i::INTEGER AS day,
  TIME '10:00:00' + to_seconds(i) AS at, TIMESTAMP '2026-01-31 10:00:00' + to_seconds(i) AS seen,
  ('2026-01-31 10:00:00+02'::TIMESTAMPTZ) + to_seconds(i) AS made,
  ('00000000-0000-0000-0000-' || lpad(i::VARCHAR, 12, '0'))::UUID AS tag,
  ('{"b": [' || i || ', 1.50], "a": null}')::JSON AS doc, CASE WHEN i % 7 = 0 THEN 'Zoë' END AS maybe
FROM range(60) AS t(i)"""
"""What the baseline was made of, in eight partitions."""
CHANGED = f"""
SELECT * REPLACE (CASE WHEN id = 7 THEN 'other' ELSE name END AS name) FROM ({ROWS}) WHERE id <> 11
UNION ALL SELECT * REPLACE (60 AS id) FROM ({ROWS}) WHERE id = 1"""
CHANGES = [("added", 60), ("changed", 7), ("removed", 11)]


@pytest.fixture(params=WRITTEN, ids=lambda path: path.name)
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FilesWorld]:
    run = json.loads((request.param / "manifest.json").read_bytes())["run"]
    with files_world(tmp_path, limits=Limits(concurrency=1, rows_per_partition=8)) as made:
        for path in request.param.iterdir():
            folder = "" if path.suffix == ".json" else "claim-1/"
            made.snapshots.objects[f"snapshots/orders/{run}/{folder}{path.name}"] = path.read_bytes()
        key = f"snapshots/orders/{run}/manifest.json"
        made.states.heads["orders"] = Head(sync="orders", generation=1, history=[key])
        yield made


def forms(world: FilesWorld) -> list[tuple[int, str]]:
    manifests = [world.snapshots.manifest(key) for key in world.head.history]
    return [(manifest.version, manifest.fingerprint_schema[0]) for manifest in manifests]


def test_an_equal_source_sends_nothing_and_is_written_anew_for_another_recipe(world: FilesWorld) -> None:
    before = forms(world)
    assert (world.run_with(ROWS)["status"], world.sent()) == ("completed", [])
    assert before in [[(1, "1")], [(2, "1")], [(2, "2")]]
    assert forms(world) == (before if before == [(2, "2")] else [(3, "2"), *before])


def test_what_changed_since_is_sent_once(world: FilesWorld) -> None:
    world.put(CHANGED)
    assert (world.run()["status"], sorted(world.sent())) == ("completed", CHANGES)
    assert (world.run()["status"], world.sent()) == ("completed", [])


def test_a_changed_row_has_both_sides_and_names_what_changed(world: FilesWorld) -> None:
    world.put(CHANGED)
    world.run()
    [change] = [change for change in world.sent_changes() if change.operation == "changed"]
    assert (change.columns, change.key) == (["name"], [7])
    assert change.before is not None and change.after is not None
    assert change.after == {**change.before, "name": "other"}
    assert change.before["doc"]["b"][0] == 7


@pytest.mark.parametrize("rows_per_partition", [1, 30, 1_000])
def test_another_number_of_partitions_sends_nothing_else(world: FilesWorld, rows_per_partition: int) -> None:
    world.deploy(sync_definition(limits=Limits(concurrency=1, rows_per_partition=rows_per_partition)))
    world.put(CHANGED)
    assert (world.run()["status"], sorted(world.sent())) == ("completed", CHANGES)
    assert (world.run()["status"], world.sent()) == ("completed", [])


@pytest.mark.parametrize(
    "select", ["*, 1 AS more", "* EXCLUDE (maybe)", "* REPLACE (amount::DECIMAL(14, 4) AS amount)"]
)
def test_another_column_or_a_wider_one_sends_nothing_else(world: FilesWorld, select: str) -> None:
    world.put(f"SELECT {select} FROM ({CHANGED})")
    assert (world.run()["status"], sorted(world.sent())) == ("completed", CHANGES)


def test_its_damaged_file_stops_the_run(world: FilesWorld) -> None:
    [key] = [key for key in world.snapshots.objects if key.endswith("00005.parquet")]  # with row 7
    world.snapshots.objects[key] = world.snapshots.objects[key][:-1]
    summary: dict[str, Any] = world.run_with(CHANGED)
    assert (summary["status"], world.sent()) == ("failed", [])
    assert key in summary["reason"]


@pytest.mark.parametrize("world", [KEPT], indirect=True, ids=lambda path: path.name)
def test_a_partition_of_an_earlier_form_stands_among_those_of_today_and_is_checked(world: FilesWorld) -> None:
    world.run_with(CHANGED)
    assert sorted(world.sent()) == CHANGES
    partitions = world.snapshots.manifest(world.head.history[0]).partitions
    assert {(partition.sha256 != "", partition.checksum[:5]) for partition in partitions} == {
        (True, ""),
        (False, "xxh3:"),
    }
    [kept, *_] = [partition.key for partition in partitions if partition.sha256]
    assert kept is not None
    world.snapshots.objects[kept] += b" "
    summary: dict[str, Any] = world.run_with(f"SELECT * REPLACE ('other' AS name) FROM ({CHANGED})")
    assert (summary["status"], world.sent()) == ("failed", [])
    assert kept in summary["reason"]
