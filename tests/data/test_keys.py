"""What a primary key may hold, and what stops the run before anything is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from rowcast.definition import Trigger, Triggers
from rowcast.models import from_json
from rowcast.ports import Verdict
from tests.data.files import FilesWorld, files_world, values
from tests.world import sync_definition

EVERY_KEY = {
    "'a/b#c%d'": "a/b#c%d",
    "'😀'": "😀",
    "''": "",
    "' '": " ",
    "repeat('k', 3072)": "k" * 3072,
    "'a' || chr(0) || 'b'": "a\0b",
    "'" + '{"quote": "\\"}' + "'": '{"quote": "\\"}',
    "true": True,
    "(-9223372036854775808)::BIGINT": -(2**63),
    "18446744073709551615::UBIGINT": 2**64 - 1,
    "1.50::DECIMAL(9, 2)": from_json("1.50"),
    "0.1::DOUBLE": from_json("0.1"),
    "'NaN'::DOUBLE": "NaN",
    "'2026-01-31'::DATE": "2026-01-31",
    "'10:00:00.5'::TIME": "10:00:00.500000",
    "'2026-01-31 10:00:00'::TIMESTAMP": "2026-01-31T10:00:00",
    "'2026-01-31 10:00:00+02'::TIMESTAMPTZ": "2026-01-31T08:00:00Z",
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "'\\x00\\xFF'::BLOB": "AP8=",
    '\'{"b": 1, "a": 2}\'::JSON': {"a": 2, "b": 1},
    "[1, 2]": [1, 2],
}


@pytest.mark.parametrize("key", EVERY_KEY)
def test_a_row_is_followed_by_a_key_of_any_type(world: FilesWorld, key: str) -> None:
    """The same row changes, stays and goes; its key arrives as it is."""
    kept = values(f"{key}, 'a'")
    world.run_with(kept)
    world.run_with(values(f"{key}, 'b'"))
    world.run()
    world.run_with(f"{kept} LIMIT 0")
    assert world.run()["status"] == "held"
    changes = world.sent_changes()
    assert [change.operation for change in changes] == ["added", "changed"]
    assert all(change.key == [EVERY_KEY[key]] for change in changes)


ON = Trigger(bus="bus", source="com.shop", detail_type="Row")
ON_OTHER = Triggers(added=ON, changed=structs.replace(ON, columns=("v", "other")), removed=ON)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"triggers": ON_OTHER}, "The changed trigger of orders names other, which the query's result does not have"),
        ({"mask": ("other",)}, "The mask of orders names other, which the query's result does not have"),
    ],
)
def test_a_trigger_or_a_mask_on_a_column_that_is_not_there_stops_the_run_and_loses_no_change(
    world: FilesWorld, what: dict[str, Any], said: str
) -> None:
    world.run_with(values("1, 'a'"))
    world.deploy(sync_definition(**what))
    failed = world.run_with(values("1, 'b'"))
    assert (failed["status"], failed["reason"].startswith(said)) == ("failed", True)
    assert "its columns are id, v. Correct" in failed["reason"]
    world.deploy(sync_definition())
    assert world.run()["status"] == "completed"
    assert [(change.operation, change.columns) for change in world.sent_changes()] == [
        ("added", []),
        ("changed", ["v"]),
    ]


def test_texts_that_look_alike_are_keys_of_their_own(world: FilesWorld) -> None:
    world.run_with(values("'caf' || chr(233), 1", "'cafe' || chr(769), 2", "'a', 3", "'a ', 4", "'A', 5"))
    assert len({change.key_hash for change in world.sent_changes()}) == 5


def test_the_parts_of_a_composite_key_do_not_run_together(tmp_path: Path) -> None:
    with files_world(tmp_path, primary_key=("a", "b")) as world:
        columns = "a, b, v"
        summary = world.run_with(values("'x', 'yz', 1", "'xy', 'z', 2", "'', 'xyz', 3", columns=columns))
        assert summary["added"] == 3
        world.sent_changes()
        world.run_with(values("'x', 'yz', 1", "'xy', 'z', 20", columns=columns))
        assert [(c.operation, c.key) for c in world.sent_changes()] == [
            ("changed", ["xy", "z"]),
            ("removed", ["", "xyz"]),
        ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (("1, 'x', 1", "1, 'x', 2", "1, 'y', 3"), "2 that share a key"),
        (("1, NULL, 1", "1, 'x', 2"), "1 with a null"),
        (("NULL, 'x', 1", "1, NULL, 1", "2, 'x', 1", "2, 'x', 1"), "2 with a null and 2 that share a key"),
    ],
)
def test_a_null_or_a_repetition_in_a_composite_key_stops_the_run(tmp_path: Path, rows: tuple[str], told: str) -> None:
    with files_world(tmp_path, primary_key=("a", "b")) as world:
        summary = world.run_with(values(*rows, columns="a, b, v"))
        assert (summary["status"], world.sent()) == ("failed", [])
        assert told in summary["reason"] and "Make the query give each key once" in summary["reason"]


def test_keys_that_are_equal_numbers_are_one_key(world: FilesWorld) -> None:
    summary = world.run_with(values("1.0::DECIMAL(9, 2), 'a'", "1, 'b'"))
    assert "2 that share a key" in summary["reason"]


KEPT = [
    ("1::INTEGER", "1::BIGINT"),
    ("1::BIGINT", "1.00::DECIMAL(9, 2)"),
    ("1.50::DECIMAL(9, 2)", "1.5::DECIMAL(9, 1)"),
]


@pytest.mark.parametrize(("before", "after"), KEPT)
def test_a_key_may_widen_without_loss(world: FilesWorld, before: str, after: str) -> None:
    world.run_with(values(f"{before}, 'a'"))
    world.sent()
    assert (world.run_with(values(f"{after}, 'a'"))["status"], world.sent()) == ("completed", [])


CHANGED = [
    ("1", "'1'", "integer", "text"),
    ("1.5::DECIMAL(9, 2)", "1.5::DOUBLE", "decimal", "float"),
    ("9007199254740993", "9007199254740993::DOUBLE", "integer", "float"),
    ("1", "true", "integer", "boolean"),
    ("'2026-01-31'::DATE", "'2026-01-31'::TIMESTAMP", "date", "timestamp"),
]


@pytest.mark.parametrize(("before", "after", "old", "new"), CHANGED)
def test_a_key_whose_type_changes_stops_the_run_with_what_to_do(
    world: FilesWorld, before: str, after: str, old: str, new: str
) -> None:
    world.run_with(values(f"{before}, 'a'"))
    world.sent()
    summary = world.run_with(values(f"{after}, 'a'"))
    assert (summary["status"], world.sent()) == ("failed", [])
    assert f"Key column id of orders changed its type from {old} to {new}" in summary["reason"]
    assert f"Cast it back to {old} in the query. Run `rowcast rebaseline orders --yes`" in summary["reason"]


def test_another_primary_key_stops_the_run_with_what_to_do(world: FilesWorld) -> None:
    world.run_with(values("1, 'a'"))
    world.sent()
    world.deploy(sync_definition(primary_key=("v",)))
    summary: dict[str, Any] = world.run()
    assert (summary["status"], world.sent()) == ("failed", [])
    assert "changed from id to v" in summary["reason"] and "`rowcast rebaseline orders --yes`" in summary["reason"]


@pytest.mark.parametrize(
    ("after", "changes"),
    [("'1', 'a'", {}), ("1, 'a'", {"primary_key": ("v",)})],
    ids=["a type", "a column"],
)
def test_a_rebaseline_follows_the_rows_by_the_new_key_and_sends_nothing(
    world: FilesWorld, after: str, changes: dict[str, Any]
) -> None:
    world.target.answer = lambda message, attempt: Verdict(kind="in_doubt", reason="Timed out")
    world.run_with(values("1, 'a'", "2, 'b'"))
    assert len(world.owed()) == 2
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    world.deploy(sync_definition(**changes))
    world.sent()
    world.put(values(after))
    assert world.run()["status"] == "failed"
    assert world.steer("rebaseline")["status"] == "completed"
    assert (world.sent(), world.owed()) == ([], {})
    world.run_with(values(after, "'3', 'c'"))
    assert [(change.operation, change.row["v"]) for change in world.sent_changes()] == [("added", "c")]
    assert world.run_with(values(after, "'3', 'c'"))["added"] == 0
