"""A worker of fan out that has several chunks under way at once, and dies or loses them at any point of that."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from rowcast import diff, seal
from rowcast.definition import Guard, Limits, Retry
from rowcast.ports import CallResult, MessageToSend, Verdict
from tests.model.evidence import keep
from tests.model.inline import interleaved, turns
from tests.model.model_world import LoggingTarget, ModelWorld, Watched, count_calls, nth
from tests.world import sync_definition

ANY = Guard(max_removed=1, max_changed=1, max_rejected=1, allow_empty=True)
SYNC = sync_definition(guard=ANY, retry=Retry(immediate=1), limits=Limits(concurrency=8))
ROWS = 12


@pytest.fixture(autouse=True)
def small_chunks_in_one_share(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(diff, "CHUNK_CHANGES", 3)
    monkeypatch.setattr(seal, "shares", lambda chunks, workers: [list(chunks)])
    return iter([None])


class SlowTarget(LoggingTarget):
    """A call's effect comes some turns after the call, and its answer some turns after that."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.batch_size = 2
        self.under_way: set[str] = set()
        self.most = 0

    async def send(self, batch: Sequence[MessageToSend], batch_id: str, attempt: int) -> CallResult:
        self.under_way.add(batch_id.rsplit("-", 2)[0])
        self.most = max(self.most, len(self.under_way))
        await turns(self.chance, 9)
        result = await super().send(batch, batch_id, attempt)
        await turns(self.chance, 9)
        self.under_way.discard(batch_id.rsplit("-", 2)[0])
        return result


def flaky(message: MessageToSend, attempt: int) -> Verdict:
    return {
        2: Verdict(kind="rejected", reason="Not today"),
        3: Verdict(kind="in_doubt", reason="Timed out"),
        9: Verdict(kind="throttled" if attempt == 1 else "accepted"),
    }.get(message.change.key[0], Verdict(kind="accepted"))


def begun(chance: random.Random) -> ModelWorld:
    """A backfill of several chunks, which the target does not take all of."""
    world = ModelWorld(SYNC)
    target = world.bare["target"] = SlowTarget(chance)
    target.answer = flaky
    world.target = Watched(target, lambda side, call: world.around(side, call))  # type: ignore[assignment]
    for key in range(ROWS):
        world.source.put(id=key, v="a")
    world.oracle.note()
    return world


def calls(seed: int) -> int:
    chance = random.Random(seed)
    with interleaved(chance):
        return count_calls(begun(chance))


def test_chunks_are_under_way_at_once_in_these_worlds() -> None:
    chance = random.Random(0)
    world = begun(chance)
    with interleaved(chance):
        world.start()
    assert world.bare["target"].most >= 3


@pytest.mark.parametrize("seed", range(2))
def test_a_worker_that_dies_with_several_chunks_under_way_costs_no_change(seed: int) -> None:
    points = calls(seed)
    for number in range(1, points + 1):
        chance = random.Random(seed)
        world = begun(chance)
        with interleaved(chance):
            assert world.start(nth(number))["status"] == "gone"
            world.bare["target"].under_way.clear()
            world.bare["target"].answer = lambda message, attempt: Verdict(kind="rejected", reason="Not now")
            try:
                world.start()  # finishes what was begun: what may have arrived stays in doubt
                world.source.put(id=1, v="newest")
                for key in range(4, ROWS, 2):
                    world.source.remove(key)
                world.oracle.note()
                world.settle()
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, point {number} of {points}: {error}") from error
    keep(f"at_once-{seed}", points=points, violations=0)
