"""How well a worker's calls hide the time that a destination and the stores take, on a clock that only they move."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from rowcast import in_flight
from rowcast.under_way import AT_ONCE, HELD_BYTES, OPENING, UnderWay
from tests.unit.test_shares import sealed

ANSWER = 0.02
STORE = 0.005


class IdleClock(asyncio.SelectorEventLoop):
    """Its time passes only while nothing is to be done, and then at once."""

    seconds = 0.0

    def time(self) -> float:
        return self.seconds

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.seconds = max(self.seconds, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def seconds_of_a_share(rows: int, calls: int, monkeypatch: pytest.MonkeyPatch) -> float:
    world, opened, chunks = sealed(rows, concurrency=2 * calls)
    assert world.definition.limits.calls_per_worker == calls

    async def stored(work: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(STORE)
        return work(*arguments)

    monkeypatch.setattr(in_flight, "in_thread", stored)
    world.target.before_answer = lambda sent: asyncio.sleep(ANSWER)
    with asyncio.Runner(loop_factory=IdleClock) as runner:
        monkeypatch.setattr(in_flight, "_kept", lambda: runner)
        assert world.fan_out(opened.run, opened.token, chunks)
        took = runner.get_loop().time()
    assert len(world.target.sent) == rows
    return took


@pytest.mark.parametrize("calls", [10, 25, 50, 100, 150])
def test_a_worker_s_places_are_filled_from_its_first_call_to_its_last(
    calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 40 * calls
    filled = rows / 10 / calls * ANSWER
    looked_up_and_recorded = 2 * STORE + 2 * STORE
    assert seconds_of_a_share(rows, calls, monkeypatch) <= 1.05 * (filled + looked_up_and_recorded)


def looked_up_at_once(size: int, calls: int) -> int:
    """How many further chunks are, while one of so many bytes is worked on and made so many calls."""
    under_way = UnderWay(100)
    count = 0

    async def look_up() -> None:
        nonlocal count
        async with under_way.opening():
            count += 1
            await asyncio.Event().wait()

    async def tried() -> None:
        with under_way.holding(size):
            under_way.expect(calls)
            waiting = [asyncio.ensure_future(look_up()) for _ in range(2 * OPENING)]
            await asyncio.sleep(0.01)
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(tried())
    return count


def test_chunks_are_looked_up_at_once_as_far_as_their_calls_are_wanted_and_their_sizes_leave_room() -> None:
    assert looked_up_at_once(size=1000, calls=1) == OPENING
    assert looked_up_at_once(size=1000, calls=20) == OPENING
    assert looked_up_at_once(size=1000, calls=40) == 4, "of 199 calls, 40 are there"
    assert looked_up_at_once(size=HELD_BYTES // 5, calls=1) == 4
    assert looked_up_at_once(size=HELD_BYTES // 2, calls=1) == AT_ONCE
    assert looked_up_at_once(size=HELD_BYTES, calls=1) == 0


def test_cycles_are_looked_for_seldom_while_much_is_in_flight_and_as_before_afterwards() -> None:
    async def thresholds() -> tuple[int, int, int]:
        return gc.get_threshold()

    before = gc.get_threshold()
    assert in_flight.finish(thresholds()) == (in_flight.NEW_OBJECTS, *before[1:])
    assert gc.get_threshold() == before
