"""Death at any call: the next start finishes what was begun, and nothing is lost, doubled without need or reordered."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from rowcast.definition import Retry
from rowcast.ports import MessageToSend, Verdict
from tests.model.model_world import Died, Watched
from tests.model.remembered import remembered_engine
from tests.world import World, sync_definition

PORTS = ("states", "snapshots", "definitions", "changes", "debts", "queue", "calls", "target")


@pytest.fixture(autouse=True)
def remembered() -> Iterator[None]:
    with remembered_engine():
        yield


class Fate:
    """Death at the n-th call of all ports together, before the call or after its effect. None: no death."""

    def __init__(self, at: int | None, after: bool) -> None:
        self.at = at
        self.side = "after" if after else "before"
        self.calls = 0

    def around(self, side: str, name: str) -> None:
        self.calls += side == "before"
        if side == self.side and self.calls == self.at:
            raise Died


def run_with(world: World, fate: Fate) -> None:
    mortal = {name: Watched(getattr(world, name), fate.around) for name in PORTS}
    whole = {name: getattr(world, name) for name in PORTS}
    for name, port in mortal.items():
        setattr(world, name, port)
    try:
        world.run()
    except Died:
        pass
    finally:
        for name, port in whole.items():
            setattr(world, name, port)


def flaky(message: MessageToSend, attempt: int) -> Verdict:
    """Rejects key 2 and doubts key 3, always."""
    return {
        2: Verdict(kind="rejected", reason="Not today"),
        3: Verdict(kind="in_doubt", reason="Timed out"),
    }.get(message.change.key[0], Verdict(kind="accepted"))


def start(world: World) -> None:
    for key in range(1, 6):
        world.source.put(id=key, v="a")


def begin() -> World:
    """Five rows to backfill, two of which the target does not take."""
    world = World(sync_definition(retry=Retry(immediate=1)))
    start(world)
    world.target.answer = flaky
    return world


def go_on() -> World:
    """A baseline with debts, and every kind of change on top."""
    world = begin()
    world.run()
    world.source.put(id=1, v="b")
    world.source.remove(2)
    world.source.put(id=3, v="c")
    world.source.put(id=6, v="new")
    world.source.remove(4)
    return world


def quiet() -> World:
    world = World(sync_definition())
    start(world)
    world.run()
    return world


HISTORIES = {"begin": begin, "go_on": go_on, "quiet": quiet}


def calls_of(history: Callable[[], World]) -> int:
    world, fate = history(), Fate(None, after=False)
    run_with(world, fate)
    return fate.calls


def check(world: World) -> None:
    """After one whole run with a target that takes everything: the oracle is the source itself."""
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    assert world.run()["status"] == "completed"
    assert world.arrived() == {row["id"]: row for row in world.source.rows}, "I1"
    assert world.owed() == {} and world.head.owed == 0, "I2"
    assert world.head.open_run is None and world.head.holder is None, "I8"
    bodies: dict[str, set[bytes]] = {}
    for message in world.target.sent:
        bodies.setdefault(message.change.id, set()).add(message.body)
    assert all(len(same) == 1 for same in bodies.values()), "I5"
    before = len(world.target.calls)
    world.run()
    assert len(world.target.calls) == before, "I10"


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
def test_a_run_that_died_at_any_call_is_finished_by_the_next_start(history: str, after: bool) -> None:
    for at in range(1, calls_of(HISTORIES[history]) + 1):
        world = HISTORIES[history]()
        sent_before = Counter(message.change.id for message in world.target.accepted)
        run_with(world, Fate(at, after))
        world.source.put(id=1, v="newest")
        check(world)
        accepted = Counter(message.change.id for message in world.target.accepted) - sent_before
        assert max(accepted.values(), default=0) <= 2, f"I5: more than one repeat after one death, at call {at}"


@pytest.mark.long
@pytest.mark.parametrize("history", HISTORIES)
def test_two_deaths_in_a_row_are_survived(history: str) -> None:
    points = range(1, calls_of(HISTORIES[history]) + 1)
    for first, second in itertools.product(points, points[::3]):
        world = HISTORIES[history]()
        run_with(world, Fate(first, after=True))
        run_with(world, Fate(second, after=True))
        check(world)
