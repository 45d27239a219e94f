"""resync: every row is sent again."""

from __future__ import annotations

import pytest

from rowcast.definition import Limits, Trigger, Triggers
from rowcast.models import Row
from tests import deaths
from tests.unit.test_route import REJECTED, accounts, answer_by_id, settled, world_of
from tests.world import ON, World

pytestmark = pytest.mark.usefixtures("remembered")


def sides(world: World) -> dict[int, tuple[str, Row | None, Row | None]]:
    """Operation, before and after of what was sent, by key."""
    return {
        sent.change.key[0]: (sent.change.operation, sent.change.before, sent.change.after) for sent in world.target.sent
    }


def test_a_resync_sends_every_row_as_changed_and_what_differs_as_it_differs() -> None:
    world = settled(1, 2, 3, 4)
    world.source.put(id=2, v="other")
    world.source.remove(3)
    world.source.put(id=5, v="new")
    summary = world.steer("resync", because="the target lost its data")
    assert accounts(summary) == {"added": 1, "changed": 3, "removed": 1, "accepted": 5}
    same = {"id": 1, "v": "v1"}
    assert sides(world)[1] == ("changed", same, same)
    assert sides(world)[2] == ("changed", {"id": 2, "v": "v2"}, {"id": 2, "v": "other"})
    assert (sides(world)[3][0], sides(world)[5][0]) == ("removed", "added")
    world.sent()
    assert accounts(world.run()) == {}


def test_a_resync_reaches_partitions_in_which_nothing_differs() -> None:
    world = settled(*range(100), limits=Limits(concurrency=1, rows_per_partition=4))
    assert accounts(world.steer("resync")) == {"changed": 100, "accepted": 100}


def test_a_sync_that_sends_no_changes_resyncs_its_rows_as_added() -> None:
    world = settled(1, 2, triggers=Triggers(added=ON, removed=ON))
    world.source.put(id=2, v="other")
    assert accounts(world.steer("resync")) == {"added": 2, "accepted": 2}
    assert sides(world)[1] == ("added", None, {"id": 1, "v": "v1"})
    assert sides(world)[2] == ("added", None, {"id": 2, "v": "other"})


def test_a_sync_that_sends_removals_alone_has_nothing_to_resync() -> None:
    world = settled(1, 2, triggers=Triggers(removed=ON))
    assert accounts(world.steer("resync")) == {"skipped": 2}


def test_a_resync_that_is_refused_whole_leaves_its_rows_owed() -> None:
    world = settled(*range(150))
    world.target.answer = lambda message, attempt: REJECTED
    summary = world.steer("resync")
    assert (summary["status"], summary["owed_after"]) == ("failed", 150)
    world.sent()
    world.target.answer = answer_by_id({})
    assert accounts(world.run()) == {"changed": 150, "accepted": 150, "owed_before": 150}


def test_a_resync_that_was_held_sends_every_row_when_it_is_approved() -> None:
    world = settled(*range(500))
    world.target.arrived.clear()
    for key in range(200):
        world.source.remove(key)
    held = world.steer("resync")
    assert held["status"] == "held"
    assert accounts(world.steer("approve", run=held["run"])) == {"changed": 300, "removed": 200, "accepted": 500}
    assert world.arrived() == {row["id"]: row for row in world.source.rows}


def test_a_trigger_s_columns_do_not_hold_back_a_resync() -> None:
    world = settled(1, triggers=Triggers(changed=Trigger(bus="bus", columns=("v",))))
    assert accounts(world.steer("resync")) == {"changed": 1, "accepted": 1}


def test_a_first_sync_that_would_skip_is_sent_whole() -> None:
    world = world_of(1, 2, initial_sync="skip")
    assert accounts(world.steer("resync")) == {"added": 2, "accepted": 2}


@pytest.mark.parametrize("owed", [("added", "added"), ("changed", "changed"), ("changed", "reverted")])
def test_a_resync_pays_what_is_owed(owed: tuple[str, str]) -> None:
    world = settled(*(() if owed[0] == "added" else (1,)), 2)
    world.source.put(id=1, v="rejected")
    world.target.answer = answer_by_id({1: REJECTED})
    world.run()
    world.target.answer = answer_by_id({})
    world.sent()
    if owed[1] == "reverted":
        world.source.put(id=1, v="v1")
    summary = world.steer("resync")
    assert (summary["accepted"], summary["owed_before"], summary["owed_after"]) == (2, 1, 0)
    assert sorted(key for _, key in world.sent()) == [1, 2]
    assert world.owed() == {}


def test_a_row_that_is_rejected_in_a_resync_stays_owed_though_nothing_differs() -> None:
    world = settled(1, 2)
    world.target.answer = answer_by_id({1: REJECTED})
    assert accounts(world.steer("resync")) == {"changed": 2, "accepted": 1, "rejected": 1, "owed_after": 1}
    world.target.answer = answer_by_id({})
    world.sent()
    assert accounts(world.run()) == {"changed": 1, "accepted": 1, "owed_before": 1}
    assert world.sent() == [("changed", 1)]


def test_the_guard_looks_at_what_differs_not_at_what_is_sent() -> None:
    world = settled(*range(300))
    assert world.steer("resync")["accepted"] == 300
    world.source.rows = world.source.rows[:50]
    assert world.steer("resync")["status"] == "held"


def test_two_resyncs_send_under_different_ids() -> None:
    world = settled(1)
    world.steer("resync")
    world.steer("resync")
    assert len({sent.change.id for sent in world.target.sent}) == 2


@pytest.mark.parametrize("state", ["snapshot", "diff", "seal", "fan_out", "commit"])
def test_a_resync_that_died_is_survived_by_the_next_start(state: str) -> None:
    world = settled(1, 2)
    with pytest.raises(deaths.Died):
        world.steer("resync", on=deaths.before(state))
    world.run()
    assert len(world.sent()) == (2 if state in ("fan_out", "commit") else 0)
    assert (world.owed(), world.head.open_run) == ({}, None)


def test_a_resync_during_a_run_says_busy() -> None:
    world = world_of(1)
    answers: list[str] = []
    world.run(on=lambda state: answers.append(world.steer("resync")["status"]) if state == "seal" else None)
    assert answers == ["already_running"]
