"""replay: what past runs sent is sent again as it was, unless the row moved on."""

from __future__ import annotations

from typing import Any

import pytest

from rowcast import replay
from rowcast.definition import Definition, LambdaDestination, Limits, Message, Trigger, Triggers
from rowcast.models import Replay, Run, Selection, to_json
from rowcast.ports import MessageToSend, Render
from tests import deaths
from tests.unit.test_route import IN_DOUBT, REJECTED, accounts, answer_by_id, settled, world_of
from tests.world import ON, World, sync_definition

pytestmark = pytest.mark.usefixtures("remembered")

DAY = 86_400


def every(world: World) -> Replay:
    return Replay(first=0, last=world.head.generation)


def again(world: World, *runs: int, **asked: Any) -> dict[str, Any]:
    """Replays the runs that opened with these generations, or all."""
    wanted = Replay(first=min(runs), last=max(runs)) if runs else every(world)
    return world.steer("replay", replays=wanted, **asked)


def told(message: MessageToSend) -> tuple[Any, ...]:
    """All that a message tells."""
    return message.change.id, message.body, message.time, message.run, message.change.operation, message.change.key


def test_a_replay_sends_again_what_was_sent_with_the_same_id_bytes_time_and_run() -> None:
    world = world_of(1, 2, 3)
    world.run()
    first = [told(sent) for sent in world.target.sent]
    world.sent()
    manifest = world.head.manifest
    summary = again(world, because="their database was restored")
    assert accounts(summary) == {"added": 3, "accepted": 3}
    assert (summary["mode"], summary["because"], summary["requested_by"]) == (
        "replay",
        "their database was restored",
        "arn:aws:iam::1:user/ann",
    )
    assert [told(sent) for sent in world.target.sent] == first
    assert (world.head.manifest, world.owed()) == (manifest, {})
    world.sent()
    assert accounts(world.run()) == {}


def test_a_replay_keeps_the_bytes_though_another_template_is_deployed_by_now() -> None:
    class Told(World):
        def render(self, definition: Definition, run: Run) -> Render:
            return lambda change: to_json([definition.message.template, run.run, run.started_at, change.row])

    world = Told(sync_definition(message=Message(template="old")))
    world.source.put(id=1, v="a")
    world.run()
    world.deploy(sync_definition(message=Message(template="new")))
    again(world)
    one, other = world.target.sent
    assert told(one) == told(other)


def test_a_row_that_changed_again_is_left_out_and_counted() -> None:
    world = settled(1, 2)
    world.source.put(id=1, v="b")
    world.run()
    world.sent()
    summary = again(world, 0)
    assert (accounts(summary), summary["left_out"]) == ({"added": 1, "accepted": 1}, {replay.NEWER: 1})
    assert world.sent() == [("added", 2)]
    assert accounts(again(world, 1)) == {"changed": 1, "accepted": 1}
    whole = again(world)
    assert (accounts(whole), whole["left_out"]) == ({"added": 1, "changed": 1, "accepted": 2}, {replay.NEWER: 1})
    assert world.arrived()[1]["v"] == "b"


def test_a_row_that_came_back_to_what_it_was_is_not_replayed_from_before() -> None:
    world = settled(1)
    for value in ("b", "v1"):
        world.source.put(id=1, v=value)
        world.run()
    world.sent()
    assert (accounts(again(world, 0)), world.sent()) == ({}, [])
    assert accounts(again(world)) == {"changed": 1, "accepted": 1}


@pytest.mark.parametrize("verdict", [REJECTED, IN_DOUBT])
def test_a_row_that_is_owed_is_left_to_a_retry(verdict: Any) -> None:
    world = settled(1, 2)
    world.target.answer = answer_by_id({3: verdict})
    world.source.put(id=3, v="new")
    world.run()
    world.target.answer = answer_by_id({})
    world.sent()
    summary = again(world)
    assert (summary["accepted"], summary["left_out"]) == (2, {replay.OWED: 1})
    assert (set(world.owed()), summary["owed_after"], world.head.owed_since) == ({3}, 1, world.owed()[3].first_run)
    assert accounts(world.run())["accepted"] == 1


