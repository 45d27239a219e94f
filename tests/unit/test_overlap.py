"""More than one start, more than one worker: who may write and who may send."""

from __future__ import annotations

from typing import Any

import pytest

from rowcast.commit import NOT_SENT, NOT_TRIED_AGAIN
from rowcast.definition import Limits, Retry
from rowcast.errors import LockLost, MessageInvalid, RunFailed
from rowcast.models import Change, ChunkState, Counts, Notice, PartitionResult
from rowcast.ports import Verdict
from tests import deaths
from tests.model.inline import inline
from tests.world import World, sync_definition

pytestmark = pytest.mark.usefixtures("remembered")


def world_of(*ids: int, **changes: Any) -> World:
    world = World(sync_definition(**changes))
    for key in ids:
        world.source.put(id=key, v=f"v{key}")
    return world


def interrupted(world: World, state: str) -> None:
    """A run whose execution dies before it enters `state`, without its failure being noted."""
    with pytest.raises(deaths.Died):
        world.run(on=deaths.before(state))


def test_a_second_start_while_one_runs_says_so_and_starts_nothing() -> None:
    world = world_of(1)
    answers = []

    def start_again(state: str) -> None:
        if state in ("diff", "fan_out", "commit"):
            answers.append(world.run())

    first = world.run(on=start_again)
    assert first["status"] == "completed"
    assert [answer["status"] for answer in answers] == ["already_running"] * 3
    assert {answer["run"] for answer in answers} == {first["run"]}
    assert [run.run for run in world.states.runs("orders", 10)] == [first["run"]]


@pytest.mark.parametrize("how", ["while one runs", "after losing the lock to one"])
def test_a_second_start_leaves_the_retry_queue_to_whoever_has_the_lock(how: str, monkeypatch: Any) -> None:
    world = world_of(1)
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="No")
    world.run()
    [owed] = world.owed().values()
    notice = Notice(sync="orders", run=owed.last_run, chunk="0", key_hashes=[owed.key_hash])

    def start_again(state: str) -> None:
        if state == "seal":
            world.queue.put(notice)
            with monkeypatch.context() as patch:
                if how == "after losing the lock to one":
                    patch.setattr(world.executions, "is_running", lambda execution: False)
                    patch.setattr(world.states, "take_lock", lambda seen, execution: None)
                world.run()

    world.run(on=start_again)
    assert notice in [body for _, body in world.queue.visible]


def test_two_starts_of_one_schedule_are_one_run() -> None:
    world = world_of(1)
    first = world.run("2026-11-20T15:00:00Z")
    world.source.put(id=2, v="new")
    second = world.run("2026-11-20T15:00:00+00:00")
    assert second == first
    assert len(world.states.runs("orders", 10)) == 1


@pytest.mark.parametrize("state", ["snapshot", "diff", "seal"])
def test_a_run_that_died_before_it_sent_anything_is_abandoned(state: str) -> None:
    world = world_of(1)
    interrupted(world, state)
    world.source.put(id=1, v="newest")
    summary = world.run()
    assert summary["accepted"] == 1
    assert [run.status for run in world.states.runs("orders", 10)] == ["completed", "abandoned"]
    assert world.arrived() == {1: {"id": 1, "v": "newest"}}


@pytest.mark.parametrize("state", ["fan_out", "commit"])
def test_a_run_that_may_have_sent_something_is_finished_before_the_next_begins(state: str) -> None:
    world = world_of(1)
    interrupted(world, state)
    world.source.remove(1)
    world.source.put(id=2, v="new")
    world.run()
    assert [run.status for run in world.states.runs("orders", 10)] == ["completed", "completed"]
    assert [message.change.operation for message in world.target.accepted] == ["added", "added", "removed"]
    assert world.arrived() == {2: {"id": 2, "v": "new"}}


def test_a_source_that_went_back_after_a_lost_send_is_put_right() -> None:
    """A fresh diff against the old baseline would be empty, and the target would stay wrong for ever."""
    world = world_of(1)
    world.run()
    world.source.put(id=1, v="sent and lost")
    with deaths.after_sending(world):
        world.run()
    assert world.arrived() == {1: {"id": 1, "v": "sent and lost"}}
    world.source.put(id=1, v="v1")
    world.run()
    assert world.arrived() == {1: {"id": 1, "v": "v1"}}


