"""Rows that are large, and JSON that is deep: through real destinations and stores, behind the limits of AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rowcast.definition import LambdaDestination
from rowcast.destinations.function import LambdaFunction
from rowcast.models import Chunk, from_json
from rowcast.stores.bodies import INLINE_BYTES
from tests import aws_faults
from tests.aws_limits import enforce
from tests.contract.conftest import build_aws_stores, client_of, through_sdk
from tests.contract.test_destinations import a_bridge, refuse_oversize
from tests.data.files import FilesWorld, files_world, values
from tests.world import ALL_ON, sync_definition

LARGE = "repeat('x', 1200000)"


def incompressible(count: int) -> str:
    """SQL of a text of at least `count` hexadecimal digits that no compression takes for less than half of it."""
    return f"(SELECT string_agg(sha256(i::VARCHAR), '') FROM range({count // 64 + 1}) AS t(i))"


@pytest.fixture
def events(world: FilesWorld) -> list[list[dict[str, Any]]]:
    """The calls that EventBridge took from the world's destination, each with its entries."""
    client = enforce(client_of("events"))
    client.create_event_bus(Name="bus")
    calls: list[list[dict[str, Any]]] = []
    client.meta.events.register(
        "provide-client-params.eventbridge.PutEvents", lambda params, **_: calls.append(params["Entries"])
    )
    world.target = a_bridge(client, ALL_ON)  # type: ignore[assignment]
    return calls


def keys(call: list[dict[str, Any]]) -> list[int]:
    return [from_json(entry["Detail"])["id"] for entry in call]


def test_a_row_that_no_event_can_carry_is_rejected_with_its_reason_and_costs_no_other(
    world: FilesWorld, events: list[list[dict[str, Any]]]
) -> None:
    summary = world.run_with(values("1, 'a'", f"2, {LARGE}", "3, 'c'"))
    assert (summary["status"], summary["accepted"], summary["rejected"]) == ("completed", 2, 1)
    assert [sorted(keys(call)) for call in events] == [[1, 3]]
    assert "1,048,576 bytes or more, which EventBridge does not take" in world.owed()[2].reason


def test_a_row_that_was_too_large_is_sent_when_it_fits(world: FilesWorld, events: list[list[dict[str, Any]]]) -> None:
    world.run_with(values(f"2, {LARGE}"))
    assert world.run()["rejected"] == 1
    assert world.run_with(values("2, 'short'"))["accepted"] == 1
    assert ([keys(call) for call in events], world.owed()) == ([[2]], {})


def test_ten_rows_of_150_kb_go_in_calls_that_eventbridge_takes(
    world: FilesWorld, events: list[list[dict[str, Any]]]
) -> None:
    summary = world.run_with("SELECT i AS id, repeat('x', 150000) AS v FROM range(10) AS t(i)")
    assert (summary["accepted"], [len(call) for call in events]) == (10, [6, 4])


def test_a_row_that_no_invocation_can_carry_is_rejected_and_costs_no_other(tmp_path: Path) -> None:
    destination = LambdaDestination(function="f", batch_size=10)
    with files_world(tmp_path, destination=destination) as world:
        client = enforce(client_of("lambda"))
        aws_faults.answer(client, "Invoke", {"StatusCode": 200, "Payload": _Reply()}, times=10)
        aws_faults.answer(client, "GetFunctionConfiguration", {}, times=10)
        world.target = LambdaFunction(  # type: ignore[assignment]
            client=client,
            connect=through_sdk(client),
            function="f",
            batch_size=10,
            primary_key=("id",),
            oversize=refuse_oversize,
        )
        summary = world.run_with(values("1, 'a'", "2, repeat('x', 6500000)", f"3, {LARGE}"))
        assert (summary["accepted"], summary["rejected"]) == (2, 1)
        assert "bytes" in world.owed()[2].reason


class _Reply:
    """An empty reply, as often as it is read."""

    def read(self) -> bytes:
        return b"null"


def test_changes_of_more_than_an_items_size_lie_in_s3(world: FilesWorld) -> None:
    world.run_with(values("1, 'a'", f"2, {incompressible(1_000_000)}"))
    stores = build_aws_stores()
    for chunk in _chunks(world):
        stores.changes.put_chunk(chunk)
        assert stores.changes.chunk(chunk.sync, chunk.run, chunk.id) == chunk
    overflow = stores.clients["s3"].list_objects_v2(Bucket="rowcast-bucket", Prefix="overflow/")["Contents"]
    assert [item["Size"] > INLINE_BYTES for item in overflow] == [True]


def _chunks(world: FilesWorld) -> list[Chunk]:
    [run] = world.states.runs("orders", 1)
    results = world.changes.results("orders", run.run)
    return [world.changes.chunk("orders", run.run, chunk) for result in results for chunk in result.chunks]


def nested(levels: int) -> str:
    return f"repeat('[', {levels}) || repeat(']', {levels})"


def test_json_of_two_hundred_levels_is_followed(world: FilesWorld) -> None:
    world.run_with(values(f"1, ({nested(200)})::JSON"))
    [change] = world.sent_changes()
    assert change.row["v"] == from_json("[" * 200 + "]" * 200)


@pytest.mark.parametrize("levels", [201, 1_001])
def test_json_that_is_too_deep_stops_the_run_with_what_to_write(world: FilesWorld, levels: int) -> None:
    summary = world.run_with(values("1, '1'::JSON", f"2, ({nested(levels)})::JSON"))
    assert (summary["status"], world.sent()) == ("failed", [])
    assert 'Column "v" holds JSON of more than 200 levels' in summary["reason"]
    world.deploy(sync_definition(query='SELECT id, "v"::VARCHAR AS "v" FROM orders'))
    assert (world.run()["status"], sorted(world.sent())) == ("completed", [("added", 1), ("added", 2)])


def test_brackets_in_texts_and_siblings_make_no_levels(world: FilesWorld) -> None:
    world.run_with(
        values(f"""1, ('["' || {nested(500)} || '\\"["]')::JSON""", "2, ('[' || repeat('[],', 500) || '1]')::JSON")
    )
    assert len(world.sent_changes()) == 2
