"""How the chunks of a run are shared out among fan-out tasks, and how one works through its share."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest

from rowcast.definition import Limits
from rowcast.seal import SHARE_CHUNKS, SHARES_PER_WORKER, shares
from tests.world import World, sync_definition


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 159, 160, 161, 50_000])
@pytest.mark.parametrize("workers", [1, 2, 125])
def test_shares_hold_every_chunk_once_and_leave_no_worker_idle(count: int, workers: int) -> None:
    chunks = [f"{number:06}" for number in range(count)]
    cut = shares(chunks, workers)
    assert list(chain.from_iterable(cut)) == chunks
    assert all(1 <= len(share) <= SHARE_CHUNKS for share in cut)
    assert len(cut) >= min(count, workers * SHARES_PER_WORKER)


def test_many_chunks_make_full_shares() -> None:
    assert len(shares(["chunk"] * 50_000, 2)) == 50_000 // SHARE_CHUNKS


def sealed(rows: int) -> tuple[World, Any, list[str]]:
    """A world whose run waits for its fan out, and that run's chunks."""
    world = World(sync_definition(limits=Limits(concurrency=1)))
    for number in range(rows):
        world.source.put(id=number, v="v")
    opened = world.open(world.next_time(), "execution")
    for partition in world.snapshots.work(world.snapshot(opened.run, opened.token).work_key):
        world.diff(opened.run, opened.token, partition)
    work = world.snapshots.work(world.seal(opened.run, opened.token).work_key)
    return world, opened, list(chain.from_iterable(work))


def test_a_worker_sends_the_chunks_of_its_share_one_after_the_other() -> None:
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