def test_a_run_that_fails_after_sending_accounts_for_what_is_not_known_yet() -> None:
    world = world_of(*range(250))
    seen: list[str] = []

    def fail_at_the_second_chunk(state: str) -> None:
        seen.append(state)
        if seen.count("fan_out") == 2:
            raise RunFailed("The worker failed.")

    summary = world.run(on=fail_at_the_second_chunk)
    assert (summary["status"], summary["accepted"], summary["rejected"], summary["in_doubt"]) == ("failed", 200, 0, 50)
    assert world.run()["accepted"] == 0
    assert [run.accepted for run in world.states.runs("orders", 2)] == [0, 250]


def test_a_stale_holder_writes_nothing() -> None:
    world = world_of(1)
    opened = world.open(world.next_time(), "stale")
    taken = world.snapshot(opened.run, opened.token)
    world.run()
    head, records = world.head, dict(world.states.records)
    for step in (
        lambda: world.snapshot(opened.run, opened.token),
        lambda: world.diff(opened.run, opened.token, 0),
        lambda: world.seal(opened.run, opened.token),
        lambda: world.fan_out(opened.run, opened.token, "00000-000000"),
        lambda: world.commit(opened.run, opened.token),
    ):
        with pytest.raises(LockLost):
            step()
    assert (world.head, world.states.records) == (head, records)
    assert taken.partitions == 1


def test_a_worker_that_was_overtaken_records_nothing() -> None:
    world = world_of(1)
    interrupted(world, "fan_out")
    stale = world.head.token
    run = world.head.open_run

    def take_over(sent: Any) -> None:
        world.target.before_answer = lambda sent: None
        world.clock.time += 1000
        world.run()

    world.target.before_answer = take_over
    with inline(), pytest.raises(LockLost):  # one run inside another's call
        world.fan_out(run, stale, "00000-000000")
    assert len({message.change.id for message in world.target.sent}) == 1
    assert world.states.run("orders", run).status == "completed"  # type: ignore[union-attr]


def test_a_takeover_waits_until_the_earlier_worker_cannot_send_any_more() -> None:
    world = world_of(1)
    with deaths.after_sending(world):
        world.run()
    died_at = world.clock.time
    world.run()
    assert world.clock.time - died_at >= 900


def sealed(world: World) -> tuple[str, int, str]:
    """A run that waits for its fan out, whose execution goes on: its name, its token and its only chunk."""
    interrupted(world, "fan_out")
    run = world.head.open_run
    world.executions.running.add(world.head.holder)
    return run, world.head.token, "00000-000000"


def test_who_takes_over_from_one_that_died_waiting_waits_for_whom_that_one_waited() -> None:
    world = world_of(1)
    run, token, chunk = sealed(world)
    world.changes.claim("orders", run, chunk, token, "of the earlier start", world.clock.time + 800)
    world.executions.running.clear()
    began, wait = world.clock.time, world.clock.wait
    opened = world.open(world.next_time(), "a later start")

    async def dies(seconds: float) -> None:
        raise deaths.Died

    for _ in range(3):
        world.clock.wait = dies  # type: ignore[method-assign]
        with pytest.raises(deaths.Died):
            world.fan_out(run, opened.token, chunk)
    world.clock.wait = wait  # type: ignore[method-assign]
    assert world.fan_out(run, opened.token, chunk)
    assert world.clock.time - began >= 800


def test_a_worker_whose_repeat_took_over_while_it_waited_sends_no_more() -> None:
    world = world_of(1, retry=Retry(immediate=1))
    run, token, chunk = sealed(world)
    world.target.answer = lambda message, attempt: Verdict(kind="throttled", reason="Slow down")
    wait = world.clock.wait

    async def taken_over(seconds: float) -> None:
        world.changes.claim("orders", run, chunk, token, "of the repeat", world.clock.time + 900)
        await wait(seconds)

    world.clock.wait = taken_over  # type: ignore[method-assign]
    with pytest.raises(LockLost):
        world.fan_out(run, token, chunk)
    assert len(world.target.calls) == 1