def test_what_was_not_accepted_and_given_up_is_not_replayed() -> None:
    world = world_of(1, 2)
    world.target.answer = answer_by_id({1: REJECTED})
    world.run()
    world.target.answer = answer_by_id({})
    world.steer("discard", because="never")
    world.sent()
    summary = again(world, 0)
    assert (world.sent(), summary["left_out"]) == ([("added", 2)], {replay.NOT_ACCEPTED: 1})


def test_a_rebaseline_ends_what_can_be_replayed() -> None:
    world = settled(1, 2)
    world.source.put(id=1, v="b")
    world.steer("rebaseline")
    world.source.put(id=2, v="c")
    world.run()
    world.sent()
    summary = again(world)
    assert (world.sent(), summary["left_out"]) == ([("changed", 2)], {replay.TAKEN: 2})


def test_changes_that_the_sync_does_not_send_any_more_are_left_out() -> None:
    world = settled(1, 2)
    world.source.remove(1)
    world.run()
    world.deploy(sync_definition(triggers=Triggers(added=ON)))
    assert again(world, 1)["left_out"] == {replay.NOT_ASKED: 1}
    world.deploy(sync_definition(destination=LambdaDestination(function="other"), triggers=Triggers(removed=Trigger())))
    assert again(world, 1)["left_out"] == {replay.ELSEWHERE: 1}


def test_a_replay_of_one_row_sends_that_alone() -> None:
    world = settled(*range(50), limits=Limits(concurrency=1, rows_per_partition=4))
    changes = (change for name in world.changes.chunks for change in world.changes.chunk(*name).changes)
    wanted = tuple(change.key_hash for change in changes if change.key == [7])
    summary = again(world, only=Selection(key_hashes=wanted))
    assert (world.sent(), summary["left_out"]) == ([("added", 7)], {})


def test_a_replay_finds_rows_though_they_are_spread_over_other_partitions_by_now() -> None:
    world = settled(*range(40), limits=Limits(concurrency=1, rows_per_partition=2))
    few, many = (sync_definition(limits=Limits(concurrency=1, rows_per_partition=rows)) for rows in (1000, 1))
    for number, definition in enumerate((few, many)):
        world.deploy(definition)
        world.source.put(id=number, v="moved on")
        world.run()
    world.sent()
    summary = again(world, 0)
    assert accounts(summary) == {"added": 38, "accepted": 38}
    assert (summary["left_out"], sorted(key for _, key in world.sent())) == ({replay.NEWER: 2}, list(range(2, 40)))


def test_a_replay_can_be_replayed() -> None:
    world = settled(1)
    again(world)
    again(world, 1)
    assert accounts(again(world)) == {"added": 1, "accepted": 1}
    assert len({told(sent)[:4] for sent in world.target.sent}) == 1


@pytest.mark.parametrize("verdict", [REJECTED, IN_DOUBT])
@pytest.mark.parametrize("then", ["same", "newer", "gone"])
def test_a_replay_that_is_not_accepted_is_in_doubt_as_if_its_first_send_had_been(verdict: Any, then: str) -> None:
    world = settled(1, 2)
    world.target.answer = answer_by_id({1: verdict})
    summary = again(world)
    assert (summary["accepted"], summary["owed_after"]) == (1, 1)
    debt = world.owed()[1]
    assert (debt.accepted, debt.sent, debt.in_doubt) == (None, {"id": 1, "v": "v1"}, True)
    world.target.answer = answer_by_id({})
    world.sent()
    if then == "newer":
        world.source.put(id=1, v="b")
    if then == "gone":
        world.source.remove(1)
    world.run()
    assert (world.sent(), world.owed()) == ([("removed" if then == "gone" else "added", 1)], {})
    assert world.arrived() == {row["id"]: row for row in world.source.rows}


