from __future__ import annotations

import heapq
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast import ports
from rowcast.definition import Definition, Limits, Rate
from rowcast.stores import pace
from tests import aws_faults, fakes
from tests.contract.conftest import Stores, definition


@pytest.fixture(params=["fake", "aws"])
def paced(request: pytest.FixtureRequest) -> Iterator[tuple[ports.Pace, fakes.FakeClock]]:
    if request.param == "fake":
        clock = fakes.FakeClock()
        yield fakes.FakePace(clock, count=10, seconds=60), clock
        return
    stores: Stores = request.getfixturevalue("aws")
    made = pace.DynamoPace(
        client=stores.clients["dynamodb"],
        table="state",
        name="orders",
        rate=Rate(count=10, seconds=60),
        clock=stores.clock,
    )
    yield made, stores.clock


def test_what_the_rate_allows_waits_for_nothing(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, _ = paced
    assert [pace_.reserve(5), pace_.reserve(4), pace_.reserve(1)] == [0.0, 0.0, 0.0]


def test_no_window_holds_more_than_the_rate(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, clock = paced
    sent: list[tuple[float, int]] = []
    for count in (7, 3, 1, 4, 10, 2, 5, 6, 1, 1, 1, 9):
        sent.append((clock.time + pace_.reserve(count), count))
        clock.time += 11.7
    for start, _ in sent:
        assert sum(count for time, count in sent if start <= time < start + 60) <= 10
    assert sent == sorted(sent, key=lambda entry: entry[0])


def test_the_rate_is_used_up(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, _ = paced
    assert max(pace_.reserve(2) for _ in range(50)) <= 9 * 60 / 0.9


def test_more_than_the_rate_at_once_still_goes_and_holds_back_the_next(
    paced: tuple[ports.Pace, fakes.FakeClock],
) -> None:
    pace_, _ = paced
    assert pace_.reserve(25) == 0.0
    assert pace_.reserve(1) >= 59


def test_a_right_that_comes_too_late_is_not_taken(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, clock = paced
    pace_.reserve(10)
    assert [pace_.reserve(10, within=30) > 30 for _ in range(3)] == [True] * 3
    clock.time += 64
    assert pace_.reserve(10, within=30) == 0.0


def test_a_worker_that_dies_with_its_right_gives_it_back_with_time(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, clock = paced
    pace_.reserve(10)  # and never sends
    assert 0 < pace_.reserve(10, within=0) <= 64
    clock.time += 64
    assert [pace_.reserve(5), pace_.reserve(5)] == [0.0, 0.0]


def test_who_asks_to_be_sent_less_is_sent_nothing_for_that_time(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, clock = paced
    pace_.slow(30)
    pace_.slow(5)
    assert 30 <= pace_.reserve(1) <= 31
    clock.time += 32
    assert pace_.reserve(1) == 0.0


def a_pace(aws: Stores, rate: Rate, name: str = "orders", clock: Any = None) -> pace.DynamoPace:
    return pace.DynamoPace(
        client=aws.clients["dynamodb"], table="state", name=name, rate=rate, clock=clock or aws.clock
    )


def limited(sync: str, **limits: Any) -> Definition:
    return msgspec.structs.replace(definition(sync), limits=Limits(rate=Rate(count=10, seconds=60), **limits))


@pytest.mark.parametrize("seconds", [1, 60, 3600])
def test_a_rate_holds_per_second_minute_and_hour(aws: Stores, seconds: int) -> None:
    made = a_pace(aws, Rate(count=5, seconds=seconds))
    assert made.reserve(5) == 0.0
    assert seconds < made.reserve(5) < 1.4 * seconds
    assert 2 * seconds < made.reserve(5) < 2.5 * seconds


def test_syncs_of_one_pool_share_its_rate_and_others_do_not(aws: Stores) -> None:
    def made(given: Definition) -> ports.Pace:
        return pace.pace(given, client=aws.clients["dynamodb"], table="state", clock=aws.clock)

    one, other = (made(limited(sync, pool="crm")) for sync in ("orders", "customers"))
    assert one.reserve(10) == 0.0
    assert other.reserve(1) > 55
    assert made(limited("crm")).reserve(10) == 0.0
    other.slow(600)
    assert one.reserve(1) > 590


def test_to_slow_down_while_another_reserves_is_not_lost(aws: Stores) -> None:
    one, other = (a_pace(aws, Rate(count=10, seconds=60)) for _ in range(2))
    aws_faults.before(aws.clients["dynamodb"], "PutItem", lambda: other.slow(300))
    assert one.reserve(1) > 295


def test_a_slot_that_is_over_before_it_is_written_is_given_up(aws: Stores) -> None:
    made = a_pace(aws, Rate(count=10, seconds=1))

    def pause() -> None:
        aws.clock.time += 0.2

    aws_faults.before(aws.clients["dynamodb"], "PutItem", pause)
    made.reserve(10)
    assert made.reserve(10) >= 1, "the second one was taken when the first had been given up"


def test_the_first_window_of_a_rate_per_second_is_longer_since_first_calls_take_longer(aws: Stores) -> None:
    made = a_pace(aws, Rate(count=10, seconds=1))
    assert made.reserve(10) == 0.0
    assert 1.3 <= made.reserve(10) <= 1.34
    assert 2.36 <= made.reserve(10) <= 2.42
    aws.clock.time += 60
    assert made.reserve(10) == 0.0
    assert 1.3 <= made.reserve(10) <= 1.34


def test_threads_that_ask_at_once_are_all_served(aws: Stores) -> None:
    made = a_pace(aws, Rate(count=10, seconds=60))
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(made.reserve, [5] * 16))
    assert [round(wait / 64) for wait in waits] == [window for window in range(8) for _ in range(2)]


def test_eight_workers_keep_the_rate_and_use_nine_tenths_of_it(aws: Stores) -> None:
    rate = Rate(count=50, seconds=1)
    workers = [(aws.clock.time, number, a_pace(aws, rate)) for number in range(8)]
    sent: list[float] = []
    while len(sent) < 400:
        aws.clock.time, number, worker = heapq.heappop(workers)
        wait = worker.reserve(5)
        on_the_way = 0.01 * (number % 2)
        sent += [aws.clock.time + wait + on_the_way] * 5
        heapq.heappush(workers, (aws.clock.time + wait + 0.02 * number, number, worker))
    sent.sort()
    assert max(sum(start <= time < start + 1 for time in sent) for start in sent) <= 50
    assert len(sent) >= 0.9 * 50 * (sent[-1] - sent[0])


def test_workers_that_reserve_at_once_share_one_rate(aws: Stores) -> None:
    rate = Rate(count=10, seconds=60)
    one, other = (a_pace(aws, rate) for _ in range(2))
    aws_faults.before(aws.clients["dynamodb"], "PutItem", lambda: other.reserve(10))
    assert one.reserve(10) > 55


def test_without_a_rate_nothing_waits() -> None:
    assert pace.pace(definition(), client=None, table="").reserve(1_000_000) == 0.0  # type: ignore[arg-type]
    assert fakes.FakePace().reserve(1_000_000) == 0.0


def test_without_a_rate_a_worker_still_slows_its_own_calls() -> None:
    clock = fakes.FakeClock()
    made = pace.NoPace(clock)
    made.slow(30)
    made.slow(3)
    assert made.reserve(1) == 30
    clock.time += 30
    assert made.reserve(1) == 0.0


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=60), st.integers(1, 12))
def test_any_run_of_reservations_keeps_the_rate(steps: list[tuple[int, int]], limit: int) -> None:
    log: pace.Log = {}
    now, placed = 1000, []
    for passed, count in steps:
        now += passed
        slot, log = pace.place(log, now, min(count, limit), limit)
        assert slot >= now
        placed.append((slot, min(count, limit)))
    for start, _ in placed:
        assert sum(count for slot, count in placed if start <= slot <= start + pace.SPAN) <= limit