def test_a_commit_waits_until_no_worker_can_send_any_more() -> None:
    world = world_of(1)
    run, token, chunk = sealed(world)
    world.changes.claim("orders", run, chunk, token, "of the lost one", world.clock.time + 500)
    began = world.clock.time
    assert world.commit(run, token).done
    assert world.clock.time - began >= 500
    assert world.owed()[1].in_doubt


def test_what_was_tried_and_not_tried_again_is_owed_as_that() -> None:
    world = world_of(1, 2)
    run, token, chunk = sealed(world)
    world.changes.claim("orders", run, chunk, token, "of one that paused", world.clock.time + 500)
    paused = ChunkState(
        chunk=chunk,
        token=token,
        claim="of one that paused",
        deadline=0.0,
        paused=True,
        outcomes=[None, None],
        doubted=[False, False],
        attempts={0: 2},
    )
    world.changes.record("orders", run, paused)
    assert world.commit(run, token).done
    tried, untried = sorted(world.owed().values(), key=lambda debt: debt.attempts, reverse=True)
    assert (tried.reason, tried.attempts, tried.tried) == (NOT_TRIED_AGAIN, 2, True)
    assert (untried.reason, untried.attempts, untried.tried) == (NOT_SENT, 0, False)


def test_a_commit_that_cannot_wait_long_enough_is_called_again() -> None:
    world = world_of(1)
    run, token, chunk = sealed(world)
    began = world.clock.time
    world.changes.claim("orders", run, chunk, token, "of the lost one", began + 2_000)
    calls = 0
    while not world.commit(run, token).done:
        calls += 1
    assert (calls, world.clock.time - began >= 2_000) == (2, True)


def test_a_commit_that_dies_while_it_waits_leaves_the_next_one_waiting() -> None:
    world = world_of(1)
    run, token, chunk = sealed(world)
    began, claim, sleep = world.clock.time, world.changes.claim, world.clock.sleep

    def late(*given: Any) -> Any:
        """A worker that was called long ago claims the chunk just before commit does."""
        world.changes.claim = claim  # type: ignore[method-assign]
        claim("orders", run, chunk, token, "of the late one", began + 600)
        return claim(*given)

    def dies(seconds: float) -> None:
        raise deaths.Died

    world.changes.claim = late  # type: ignore[method-assign]
    world.clock.sleep = dies  # type: ignore[method-assign]
    with pytest.raises(deaths.Died):
        world.commit(run, token)
    world.clock.sleep = sleep  # type: ignore[method-assign]
    while not world.commit(run, token).done:
        pass
    assert world.clock.time - began >= 600


def late_save(world: World, phase: str) -> Any:
    """What the first step that saves a run in this phase was about to store when its answer was lost."""
    save, kept = world.states.save, []

    def saving(run: Any, token: int) -> None:
        if run.phase == phase and not kept:
            kept.append((run, token))
            return
        save(run, token)

    world.states.save = saving  # type: ignore[method-assign]
    return lambda: save(*kept[0])


def test_a_snapshot_that_ends_late_takes_no_run_back_that_has_sent() -> None:
    world = world_of(1)
    store_late = late_save(world, "snapshot")
    world.run(on=lambda state: world.snapshot(world.head.open_run, world.head.token) if state == "diff" else None)
    with pytest.raises(LockLost):
        store_late()
    [run] = world.states.runs("orders", 1)
    assert (run.phase, run.status) == ("committed", "completed")


def test_a_seal_that_ends_late_opens_no_run_again_that_was_committed() -> None:
    world = world_of(1)
    store_late = late_save(world, "sealed")

    def again(state: str) -> None:
        if state == "fan_out":
            world.seal(world.head.open_run, world.head.token)

    world.run(on=again)
    with pytest.raises(LockLost):
        store_late()
    [run] = world.states.runs("orders", 1)
    assert (run.phase, run.status) == ("committed", "completed")


def test_a_diff_that_ends_late_changes_no_result() -> None:
    world = world_of(1)
    run, *_ = sealed(world)
    before = world.changes.results("orders", run)
    world.changes.put_result("orders", run, PartitionResult(partition=0, chunks=["other"], counts=Counts()))
    assert world.changes.results("orders", run) == before