def test_rejected_replays_are_tried_again_inside_the_run() -> None:
    from rowcast.definition import Retry

    world = settled(1, retry=Retry(immediate=2))
    [key_hash] = world.target.arrived
    world.target.script[key_hash] = [REJECTED, REJECTED]
    assert accounts(again(world)) == {"added": 1, "accepted": 1}
    assert len({sent.change.id for sent in world.target.sent}) == 1
    assert len(world.sent()) == 3


def test_a_removed_row_is_replayed_as_removed_until_it_is_back() -> None:
    world = settled(1, 2)
    world.source.remove(1)
    world.run()
    world.sent()
    assert accounts(again(world, 1)) == {"removed": 1, "accepted": 1}
    world.source.put(id=1, v="back")
    world.run()
    assert again(world, 1)["left_out"] == {replay.NEWER: 1}


def test_changes_that_are_gone_refuse_the_replay_with_their_run_s_name() -> None:
    world = settled(1)
    run = world.states.runs(world.sync, 1)[0].run
    world.clock.time += 29 * DAY
    summary = again(world)
    assert (summary["status"], run in summary["reason"], "30 days" in summary["reason"]) == ("failed", True, True)
    assert (world.sent(), world.head.open_run, world.head.holder) == ([], None, None)


def test_a_newer_run_whose_changes_are_missing_refuses_the_replay() -> None:
    world = settled(1)
    world.source.put(id=1, v="b")
    world.run()
    world.sent()
    newest = world.states.runs(world.sync, 1)[0].run
    del world.changes.partition_results[world.sync, newest]
    summary = again(world, 0)
    assert (summary["status"], newest in summary["reason"], world.sent()) == ("failed", True, [])


def test_what_never_was_sent_cannot_be_replayed() -> None:
    world = settled(1)
    world.run()
    assert again(world, 1)["status"] == "failed"
    assert world.steer("replay")["status"] == "failed"
    assert world_of(1).steer("replay", replays=Replay(first=0, last=0))["status"] == "failed"


def test_a_plan_counts_a_replay_and_sends_nothing() -> None:
    from rowcast.models import from_json
    from rowcast.plan import plan_key

    world = settled(1, 2)
    world.source.put(id=1, v="b")
    world.run()
    world.sent()
    generation = world.head.generation
    summary = world.steer("plan", replays=Replay(first=0, last=0))
    assert (summary["status"], summary["found"]["added"], world.sent()) == ("planned", 1, [])
    document = from_json(world.objects.get(plan_key(world.sync, summary["run"])) or b"")
    assert (document["added"], document["left_out"]) == (1, {replay.NEWER: 1})
    assert world.head.generation == generation


@pytest.mark.parametrize("state", ["snapshot", "diff", "seal", "fan_out", "commit"])
def test_a_replay_that_died_is_survived_by_the_next_start(state: str) -> None:
    world = settled(1, 2)
    with pytest.raises(deaths.Died):
        again(world, on=deaths.before(state))
    world.source.put(id=1, v="b")
    world.run()
    sent = world.sent()
    assert sent[: len(sent) - 1] == ([("added", 1), ("added", 2)] if state in ("fan_out", "commit") else [])
    assert (sent[-1], world.owed(), world.head.open_run) == (("changed", 1), {}, None)


def test_a_replay_that_was_left_until_its_changes_were_gone_is_given_up() -> None:
    world = settled(1)
    with pytest.raises(deaths.Died):
        again(world, on=deaths.before("fan_out"))
    world.clock.time += 40 * DAY
    world.changes.chunks.clear()
    assert accounts(world.run()) == {}
    left = world.states.runs(world.sync, 5)[1]
    assert (left.mode, left.status, left.in_doubt, world.head.open_run) == ("replay", "failed", 1, None)


def test_a_replay_during_a_run_says_busy() -> None:
    world = settled(1)
    world.source.put(id=1, v="b")
    answers: list[str] = []
    world.run(on=lambda state: answers.append(again(world, 0)["status"]) if state in ("diff", "commit") else None)
    assert answers == ["already_running"] * 2
