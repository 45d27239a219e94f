"""Columns that come, go, or change their type between two runs."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from rowcast.definition import Guard, Trigger, Triggers
from tests.data.files import FilesWorld, values
from tests.world import ON, sync_definition


def run_both(world: FilesWorld, before: str, after: str) -> dict[str, Any]:
    """The summary of the second run, with what the first sent out of sight."""
    assert world.run_with(before)["status"] == "completed"
    world.target.calls.clear()
    return world.run_with(after)


def test_a_column_that_is_added_sends_nothing_and_is_told(world: FilesWorld) -> None:
    summary = run_both(world, values("1, 'a'"), values("1, 'a', 2", columns="id, v, w"))
    assert (summary["status"], summary["columns_added"], world.sent()) == ("completed", ["w"], [])


def test_a_column_that_is_dropped_sends_nothing_and_is_told(world: FilesWorld) -> None:
    summary = run_both(world, values("1, 'a', 2", columns="id, v, w"), values("1, 'a'"))
    assert (summary["status"], summary["columns_dropped"], world.sent()) == ("completed", ["w"], [])


def test_a_column_that_is_renamed_is_one_dropped_and_one_added(world: FilesWorld) -> None:
    summary = run_both(world, values("1, 'a'"), values("1, 'a'", columns="id, w"))
    assert (summary["columns_added"], summary["columns_dropped"], world.sent()) == (["w"], ["v"], [])


def test_a_column_added_earlier_is_compared_from_the_next_run_on(world: FilesWorld) -> None:
    run_both(world, values("1, 'a'"), values("1, 'a', 2", columns="id, v, w"))
    world.run_with(values("1, 'a', 3", columns="id, v, w"))
    assert [change.columns for change in world.sent_changes()] == [["w"]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("5::INTEGER", "5::BIGINT"),
        ("5::BIGINT", "5.00::DECIMAL(9, 2)"),
        ("5.00::DECIMAL(9, 2)", "5.0000::DECIMAL(38, 4)"),
        ("5.00::DECIMAL(9, 2)", "5::INTEGER"),
        ("5::INTEGER", "5::DOUBLE"),
        ("1.5::FLOAT", "1.5::DOUBLE"),
        ("'sad'::ENUM('sad', 'glad')", "'sad'"),
        ("'2026-01-31 10:00:00'::TIMESTAMP_S", "'2026-01-31 10:00:00'::TIMESTAMP"),
    ],
)
def test_a_lossless_change_of_type_compares_by_value(world: FilesWorld, before: str, after: str) -> None:
    summary = run_both(world, values(f"1, {before}"), values(f"1, {after}"))
    assert (summary["status"], world.sent()) == ("completed", [])


def test_a_value_that_changes_with_a_lossless_change_of_type_is_sent(world: FilesWorld) -> None:
    run_both(world, values("1, 5", "2, 6"), values("1, 5.00::DECIMAL(9, 2)", "2, 6.50"))
    assert [(change.key, change.columns) for change in world.sent_changes()] == [([2], ["v"])]


LOSSY = [
    ("1.5::DECIMAL(9, 2)", "1.5::DOUBLE", "decimal", "float"),
    ("1.50::DECIMAL(9, 2)", "'1.50'", "decimal", "text"),
    ("1", "true", "integer", "boolean"),
    ("9007199254740993", "9007199254740993::DOUBLE", "integer", "float"),
    ("'2026-01-31'", "'2026-01-31'::DATE", "text", "date"),
    ("'2026-01-31 10:00:00'::TIMESTAMP", "'2026-01-31 10:00:00'::TIMESTAMPTZ", "timestamp", "timestamptz"),
    ("""'{"a": 1}'""", """'{"a": 1}'::JSON""", "text", "json"),
]


@pytest.mark.parametrize(("before", "after", "old", "new"), LOSSY)
def test_a_lossy_change_of_type_holds_the_run_and_says_what_to_do(
    world: FilesWorld, before: str, after: str, old: str, new: str
) -> None:
    summary = run_both(world, values(f"1, {before}"), values(f"1, {after}"))
    assert (summary["status"], world.sent()) == ("held", [])
    assert f"v (from {old} to {new}; rows: 1)" in summary["reason"]
    assert "Cast them back in the query, or set `guard.allow_retyped: true`" in summary["reason"]


def test_a_held_change_of_type_goes_on_when_it_is_allowed(world: FilesWorld) -> None:
    run_both(world, values("1, 1.50::DECIMAL(9, 2)", "2, NULL"), values("1, '1.50'", "2, NULL"))
    world.deploy(sync_definition(guard=Guard(allow_retyped=True)))
    assert world.run()["status"] == "completed"
    assert world.sent() == [("changed", 1)]
    world.deploy(sync_definition())
    assert (world.run()["status"], world.sent()) == ("completed", [])


def test_a_held_change_of_type_goes_on_when_it_is_cast_back(world: FilesWorld) -> None:
    run_both(world, values("1, 1.50::DECIMAL(9, 2)"), values("1, '1.50'"))
    world.deploy(sync_definition(query="SELECT id, v::DECIMAL(9, 2) AS v FROM orders"))
    assert (world.run()["status"], world.sent()) == ("completed", [])


def test_a_column_of_nulls_may_take_any_type(world: FilesWorld) -> None:
    """As a file's column does when its first value comes."""
    summary = run_both(world, values("1, NULL::VARCHAR", "2, NULL"), values("1, 5", "2, NULL"))
    assert summary["status"] == "completed"
    assert [(change.key, change.before, change.after) for change in world.sent_changes()] == [
        ([1], {"id": 1, "v": None}, {"id": 1, "v": 5})
    ]


