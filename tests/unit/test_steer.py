"""Modes in which a person steers a sync: what is sent, what is owed, where the baseline is."""

from __future__ import annotations

from typing import Any

import pytest

from rowcast.definition import Guard, Triggers
from rowcast.models import Mode, Selection
from rowcast.ports import Verdict
from tests import deaths
from tests.unit.test_route import IN_DOUBT, REJECTED, accounts, answer_by_id, settled, world_of
from tests.world import ON, World, sync_definition

pytestmark = pytest.mark.usefixtures("remembered")


def owing(*ids: int, **changes: Any) -> World:
    """A world whose first run had every row accepted but those of `ids`; then its target accepts again."""
    world = world_of(1, 2, 3, 4, **changes)
    world.target.answer = answer_by_id(dict.fromkeys(ids, REJECTED))
    world.run()
    world.target.answer = answer_by_id({})
    world.sent()
    return world


def keys(world: World, *ids: int) -> Selection:
    return Selection(key_hashes=tuple(world.owed()[key].key_hash for key in ids))


# --- rebaseline -------------------------------------------------------------------------------------------------------


def test_a_rebaseline_takes_the_source_for_accepted_and_sends_nothing() -> None:
    world = owing(1, 2)
    world.source.put(id=3, v="other")
    world.source.put(id=9, v="new")
    summary = world.steer("rebaseline", because="moved house")
    assert accounts(summary) == {"skipped": 4, "owed_before": 2}
    assert (world.sent(), world.owed(), world.queue.quarantined) == ([], {}, [])
    assert accounts(world.run()) == {}
    world.source.put(id=3, v="third")
    assert accounts(world.run()) == {"changed": 1, "accepted": 1}
    assert world.target.sent[0].change.before == {"id": 3, "v": "other"}


def test_a_rebaseline_of_a_new_sync_skips_even_where_it_would_backfill() -> None:
    world = world_of(1, 2)
    assert accounts(world.steer("rebaseline")) == {"skipped": 2}
    assert accounts(world.run()) == {}


def test_a_rebaseline_ends_what_is_in_doubt() -> None:
    world = world_of(1)
    world.target.answer = answer_by_id({1: IN_DOUBT})
    world.run()
    world.sent()
    world.steer("rebaseline")
    assert world.owed() == {}
    assert accounts(world.run()) == {}


def test_a_rebaseline_is_not_held_and_needs_no_destination() -> None:
    world = settled(*range(300))
    world.source.rows = []
    world.target.refuse = "gone"
    assert world.steer("rebaseline")["status"] == "completed"


# --- discard ----------------------------------------------------------------------------------------------------------


def test_a_discard_gives_up_on_debts_and_touches_nothing_else() -> None:
    world = owing(1, 2, 3)
    world.source.put(id=4, v="other")
    manifest, first = world.head.manifest, world.head.owed_since
    summary = world.steer("discard", only=keys(world, 1), because="will never fit")
    assert accounts(summary) == {"skipped": 1, "owed_before": 3, "owed_after": 2}
    assert (world.sent(), set(world.owed())) == ([], {2, 3})
    assert (world.head.manifest, world.head.owed, world.head.owed_since) == (manifest, 2, first)
    assert accounts(world.run()) == {"added": 2, "changed": 1, "accepted": 3, "owed_before": 2}


def test_a_discarded_row_is_sent_when_it_changes_again() -> None:
    world = owing(1)
    world.steer("discard", because="never")
    assert accounts(world.run()) == {}
    world.source.put(id=1, v="better")
    assert accounts(world.run()) == {"changed": 1, "accepted": 1}


def test_a_row_that_changed_since_the_last_run_is_sent_though_its_debt_was_discarded() -> None:
    world = owing(1)
    world.source.put(id=1, v="better")
    world.steer("discard", because="never")
    assert accounts(world.run()) == {"changed": 1, "accepted": 1}


def test_debts_are_discarded_by_a_part_of_their_reason() -> None:
    world = owing(1, 2)
    world.steer("discard", only=Selection(reason="another"), because="never")
    assert set(world.owed()) == {1, 2}
    world.steer("discard", only=Selection(reason="not TODAY"), because="never")
    assert world.owed() == {}


