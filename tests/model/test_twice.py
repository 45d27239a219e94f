"""Each handler's work, done by two workers at the same time: Lambda and Step Functions invoke at least once."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from rowcast.errors import LockLost
from tests.model.evidence import keep
from tests.model.model_world import ModelWorld
from tests.model.test_interleavings import flaky
from tests.model.turns import Worker, take_turns
from tests.world import sync_definition

STEPS = ("open", "snapshot", "diff", "seal", "fan_out", "commit")


class DoubleWorld(ModelWorld):
    """Invokes one step twice at once; the state machine goes on with the first answer that is no error."""

    step = ""
    chance = random.Random(0)

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return value if name not in STEPS or name != self.step else self._twice(value)

    def _twice(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def both(*arguments: Any) -> Any:
            step, self.step = self.step, ""
            pair = [Worker(lambda: work(*arguments)) for _ in range(2)]
            take_turns(self, pair, lambda alive, moves: self.chance.choice(alive))
            self.step = step
            answers = [worker.result for worker in pair if worker.error is None]
            assert answers, f"both workers of {step} failed: {pair[0].error}"
            assert all(isinstance(worker.error, LockLost | None) for worker in pair)
            return answers[0]

        return both


def story(step: str, seed: int) -> None:
    world = DoubleWorld(sync_definition())
    world.chance = random.Random(seed)
    world.bare["target"].answer = flaky
    for key in (1, 2):
        world.source.put(id=key, v="a")
    world.start()
    world.source.put(id=1, v="b")
    world.source.put(id=3, v="new")
    world.oracle.note()
    world.step = step
    world.start()
    world.step = ""
    world.deaths += 1
    world.settle()


@pytest.mark.parametrize("step", STEPS)
def test_a_step_worked_by_two_at_once_costs_no_change(step: str) -> None:
    for seed in range(40):
        try:
            story(step, seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    keep(f"twice-{step}", interleavings=40, violations=0)