def test_a_change_of_type_that_sends_nothing_holds_nothing(world: FilesWorld) -> None:
    changed = Trigger(bus="bus", source="com.shop", detail_type="Row", columns=("w",))
    world.deploy(sync_definition(triggers=Triggers(added=ON, changed=changed, removed=ON)))
    columns = "id, v, w"
    summary = run_both(world, values("1, 1.5, 1", columns=columns), values("1, '1.5', 1", columns=columns))
    assert (summary["status"], summary["skipped"], world.sent()) == ("completed", 1, [])


def test_every_retyped_column_is_told_with_its_rows(world: FilesWorld) -> None:
    columns = "id, v, w"
    summary = run_both(
        world,
        values("1, 1.5, 'x'", "2, 2.5, NULL", columns=columns),
        values("1, '1.5', true", "2, '2.5', NULL", columns=columns),
    )
    told = "v (from decimal to text; rows: 2), w (from text to boolean; rows: 1)"
    assert (summary["status"], told in summary["reason"]) == ("held", True)


def test_a_row_may_have_a_thousand_columns(world: FilesWorld) -> None:
    wide = ", ".join(f"{number} AS c{number}" for number in range(1_000))
    run_both(world, f"SELECT 1 AS id, {wide}", f"SELECT 1 AS id, {wide.replace('7 AS c7', '0 AS c7', 1)}")
    [change] = world.sent_changes()
    assert (change.columns, len(change.row)) == (["c7"], 1_001)


def test_a_struct_may_have_hundreds_of_members(world: FilesWorld) -> None:
    members = ", ".join(f"m{number}: {number}" for number in range(400))
    world.run_with(f"SELECT 1 AS id, {{{members}}} AS v")
    [change] = world.sent_changes()
    assert len(change.row["v"]) == 400


PARQUET_TYPES = [
    ("INTERVAL 1 DAY", '"v"::VARCHAR'),
    ("1::VARIANT", '"v"::JSON'),
    ("'POINT(1 2)'::GEOMETRY", 'ST_AsText("v")'),
]


@pytest.mark.parametrize(("value", "cast"), PARQUET_TYPES)
def test_a_parquet_type_without_an_exact_form_stops_the_run_with_the_cast_to_write(
    world: FilesWorld, value: str, cast: str
) -> None:
    summary = world.run_with(values(f"1, {value}"))
    assert (summary["status"], world.sent()) == ("failed", [])
    assert f'write {cast} AS "v" in the query' in summary["reason"]
    world.deploy(sync_definition(query=f'SELECT id, {cast} AS "v" FROM orders'))
    assert world.run()["status"] == "completed"


def test_a_parquet_column_of_another_tool_s_type_arrives_as_what_it_is_stored_as(world: FilesWorld) -> None:
    """What Arrow calls an extension type stands in the file's metadata alone."""
    foreign = world.folder.scratch / "foreign.parquet"
    metadata = "{'ARROW:schema': 'ARROW:extension:name=arrow.opaque', 'pandas': '{\"columns\": []}'}"
    rows = values("1, 'x', '\\x01'::BLOB", columns="id, v, w")
    duckdb.connect().execute(f"COPY ({rows}) TO '{foreign}' (FORMAT parquet, KV_METADATA {metadata})")
    world.folder.put("orders.parquet", foreign.read_bytes())
    assert world.run()["status"] == "completed"
    assert [change.row for change in world.sent_changes()] == [{"id": 1, "v": "x", "w": "AQ=="}]