def test_a_discard_asks_the_source_nothing() -> None:
    world = owing(1)
    world.source.fail = LookupError("asked")
    assert world.steer("discard", because="never")["status"] == "completed"


def test_a_discard_of_what_another_run_changed_since_is_refused() -> None:
    world = owing(1)
    seen = world.head.generation
    world.target.answer = answer_by_id({1: REJECTED})
    world.run()
    summary = world.steer("discard", generation=seen, because="never")
    assert (summary["status"], set(world.owed())) == ("failed", {1})
    assert "since you looked" in summary["reason"]
    assert world.head.holder is None


def test_who_discarded_and_why_is_kept() -> None:
    world = owing(1)
    world.steer("discard", because="never")
    run = world.states.runs(world.sync, 1)[0]
    assert (run.mode, run.requested_by, run.because) == ("discard", "arn:aws:iam::1:user/ann", "never")


# --- retry ------------------------------------------------------------------------------------------------------------


def test_a_retry_is_a_run_now() -> None:
    world = owing(1, 2)
    world.source.put(id=1, v="better")
    world.source.put(id=4, v="other")
    assert accounts(world.steer("retry")) == {"added": 2, "changed": 1, "accepted": 3, "owed_before": 2}
    assert world.arrived()[1]["v"] == "better"


def test_a_retry_of_some_debts_sends_those_alone_and_the_next_run_the_rest() -> None:
    world = owing(1, 2)
    world.source.put(id=4, v="other")
    manifest = world.head.manifest
    summary = world.steer("retry", only=keys(world, 1))
    assert accounts(summary) == {"added": 1, "accepted": 1, "owed_before": 2, "owed_after": 1}
    assert (world.sent(), set(world.owed()), world.head.manifest) == ([("added", 1)], {2}, manifest)
    assert accounts(world.run()) == {"added": 1, "changed": 1, "accepted": 2, "owed_before": 1}
    assert sorted(world.sent()) == [("added", 2), ("changed", 4)]


def test_a_retried_row_that_changed_since_the_last_run_follows_in_the_next_run_from_what_was_accepted() -> None:
    world = owing(1)
    world.source.put(id=1, v="better")
    world.steer("retry", only=keys(world, 1))
    assert world.arrived()[1]["v"] == "v1"
    assert accounts(world.run()) == {"changed": 1, "accepted": 1}
    change = world.target.sent[-1].change
    assert (change.before, change.after) == ({"id": 1, "v": "v1"}, {"id": 1, "v": "better"})


def test_a_retry_that_is_rejected_again_stays_owed_since_the_first_run() -> None:
    world = owing(1, 2)
    first = world.owed()[1].first_run
    world.target.answer = answer_by_id({1: REJECTED})
    accounts(world.steer("retry", only=keys(world, 1)))
    assert (world.owed()[1].first_run, world.owed()[1].attempts, world.head.owed) == (first, 2, 2)
    assert world.head.owed_since == first


# --- all --------------------------------------------------------------------------------------------------------------

STEERED: list[tuple[Mode, dict[str, Any]]] = [("rebaseline", {}), ("discard", {"because": "never"}), ("retry", {})]


@pytest.mark.parametrize("state", ["snapshot", "diff", "seal", "fan_out", "commit"])
@pytest.mark.parametrize(("mode", "asked"), STEERED)
def test_an_execution_that_died_is_survived_by_the_next_start(mode: Mode, asked: dict[str, Any], state: str) -> None:
    world = owing(1, 2)
    world.source.put(id=4, v="other")

    died = mode == "retry" or state != "fan_out"
    if died:
        with pytest.raises(deaths.Died):
            world.steer(mode, on=deaths.before(state), **asked)
    world.run()
    world.run()
    assert (world.owed(), world.head.owed, world.head.open_run, world.head.holder) == ({}, 0, None, None)
    world.source.put(id=1, v="last")
    assert accounts(world.run()) == {"changed": 1, "accepted": 1}


