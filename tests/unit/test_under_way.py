"""How well a worker's calls hide the time that a destination and the stores take, on a clock that only they move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rowcast import in_flight
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


@pytest.mark.parametrize("calls", [10, 25, 50])
def test_a_worker_s_places_are_filled_from_its_first_call_to_its_last(
    calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 2000
    filled = rows / 10 / calls * ANSWER
    looked_up_and_recorded = 2 * STORE + 2 * STORE
    assert seconds_of_a_share(rows, calls, monkeypatch) <= 1.05 * (filled + looked_up_and_recorded)