def test_a_rejection_after_a_send_that_was_lost_leaves_the_row_in_doubt() -> None:
    world = world_of(1)
    with deaths.after_sending(world):
        world.run()
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="No")
    world.run()
    assert world.owed()[1].in_doubt


def test_a_debt_s_change_that_is_made_again_keeps_its_id() -> None:
    world = world_of(1)
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="No")
    world.run()
    world.target.calls.clear()
    with deaths.after_sending(world):
        world.run()
    world.changes.chunks.clear()
    world.changes.progress.clear()
    world.changes.partition_results.clear()
    world.clock.time += 40 * 86400
    world.run()
    first, again = (call.messages[0].change.id for call in world.target.calls[:2])
    assert first == again


def test_a_run_that_is_finished_after_its_chunks_expired_makes_them_again() -> None:
    world = world_of(1, 2)
    with deaths.after_sending(world):
        world.run()
    first = {message.change.id for message in world.target.sent}
    world.target.calls.clear()
    world.changes.chunks.clear()
    world.changes.progress.clear()
    world.changes.partition_results.clear()
    world.clock.time += 40 * 86400
    world.source.rows = [{"id": 1, "v": "newest"}]
    world.target.answer = lambda message, attempt: Verdict(
        kind="accepted" if message.change.operation == "changed" else "rejected"
    )
    world.run()
    assert {message.change.id for message in world.target.calls[0].messages} == first
    assert all(debt.in_doubt for debt in world.owed().values())
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    world.run()
    assert world.arrived() == {1: {"id": 1, "v": "newest"}}


def test_a_worker_short_of_time_pauses_between_calls_and_goes_on_where_it_was() -> None:
    world = world_of(*range(40), limits=Limits(concurrency=1))
    interrupted(world, "fan_out")
    opened = world.open(world.next_time(), "next")

    def slow(sent: Any) -> None:
        world.clock.time += 10

    world.target.before_answer = slow
    assert not world.fan_out(opened.run, opened.token, "00000-000000", seconds=60.0)
    first = len(world.target.calls)
    assert 0 < first < 4
    while not world.fan_out(opened.run, opened.token, "00000-000000", seconds=60.0):
        pass
    assert len(world.target.calls) == 4
    assert world.commit(opened.run, opened.token).summary["accepted"] == 40


def test_a_chunk_that_no_worker_could_work_is_owed_and_the_run_still_commits() -> None:
    world = world_of(*range(250))
    interrupted(world, "fan_out")
    opened = world.open(world.next_time(), "next")
    chunks = world.snapshots.work(opened.work_key)
    world.fan_out(opened.run, opened.token, chunks[0])
    summary = world.commit(opened.run, opened.token).summary
    assert (summary["accepted"], summary["rejected"], summary["owed_after"]) == (200, 50, 50)
    assert not any(debt.in_doubt for debt in world.owed().values())
    assert world.run()["accepted"] == 50


def test_a_chunk_whose_worker_vanished_is_in_doubt() -> None:
    world = world_of(1)
    with deaths.after_sending(world):
        world.run()
    opened = world.open(world.next_time(), "next")
    summary = world.commit(opened.run, opened.token).summary
    assert (summary["in_doubt"], summary["owed_after"]) == (1, 1)


def test_a_deployment_in_mid_run_changes_no_message() -> None:
    world = world_of(1, retry=Retry(immediate=0))
    interrupted(world, "fan_out")
    world.deploy(sync_definition(query="SELECT 1"))
    opened = world.open(world.next_time(), "next")
    run = world.states.run("orders", opened.run)
    assert run is not None
    assert world.definitions.pinned("orders", run.definition).query == "SELECT * FROM orders"


def test_a_row_that_no_message_can_be_made_of_costs_no_other_row() -> None:
    world = world_of(1, 2)

    def poisoned(change: Change) -> bytes:
        if change.key == [1]:
            raise MessageInvalid("The template gave no JSON.")
        return b"{}"

    world.render = lambda definition, run: poisoned  # type: ignore[method-assign]
    summary = world.run()
    assert (summary["accepted"], summary["rejected"]) == (1, 1)
    assert world.owed()[1].reason == "The template gave no JSON."
    assert len(world.target.sent) == 1
