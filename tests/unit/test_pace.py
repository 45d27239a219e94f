"""How a worker of fan out keeps to its pace."""

from __future__ import annotations

import asyncio

import pytest

from rowcast.definition import Limits, Rate, Retry
from rowcast.ports import Verdict
from tests import fakes
from tests.world import World, sync_definition

pytestmark = pytest.mark.usefixtures("remembered")


def a_world(rows: int, immediate: int = 0, **pace: float) -> World:
    limits = Limits(concurrency=1, rate=Rate(count=10, seconds=60))
    world = World(sync_definition(limits=limits, retry=Retry(immediate=immediate, backoff_seconds=1.0)))
    world.pace = fakes.FakePace(world.clock, **pace)  # type: ignore[arg-type]
    for number in range(rows):
        world.source.put(id=number, v="a")
    return world


def spy(world: World) -> list[float]:
    """The times of the calls."""
    times: list[float] = []
    world.target.before_answer = lambda sent: times.append(world.clock.time)
    return times


def test_a_target_that_asks_for_less_is_sent_nothing_by_anybody_for_that_time() -> None:
    world = a_world(rows=30, immediate=1)
    times = spy(world)
    first = iter([Verdict(kind="rejected", reason="Retry-After: 120", slow=120.0)])
    world.target.answer = lambda message, attempt: next(first, Verdict(kind="accepted"))
    assert world.run()["accepted"] == 30
    assert times[1] - times[0] >= 120
    assert len(world.arrived()) == 30


def test_one_that_does_not_say_for_how_long_is_given_the_backoff_doubled_each_time() -> None:
    world = a_world(rows=1, immediate=3)
    times = spy(world)
    world.target.answer = lambda message, attempt: Verdict(kind="throttled", slow=0.0)
    world.run()
    assert [later - earlier >= least for earlier, later, least in zip(times, times[1:], (1, 2, 4), strict=False)] == [
        True,
        True,
        True,
    ]


def test_other_rejections_slow_nobody() -> None:
    world = a_world(rows=1)
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="Email not found")
    world.run()
    assert world.pace.reserve(1) == 0.0


def test_a_right_is_taken_no_longer_than_a_window_ahead_so_that_no_more_dies_with_a_worker() -> None:
    world = a_world(rows=60, count=10, seconds=60)
    ahead: list[float] = []
    reserve = world.pace.reserve
    world.pace.reserve = lambda count, within=0.0: ahead.append(within) or reserve(count, within)  # type: ignore
    assert world.run()["accepted"] == 60
    assert max(ahead) == 60


def test_the_way_to_the_destination_is_opened_before_a_turn_is_taken() -> None:
    world = a_world(rows=20, count=10, seconds=60)
    turns, times = [], spy(world)
    reserve = world.pace.reserve

    def noted(count: int, within: float = 0.0) -> float:
        wait = reserve(count, within)
        turns.append(world.clock.time + wait)
        return wait

    world.pace.reserve = noted  # type: ignore[method-assign]
    world.target.on_opening = lambda: world.clock.sleep(30.0)
    assert world.run()["accepted"] == 20
    assert times == turns, "each call goes at its own time, and no turn is given up"


def test_a_way_that_ended_while_a_turn_was_waited_for_is_opened_in_time() -> None:
    world = a_world(rows=20, count=10, seconds=60)
    times = spy(world)
    sleep = world.clock.sleep

    def ends(seconds: float) -> None:
        world.target.is_open = world.target.is_open and seconds < 10
        sleep(seconds)

    world.clock.sleep = ends  # type: ignore[method-assign]
    world.target.on_opening = lambda: sleep(0.9)
    assert world.run()["accepted"] == 20
    assert 60 <= times[1] - times[0] < 60.1


def test_a_turn_that_was_overslept_is_given_up() -> None:
    world = a_world(rows=20, count=10, seconds=60)
    times = spy(world)
    sleep, lame = world.clock.sleep, [30.0]
    world.clock.sleep = lambda seconds: sleep(seconds + (lame.pop() if seconds > 1 and lame else 0))  # type: ignore
    assert world.run()["accepted"] == 20
    assert times[1] - times[0] >= 120, "the turn at 60 was overslept by 30 and the next one is that at 120"


def test_a_worker_whose_turn_comes_after_its_end_waits_and_leaves_the_rest_to_the_next() -> None:
    world = a_world(rows=40, count=10, seconds=1000)
    times = spy(world)
    assert world.run()["accepted"] == 40
    assert [round((time - times[0]) / 1000) for time in times] == [0, 1, 2, 3]
    assert world.claims <= 12, "a worker that cannot send waits instead of being called again at once"


def test_workers_times_their_calls_is_the_concurrency_exactly() -> None:
    for concurrency in range(1, 1001):
        limits = Limits(concurrency=concurrency)
        assert limits.workers * limits.calls_per_worker == concurrency


@pytest.mark.parametrize(
    ("concurrency", "rated", "unrated"),
    [
        (1, 1, 1),
        (8, 8, 8),
        (10, 5, 5),
        (20, 5, 10),
        (40, 8, 20),
        (90, 6, 45),
        (200, 8, 100),
        (300, 6, 150),
        (1000, 8, 125),
    ],
)
def test_a_worker_holds_many_calls_unless_a_rate_makes_them_wait(concurrency: int, rated: int, unrated: int) -> None:
    assert Limits(concurrency=concurrency).calls_per_worker == unrated
    assert Limits(concurrency=concurrency, rate=Rate(count=100, seconds=1)).calls_per_worker == rated


def test_a_worker_has_no_more_calls_open_than_its_share() -> None:
    world = World(sync_definition(limits=Limits(concurrency=4)))
    world.target.batch_size = 1
    open_calls = most = 0

    async def wait(sent: fakes.Sent) -> None:
        nonlocal open_calls, most
        open_calls += 1
        most = max(most, open_calls)
        await asyncio.sleep(0.02)
        open_calls -= 1

    world.target.before_answer = wait
    for number in range(20):
        world.source.put(id=number, v="a")
    assert world.run()["accepted"] == 20
    assert most == 4