@pytest.mark.parametrize(("mode", "asked"), STEERED)
def test_an_execution_during_a_run_says_busy_and_does_nothing(mode: Mode, asked: dict[str, Any]) -> None:
    world = owing(1)
    answers = []

    def steer(state: str) -> None:
        if state in ("diff", "fan_out", "commit"):
            answers.append(world.steer(mode, **asked)["status"])

    assert accounts(world.run(on=steer)) == {"added": 1, "accepted": 1, "owed_before": 1}
    assert answers == ["already_running"] * 3


@pytest.mark.parametrize(("mode", "asked"), STEERED)
def test_a_run_meanwhile_says_busy(mode: Mode, asked: dict[str, Any]) -> None:
    world = owing(1)
    answers = []
    world.steer(mode, on=lambda state: answers.append(world.run()["status"]) if state == "seal" else None, **asked)
    assert answers == ["already_running"]


# --- approve, reject --------------------------------------------------------------------------------------------------


def held(**changes: Any) -> tuple[World, str]:
    """A world in which most rows are gone from the source, and the run that the guard held for it."""
    world = settled(*range(300), **changes)
    for key in range(200):
        world.source.remove(key)
    summary = world.run()
    assert (summary["status"], world.sent()) == ("held", [])
    return world, summary["run"]


def test_an_approved_run_sends_what_was_held_whatever_the_source_says_by_now() -> None:
    world, run = held()
    world.source.put(id=1000, v="later")
    asked = world.steer("approve", run=run, because="the shop closed")
    assert accounts(asked) == {"removed": 200, "accepted": 200}
    assert (len(world.sent()), world.head.held, asked["decides"]) == (200, None, run)
    assert accounts(world.run()) == {"added": 1, "accepted": 1}
    assert world.arrived() == {row["id"]: row for row in world.source.rows}


def test_an_approval_sends_debts_too() -> None:
    world = settled(*range(300))
    world.source.put(id=299, v="other")
    world.target.answer = answer_by_id({299: REJECTED})
    world.run()
    world.target.answer = answer_by_id({})
    for key in range(200):
        world.source.remove(key)
    run = world.run()["run"]
    asked = world.steer("approve", run=run)
    assert accounts(asked) == {"removed": 200, "changed": 1, "accepted": 201, "owed_before": 1}


def test_an_approval_holds_for_the_definition_that_was_held() -> None:
    world, run = held()
    world.deploy(sync_definition(triggers=Triggers(added=ON)))
    assert accounts(world.steer("approve", run=run)) == {"removed": 200, "accepted": 200}


def test_the_next_run_after_one_that_is_held_is_held_too_and_takes_its_place() -> None:
    world, first = held()
    second = world.run()["run"]
    assert world.head.held == second
    assert not [key for key in world.snapshots.objects if key.startswith(f"snapshots/orders/{first}/")]
    refused = world.steer("approve", run=first)
    assert (refused["status"], second in refused["reason"], world.sent()) == ("failed", True, [])
    assert accounts(world.steer("approve", run=second)) == {"removed": 200, "accepted": 200}


def test_a_run_that_is_committed_meanwhile_ends_the_wait() -> None:
    world, run = held()
    for key in range(200):
        world.source.put(id=key, v="back")
    world.deploy(sync_definition(guard=Guard(max_changed=1.0)))
    assert world.run()["status"] == "completed"
    world.sent()
    assert not [key for key in world.snapshots.objects if key.startswith(f"snapshots/orders/{run}/")]
    assert (world.steer("approve", run=run)["status"], world.sent(), world.head.held) == ("failed", [], None)


def test_a_plan_leaves_the_run_that_waits() -> None:
    world, run = held()
    world.steer("plan")
    assert accounts(world.steer("approve", run=run)) == {"removed": 200, "accepted": 200}


def test_a_rejected_run_is_forgotten_and_can_be_approved_no_more() -> None:
    world, run = held()
    generation = world.head.generation
    asked = world.steer("reject", run=run, because="a broken export")
    assert (asked["status"], asked["mode"], asked["decides"]) == ("completed", "reject", run)
    assert (world.head.held, world.head.holder, world.head.generation) == (None, None, generation)
    assert not [key for key in world.snapshots.objects if key.startswith(f"snapshots/orders/{run}/")]
    assert (world.steer("approve", run=run)["status"], world.sent()) == ("failed", [])
    refused, record = world.states.runs(world.sync, 2)
    assert (refused.mode, refused.status) == ("approve", "failed")
    assert (record.mode, record.because, record.requested_by) == (
        "reject",
        "a broken export",
        "arn:aws:iam::1:user/ann",
    )


