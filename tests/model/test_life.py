"""A deployment's life: a sync gets another name, goes away and comes back, moves house, is restored from a backup."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from rowcast.errors import RunFailed
from tests.model.aws_world import BUCKET, AwsWorld, Services, aws_world
from tests.model.frozen import kept, restore
from workbench.renaming import rename

OLD, NEW = "orders", "sales"


@pytest.fixture
def world() -> Iterator[AwsWorld]:
    with begun() as made:
        yield made


@contextmanager
def begun() -> Iterator[AwsWorld]:
    with aws_world() as made:
        made.look = lambda: None  # type: ignore[method-assign]  # the oracle knows one sync, and no restored tables
        made.source.rows = [{"id": number, "v": f"row {number}"} for number in range(1, 6)]
        made.answer = lambda key, attempt: "rejected" if key == 2 else "accepted"
        assert made.run()["owed_after"] == 1
        yield made


def place(world: AwsWorld) -> Any:
    services = Services(world)
    return SimpleNamespace(states=services.states, debts=services.debts)


def renamed(world: AwsWorld) -> None:
    rename(place(world), OLD, NEW, by="ann")
    world.deploy(msgspec.structs.replace(world.definition, sync=NEW))


def sent_since(world: AwsWorld, before: int) -> list[tuple[Any, Any, Any]]:
    return sorted(
        (one.key, one.previous and one.previous["v"], one.row and one.row["v"]) for one in world.arrivals[before:]
    )


def test_a_renamed_sync_keeps_its_baseline_and_its_debts_and_sends_nothing_twice(world: AwsWorld) -> None:
    before = len(world.arrivals)
    renamed(world)
    world.answer = lambda key, attempt: "accepted"
    world.source.rows[0]["v"] = "changed"
    del world.source.rows[4]
    assert world.run()["status"] == "completed"
    assert sent_since(world, before) == [(1, "row 1", "changed"), (2, None, "row 2"), (5, "row 5", None)]
    assert list(Services(world).debts.debts(NEW, "0" * 32, "f" * 32)) == []
    before = len(world.arrivals)
    for number in range(5):
        world.source.rows[0]["v"] = f"changed {number}"
        assert world.run()["status"] == "completed", "the old name's snapshots go when they are no longer needed"
    assert len(world.arrivals) == before + 5


def test_the_old_name_never_runs_again_and_says_why(world: AwsWorld) -> None:
    rename(place(world), OLD, NEW, by="ann")
    before = len(world.arrivals)
    summary = world.run()
    assert (summary["status"], "orders was renamed to sales" in summary["reason"]) == ("failed", True)
    assert len(world.arrivals) == before
    with pytest.raises(RunFailed, match="renamed to sales"):
        Services(world).states.head(OLD)


def test_a_rename_that_broke_off_goes_on_where_it_is_repeated(world: AwsWorld) -> None:
    here = place(world)

    def broken_off(*_: Any) -> None:
        raise ConnectionError

    book, here.debts.book = here.debts.book, broken_off
    with pytest.raises(ConnectionError):
        rename(here, OLD, NEW, by="ann", because="ticket 12")
    here.debts.book = book
    rename(here, OLD, NEW, by="bob")
    assert [debt.key for debt in here.debts.debts(NEW, "0" * 32, "f" * 32)] == [[2]]
    assert here.states.head(NEW).holder is None
    (record,) = here.states.runs(NEW, 10)
    assert (record.mode, record.status, record.requested_by, record.because) == (
        "rename",
        "completed",
        "ann",
        "ticket 12",
    )
    assert (record.generation, record.owed_after, record.reason) == (1, 1, "orders is sales from now on.")


def test_a_name_that_has_run_and_a_sync_that_never_ran_are_not_renamed(world: AwsWorld) -> None:
    here = place(world)
    with pytest.raises(RunFailed, match="never run"):
        rename(here, "nobody", NEW, by="ann")
    renamed(world)
    world.run()
    with pytest.raises(RunFailed, match="renamed to sales before"):
        rename(here, OLD, "third", by="ann")
    with pytest.raises(RunFailed, match="orders has run before"):
        rename(here, NEW, OLD, by="ann")
    assert here.states.head(NEW).generation == 2


def test_a_sync_that_was_deleted_and_comes_back_goes_on_from_its_baseline(world: AwsWorld) -> None:
    world.client("ssm").delete_parameter(Name=f"/stack/syncs/{OLD}")
    before = len(world.arrivals)
    assert world.run()["status"] == "failed"
    world.answer = lambda key, attempt: "accepted"
    world.deploy(world.definition)
    world.source.rows[0]["v"] = "changed"
    assert world.run()["status"] == "completed"
    assert sent_since(world, before) == [(1, "row 1", "changed"), (2, None, "row 2")]


def test_what_is_stored_names_no_bucket_so_that_it_can_move_to_another() -> None:
    with begun() as world:
        state, rows = kept(world), world.source.rows
    bodies = [b64decode(body) for key, body in state["objects"].items()]
    assert bodies
    assert not [body for body in bodies if BUCKET.encode() in body]
    assert BUCKET not in str(state["tables"])
    with aws_world() as other:
        other.look = lambda: None  # type: ignore[method-assign]
        restore({**state, "parameters": {}}, other)
        other.source.rows = rows
        assert other.run()["status"] == "completed"
        assert [one.key for one in other.arrivals] == [2]


def test_tables_restored_to_an_earlier_time_send_again_what_followed_under_the_same_ids(world: AwsWorld) -> None:
    backup = kept(world)
    world.answer = lambda key, attempt: "accepted"
    world.source.rows[0]["v"] = "changed"
    world.source.rows.append({"id": 6, "v": "new"})
    before = len(world.arrivals)
    world.run()
    first = world.arrivals[before:]
    restore_tables(world, backup)
    before = len(world.arrivals)
    assert world.run()["status"] == "completed"
    again = world.arrivals[before:]
    assert sorted((one.id, one.body) for one in again) == sorted((one.id, one.body) for one in first)
    before = len(world.arrivals)
    world.run()
    assert len(world.arrivals) == before


def restore_tables(world: AwsWorld, backup: dict[str, Any]) -> None:
    dynamodb = world.client("dynamodb")
    for name in backup["tables"]:
        for item in dynamodb.scan(TableName=name)["Items"]:
            dynamodb.delete_item(TableName=name, Key={part: item[part] for part in ("pk", "sk")})
    clock = world.clock.time
    restore({**backup, "objects": {}, "queues": {}, "parameters": {}}, world)
    world.clock.time = clock
