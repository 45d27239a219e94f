"""How the chunks of a run are shared out among fan-out tasks, and how one works through its share."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Any

import pytest

from rowcast import under_way
from rowcast.definition import Limits, Retry
from rowcast.errors import LockLost
from rowcast.ports import Verdict
from rowcast.seal import LAST_CHUNKS, SHARE_CHUNKS, SHARES_PER_WORKER, shares
from rowcast.under_way import OPENING, UnderWay
from tests.world import World, sync_definition


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 159, 160, 161, 50_000])
@pytest.mark.parametrize("workers", [1, 2, 125])
def test_shares_hold_every_chunk_once_and_leave_no_worker_idle(count: int, workers: int) -> None:
    chunks = [f"{number:06}" for number in range(count)]
    cut = shares(chunks, workers)
    assert list(chain.from_iterable(cut)) == chunks
    assert all(1 <= len(share) <= SHARE_CHUNKS for share in cut)
    assert len(cut) >= min(count, workers * SHARES_PER_WORKER)


def test_many_chunks_make_full_shares_and_smaller_ones_towards_the_end() -> None:
    sizes = [len(share) for share in shares(["chunk"] * 50_000, 2)]
    assert sizes[:490] == [SHARE_CHUNKS] * 490
    assert sizes[:-1] == sorted(sizes[:-1], reverse=True)
    assert sizes[-3:-1] == [LAST_CHUNKS] * 2
    assert len(sizes) < 50_000 / SHARE_CHUNKS + 20


@pytest.mark.parametrize("count", [160, 1_000, 5_000])
def test_workers_of_the_same_pace_end_together(count: int) -> None:
    """Two workers that send at the same pace end within one of the smallest shares."""
    ends = [0, 0]
    for share in shares(["chunk"] * count, 2):
        ends[ends.index(min(ends))] += len(share)
    assert max(ends) - min(ends) <= LAST_CHUNKS


def sealed(rows: int, concurrency: int = 1, **changes: Any) -> tuple[World, Any, list[str]]:
    """A world whose run waits for its fan out, and that run's chunks."""
    world = World(sync_definition(limits=Limits(concurrency=concurrency), **changes))
    for number in range(rows):
        world.source.put(id=number, v="v")
    opened = world.open(world.next_time(), "execution")
    for partition in world.snapshots.work(world.snapshot(opened.run, opened.token).work_key):
        world.diff(opened.run, opened.token, partition)
    work = world.snapshots.work(world.seal(opened.run, opened.token).work_key)
    return world, opened, list(chain.from_iterable(work))


