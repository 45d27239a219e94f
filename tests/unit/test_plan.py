"""plan: what a run would send is told, and nothing else happens."""

from __future__ import annotations

from typing import Any

import pytest

from rowcast.definition import Guard, LambdaDestination, Trigger, Triggers
from rowcast.errors import MessageInvalid
from rowcast.models import from_json
from rowcast.plan import plan_key
from tests import deaths
from tests.unit.test_overlap import interrupted
from tests.unit.test_route import REJECTED, accounts, answer_by_id, settled, world_of
from tests.world import World

pytestmark = pytest.mark.usefixtures("remembered")


def planned(world: World, **more: Any) -> dict[str, Any]:
    """The plan's document, after checking that making it sent, owed, kept and moved nothing."""
    before = (world.head.generation, world.head.history, world.owed(), set(world.snapshots.objects))
    world.sent()
    summary = world.steer("plan", **more)
    assert summary["status"] == "planned"
    assert world.sent() == []
    after = (world.head.generation, world.head.history, world.owed())
    kept = {key for key in world.snapshots.objects if not key.startswith("worklists/")}
    assert (*after, kept) == (*before[:3], {key for key in before[3] if not key.startswith("worklists/")})
    assert world.head.holder is None
    document: dict[str, Any] = from_json(world.objects.get(plan_key(world.sync, summary["run"])) or b"")
    return document


def test_a_plan_counts_what_a_run_would_send_and_sends_nothing() -> None:
    world = settled(1, 2, 3)
    world.source.put(id=2, v="other")
    world.source.remove(3)
    world.source.put(id=4, v="new")
    plan = planned(world)
    assert {name: plan[name] for name in ("rows", "added", "changed", "removed", "owed", "held")} == {
        "rows": 3,
        "added": 1,
        "changed": 1,
        "removed": 1,
        "owed": 0,
        "held": "",
    }
    assert accounts(world.run()) == {"added": 1, "changed": 1, "removed": 1, "accepted": 3}


def test_a_plan_shows_messages_as_they_would_go_out_with_old_and_new_of_each_column() -> None:
    world = settled(1)
    world.source.put(id=1, v="other")
    [one] = planned(world)["messages"]
    assert one == {
        "operation": "changed",
        "key": [1],
        "columns": {"v": ["v1", "other"]},
        "message": {"id": 1, "v": "other"},
        "problem": "",
    }


def test_a_plan_shows_some_messages_of_each_operation_and_counts_them_all() -> None:
    world = settled(*range(300))
    for key in range(100):
        world.source.put(id=key, v="other")
        world.source.remove(key + 200)
        world.source.put(id=key + 500, v="new")
    plan = planned(world)
    shown = [one["operation"] for one in plan["messages"]]
    assert (plan["added"], plan["changed"], plan["removed"]) == (100, 100, 100)
    assert shown == ["added"] * 10 + ["changed"] * 10 + ["removed"] * 10


def test_a_plan_of_nothing_is_empty() -> None:
    plan = planned(settled(1))
    assert (plan["messages"], plan["calls"], plan["added"] + plan["changed"] + plan["removed"]) == ([], 0, 0)


def test_a_plan_counts_debts_and_leaves_them() -> None:
    world = world_of(1, 2)
    world.target.answer = answer_by_id({1: REJECTED})
    world.run()
    plan = planned(world)
    assert (plan["owed"], plan["added"]) == (1, 1)


def test_a_plan_tells_what_the_guard_would_say() -> None:
    world = settled(*range(300))
    for key in range(200):
        world.source.remove(key)
    assert "200 of 300 rows would be removed" in planned(world)["held"]


def test_a_plan_tells_of_columns_that_came_and_went() -> None:
    world = settled(1)
    world.source.columns = {"id": "integer", "w": "text"}
    plan = planned(world)
    assert (plan["columns_added"], plan["columns_dropped"]) == (["w"], ["v"])


def test_a_plan_names_the_rows_of_which_no_message_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(1)

    def render(change: Any) -> bytes:
        raise MessageInvalid("line 1: no such column")

    monkeypatch.setattr(world, "render", lambda definition, run: render)
    assert planned(world)["messages"][0]["problem"] == "line 1: no such column"


def test_a_plan_estimates_calls_by_operation_and_batch() -> None:
    on = Trigger()
    world = world_of(
        *range(25),
        destination=LambdaDestination(function="f", batch_size=10),
        triggers=Triggers(added=on, changed=on, removed=on),
    )
    assert planned(world)["calls"] == 3


def test_a_plan_of_a_first_sync_that_skips_says_so() -> None:
    assert planned(world_of(1, 2, initial_sync="skip"))["skipped"] == 2


@pytest.mark.parametrize("state", ["snapshot", "diff", "seal"])
def test_a_plan_that_died_is_survived_by_the_next_start(state: str) -> None:
    world = world_of(1)
    with pytest.raises(deaths.Died):
        world.steer("plan", on=deaths.before(state))
    assert accounts(world.run()) == {"added": 1, "accepted": 1}


def test_a_plan_does_not_finish_what_a_run_left_since_that_would_send() -> None:
    world = world_of(1)
    interrupted(world, "fan_out")
    summary = world.steer("plan")
    assert (summary["status"], world.sent()) == ("failed", [])
    assert "not finished" in summary["reason"]
    world.run()
    assert world.arrived() == {1: {"id": 1, "v": "v1"}}


def test_a_plan_during_a_run_says_busy() -> None:
    world = world_of(1)
    answers = []

    def plan(state: str) -> None:
        if state in ("diff", "fan_out", "commit"):
            answers.append(world.steer("plan")["status"])

    assert world.run(on=plan)["status"] == "completed"
    assert answers == ["already_running"] * 3


def test_a_run_during_a_plan_says_busy() -> None:
    world = world_of(1)
    answers = []
    world.steer("plan", on=lambda state: answers.append(world.run()["status"]) if state == "seal" else None)
    assert answers == ["already_running"]


def test_a_plan_s_record_says_who_asked() -> None:
    world = world_of(1, guard=Guard())
    planned(world)
    [run] = world.states.runs(world.sync, 10)
    assert (run.mode, run.status, run.requested_by) == ("plan", "planned", "arn:aws:iam::1:user/ann")


def test_a_seal_whose_answer_was_lost_answers_the_plan_again() -> None:
    world = world_of(1)
    answers = []
    seal = world.seal

    def twice(run: str, token: int) -> Any:
        answers.extend([seal(run, token), seal(run, token)])
        return answers[-1]

    world.seal = twice  # type: ignore[method-assign]
    world.steer("plan")
    assert answers[0] == answers[1]