def test_only_a_held_run_can_be_approved_or_rejected() -> None:
    world = settled(1)
    modes: tuple[Mode, ...] = ("approve", "reject")
    for mode in modes:
        summary = world.steer(mode, run=world.states.runs(world.sync, 1)[0].run)
        assert (summary["status"], world.head.open_run, world.head.holder) == ("failed", None, None)


@pytest.mark.parametrize("state", ["snapshot", "diff", "seal"])
def test_an_approval_that_died_before_it_sent_anything_can_be_given_again(state: str) -> None:
    world, run = held()
    with pytest.raises(deaths.Died):
        world.steer("approve", run=run, on=deaths.before(state))
    assert accounts(world.steer("approve", run=run)) == {"removed": 200, "accepted": 200}


@pytest.mark.parametrize("state", ["fan_out", "commit"])
def test_an_approval_that_died_later_is_finished_by_the_next_start(state: str) -> None:
    world, run = held()
    with pytest.raises(deaths.Died):
        world.steer("approve", run=run, on=deaths.before(state))
    assert accounts(world.run()) == {}
    assert set(world.arrived()) == set(range(200, 300))


def test_an_approved_run_of_which_nothing_was_accepted_is_to_be_held_and_approved_anew() -> None:
    world, run = held()
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="No")
    assert world.steer("approve", run=run)["status"] == "failed"
    assert (world.head.held, world.owed()) == (None, {})
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    again = world.run()
    assert again["status"] == "held"
    world.target.calls.clear()
    assert accounts(world.steer("approve", run=again["run"])) == {"removed": 200, "accepted": 200}


def test_an_approval_during_a_run_says_busy() -> None:
    world, run = held()
    answers = []

    def approve(state: str) -> None:
        if state in ("diff", "seal"):
            answers.append(world.steer("approve", run=run)["status"])

    world.run(on=approve)
    assert set(answers) == {"already_running"}


def test_an_approved_snapshot_s_files_go_with_it_when_it_falls_out_of_the_history() -> None:
    world, run = held()
    world.steer("approve", run=run)
    for number in range(4):
        world.source.put(id=250, v=f"{number}")
        world.run()
    assert not [key for key in world.snapshots.objects if key.startswith(f"snapshots/orders/{run}/")]


# --- what people see -------------------------------------------------------------------------------------------------


def test_a_run_s_page_says_who_steered_it_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench import show

    console = type(show.out)(width=100, record=True, highlight=False)
    monkeypatch.setattr(show, "out", console)
    world = owing(1)
    summary = world.steer("discard", because="it will never fit")
    more = dict.fromkeys(("started_at", "ended_at", "phase", "generation", "partitions_diffed", "chunks"), 1)
    show.run_info({**summary, **more, "attempts": 0, "stopped": "", "execution": "e", "reasons": []})
    show.runs([summary])
    text = console.export_text()
    assert all(word in text for word in ("asked by", "user/ann", "it will never fit", "discard"))
    assert max(len(line) for line in text.splitlines()) <= 100


def test_what_is_refused_before_it_begins_leaves_a_record_of_who_asked_for_what() -> None:
    world = settled(1)
    last = world.states.runs(world.sync, 1)[0].run
    refused = world.steer("approve", run=last, because="ticket 124")
    [record] = world.states.runs(world.sync, 1)
    assert (record.run, record.status, record.mode, record.decides) == (refused["run"], "failed", "approve", last)
    assert (record.requested_by, record.because) == ("arn:aws:iam::1:user/ann", "ticket 124")
    assert (record.reason, record.owed_after) == (refused["reason"], 0)
    assert (world.head.open_run, world.head.holder) == (None, None)
    assert accounts(world.run()) == {}


def test_a_request_that_is_gone_leaves_a_record_too() -> None:
    world = settled(1)
    refused = world.run(mode="discard", request="requests/orders/never.json")
    [record] = world.states.runs(world.sync, 1)
    assert (record.run, record.mode, record.requested_by, record.status) == (refused["run"], "discard", "", "failed")