class Reading:
    """How many chunks a world's worker has read and not recorded, and how many calls are open; the most of each. No
    call is answered before so many are open `together`."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, together: int) -> None:
        enough = asyncio.Event()
        self.chunks = self.most_chunks = self.calls = self.most_calls = 0
        read, record = world.changes.chunk_and_size, world.changes.record

        def reading(*arguments: Any) -> Any:
            self.chunks += 1
            self.most_chunks = max(self.most_chunks, self.chunks)
            return read(*arguments)

        def recording(*arguments: Any) -> None:
            self.chunks -= 1
            record(*arguments)

        async def answering(sent: Any) -> None:
            self.calls += 1
            self.most_calls = max(self.most_calls, self.calls)
            if self.calls == together:
                enough.set()
            await asyncio.wait_for(enough.wait(), 60)
            await asyncio.sleep(0)
            self.calls -= 1

        monkeypatch.setattr(world.changes, "chunk_and_size", reading)
        monkeypatch.setattr(world.changes, "record", recording)
        world.target.before_answer = answering


def test_a_worker_works_on_further_chunks_while_calls_have_places(monkeypatch: pytest.MonkeyPatch) -> None:
    world, opened, chunks = sealed(1000, concurrency=90)  # two workers of 45 calls; a chunk makes 20
    seen = Reading(world, monkeypatch, together=45)
    assert world.fan_out(opened.run, opened.token, chunks)
    assert seen.most_calls == 45
    assert 3 <= seen.most_chunks <= 3 + OPENING
    assert world.commit(opened.run, opened.token).summary["accepted"] == 1000


def test_a_worker_opens_no_further_chunk_when_those_it_holds_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_way, "HELD_BYTES", 1)
    monkeypatch.setattr(under_way, "OPENING", 1)
    world, opened, chunks = sealed(600, concurrency=90)
    seen = Reading(world, monkeypatch, together=20)
    assert world.fan_out(opened.run, opened.token, chunks)
    assert (seen.most_chunks, seen.most_calls) == (1, 20)
    assert world.commit(opened.run, opened.token).summary["accepted"] == 600


def test_a_chunk_that_cannot_be_recorded_lets_the_others_be_recorded_and_ends_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, opened, chunks = sealed(1000, concurrency=90)
    record, fail = world.changes.record, UnderWay.fail
    failed: list[UnderWay] = []
    monkeypatch.setattr(UnderWay, "fail", lambda self: (fail(self), failed.append(self)))

    def recording(sync: str, run: str, state: Any) -> None:
        if state.chunk == chunks[0]:
            raise LockLost("Another worker claimed it.")
        record(sync, run, state)

    async def answer(sent: Any) -> None:
        for _ in range(10_000):
            if f"-{chunks[0]}-" in sent.batch_id or failed:
                break
            await asyncio.sleep(0.001)

    monkeypatch.setattr(world.changes, "record", recording)
    world.target.before_answer = answer
    with pytest.raises(LockLost):
        world.fan_out(opened.run, opened.token, chunks)
    states = {state.chunk: state for state in world.changes.states("orders", opened.run)}
    known = sum(outcome is not None for state in states.values() for outcome in state.outcomes)
    assert known == len(world.target.sent) - 200
    assert all(state.done or state.paused for chunk, state in states.items() if chunk != chunks[0])
    assert known <= 450, "no call is made any more"


def test_what_stops_one_chunk_stops_the_others_that_are_under_way() -> None:
    world, opened, chunks = sealed(600, concurrency=20)  # ten calls at once
    sent: list[Any] = []

    async def answer(call: Any) -> None:
        sent.append(call)
        await asyncio.sleep(0.01)
        if len(sent) >= 25:
            world.target.refuse = "The bus is gone."

    world.target.before_answer = answer
    assert world.fan_out(opened.run, opened.token, chunks)
    assert len(sent) <= 25 + 10
    summary = world.commit(opened.run, opened.token).summary
    assert summary["accepted"] == 10 * len(sent)
    assert summary["accepted"] + summary["rejected"] == 600


def test_a_worker_of_one_call_sends_the_chunks_of_its_share_one_after_the_other() -> None:
    world, opened, chunks = sealed(500)
    assert len(chunks) == 3
    assert world.fan_out(opened.run, opened.token, chunks)
    assert len(world.arrived()) == 500
    assert world.commit(opened.run, opened.token).summary["accepted"] == 500


def test_a_worker_short_of_time_leaves_the_next_chunk_unclaimed_and_is_called_again() -> None:
    world, opened, chunks = sealed(500)
    world.target.before_answer = lambda sent: setattr(world.clock, "time", world.clock.time + 1)
    assert not world.fan_out(opened.run, opened.token, chunks, seconds=49.0)
    states = {state.chunk: state for state in world.changes.states("orders", opened.run)}
    assert set(states) == {chunks[0]} and states[chunks[0]].done
    while not world.fan_out(opened.run, opened.token, chunks, seconds=49.0):
        pass
    assert len(world.target.sent) == 500
    assert world.commit(opened.run, opened.token).summary["in_doubt"] == 0


def test_a_worker_heeds_between_chunks_that_another_stopped_the_run() -> None:
    world, opened, chunks = sealed(500)

    def stop(sent: Any) -> None:
        world.states.stop("orders", opened.run, opened.token, "somebody else saw it")

    world.target.before_answer = stop
    assert world.fan_out(opened.run, opened.token, chunks)
    assert len(world.target.sent) == 200


# --- attempts over several workers ---

REJECTED = Verdict(kind="rejected", reason="Not today")


def slow(rows: int, immediate: int) -> tuple[World, Any, list[str]]:
    """Every call carries ten rows and takes ten seconds, and all rows are rejected."""
    world, opened, chunks = sealed(rows, retry=Retry(immediate=immediate))
    world.target.before_answer = lambda sent: setattr(world.clock, "time", world.clock.time + 10)
    world.target.answer = lambda message, attempt: REJECTED
    return world, opened, chunks


def send_all(world: World, opened: Any, chunks: list[str], seconds: float) -> int:
    """By one worker after the other, each with so much time; answers how many."""
    for workers in range(1, 50):
        if world.fan_out(opened.run, opened.token, chunks, seconds=seconds):
            return workers
    raise AssertionError("no end")


def sends(world: World) -> dict[Any, list[int]]:
    """By key, the attempts that carried it."""
    found: dict[Any, list[int]] = {}
    for call in world.target.calls:
        for message in call.messages:
            found.setdefault(message.change.key[0], []).append(call.attempt)
    return found


def test_attempts_that_do_not_fit_into_one_worker_s_time_go_on_in_the_next() -> None:
    world, opened, chunks = slow(40, immediate=2)
    assert send_all(world, opened, chunks, seconds=60.0) > 3
    assert sends(world) == {key: [1, 2, 3] for key in range(40)}
    assert world.commit(opened.run, opened.token).summary["rejected"] == 40
    assert {debt.attempts for debt in world.owed().values()} == {3}


def test_what_a_pause_left_unsent_is_sent_before_anything_is_sent_again() -> None:
    world, opened, chunks = slow(40, immediate=2)
    world.fan_out(opened.run, opened.token, chunks, seconds=60.0)
    first = sends(world)
    world.target.calls.clear()
    world.fan_out(opened.run, opened.token, chunks, seconds=900.0)
    attempts = [call.attempt for call in world.target.calls]
    assert 0 < len(first) < 40
    assert attempts == sorted(attempts)
    assert sends(world) == {key: [2, 3] if key in first else [1, 2, 3] for key in range(40)}


def test_a_batch_s_id_comes_again_only_with_the_same_attempt_at_the_same_changes() -> None:
    world, opened, chunks = slow(40, immediate=2)
    world.target.answer = lambda message, attempt: REJECTED if message.change.key[0] % 3 else Verdict(kind="accepted")
    send_all(world, opened, chunks, seconds=60.0)
    calls = world.target.calls
    assert len({call.batch_id for call in calls}) == len(calls) > 8
    bodies = {(message.change.id, message.body, message.time) for message in world.target.sent}
    assert len(bodies) == 40


class Death(Exception):
    """The worker is gone."""


def test_a_dead_worker_s_attempt_is_made_again_under_its_id_and_with_its_bytes() -> None:
    world, opened, chunks = slow(20, immediate=1)
    world.fan_out(opened.run, opened.token, chunks, seconds=40.0)
    recorded = sends(world)
    pace = world.target.before_answer

    def die(sent: Any) -> None:
        raise Death

    world.target.before_answer = die
    with pytest.raises(Death):
        world.fan_out(opened.run, opened.token, chunks)
    world.target.before_answer = pace
    lost = world.target.calls[-1]
    world.target.calls.clear()
    assert world.fan_out(opened.run, opened.token, chunks)
    again = world.target.calls[0]
    assert (again.batch_id, again.attempt, again.messages) == (lost.batch_id, lost.attempt, lost.messages)
    assert len(recorded) == 10
    assert sends(world) == {key: [2] if key in recorded else [1, 2] for key in range(20)}
    assert world.commit(opened.run, opened.token).summary["in_doubt"] == 20


@pytest.mark.parametrize("kind", ["throttled", "in_doubt"])
def test_throttles_and_doubts_count_as_attempts_over_all_workers(kind: Any) -> None:
    """A target that asks for a quarter of an hour of silence each time leaves a worker one call."""
    world, opened, chunks = sealed(3, retry=Retry(immediate=2))
    world.target.answer = lambda message, attempt: Verdict(kind=kind, reason="Retry-After: 900", slow=900.0)
    send_all(world, opened, chunks, seconds=900.0)
    assert sends(world) == {key: [1, 2, 3] for key in range(3)}
    assert world.commit(opened.run, opened.token).summary["rejected" if kind == "throttled" else kind] == 3


def test_rejections_for_one_reason_stop_the_run_though_no_worker_has_time_for_all_attempts() -> None:
    world, opened, chunks = slow(600, immediate=2)
    send_all(world, opened, chunks, seconds=200.0)
    run = world.states.run("orders", opened.run)
    assert run is not None and "rejected for one same reason" in run.stopped
