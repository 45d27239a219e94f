"""Two executions of one sync, interleaved at their calls of ports: one writer, and no older state after a newer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rowcast.definition import Guard, Retry
from rowcast.models import Replay, Selection
from rowcast.ports import MessageToSend, Verdict
from tests.model.evidence import keep
from tests.model.model_world import ModelWorld
from tests.model.turns import Execution, take_turns
from tests.world import sync_definition

STEERING = ("retry", "retry of one key", "discard", "replay", "resync", "rebaseline", "plan")
ANY = Guard(max_removed=1, max_changed=1, max_rejected=1, allow_empty=True)


def flaky(message: MessageToSend, attempt: int) -> Verdict:
    return Verdict(kind="rejected", reason="No") if message.change.key[0] == 2 else Verdict(kind="accepted")


def history() -> ModelWorld:
    """A baseline with a debt, and a change, a removal and a new row on top."""
    world = ModelWorld(sync_definition(guard=ANY, retry=Retry(immediate=0)))
    world.bare["target"].answer = flaky
    for key in (1, 2):
        world.source.put(id=key, v="a")
    world.start()
    world.source.put(id=1, v="b")
    world.source.put(id=3, v="new")
    world.oracle.note()
    return world


def moves_alone() -> int:
    world = history()
    return take_turns(world, [Execution(world, world.next_time())], lambda alive, moves: None)


def judge(world: ModelWorld, executions: Sequence[Execution]) -> None:
    for one in executions:
        if one.error is not None:
            raise one.error
    world.look()
    world.source.put(id=1, v="c")
    world.deaths = sum(one.aborted for one in executions)
    world.settle()


def interleave_starts(every: int) -> int:
    """The first goes on for some calls, the second for some, then the first to its end, then the second."""
    count = 0
    for same_schedule in (False, True):
        for first in range(0, moves_alone() + 1, every):
            for second in range(0, 1_000, every):
                world = history()
                times = [world.next_time(), world.next_time()]
                again = times[0].replace("+00:00", "Z")  # the same instant, started twice
                pair = [Execution(world, times[0]), Execution(world, again if same_schedule else times[1])]
                take_turns(world, pair, lambda alive, moves, f=first, s=second, p=pair: _switch(alive, p, f, s))
                judge(world, pair)
                count += 1
                if pair[1].moves < second:
                    break
    return count


def asked(world: ModelWorld, what: str) -> dict[str, Any]:
    """What the execution's input says when a person asks for it beside a run."""
    if what == "retry of one key":
        return world.ask("retry", only=Selection(key_hashes=(world.owed()[2].key_hash,)))
    if what == "replay":
        return world.ask("replay", replays=Replay(first=0, last=0))
    mode: Any = what
    return world.ask(mode, because="It is time.")


def interleave_with(what: str, every: int) -> int:
    """A scheduled run and what a person asked for, the one first and then the other, let go on in turns as above."""
    count = 0
    for person_first in (False, True):
        for first in range(0, 1_000, every):
            for second in range(0, 1_000, every):
                world = history()
                steer = asked(world, what)
                pair = [
                    Execution(world, world.next_time(), **(steer if mine == person_first else {}))
                    for mine in (True, False)
                ]
                take_turns(world, pair, lambda alive, moves, f=first, s=second, p=pair: _switch(alive, p, f, s))
                judge(world, pair)
                count += 1
                if pair[1].moves < second:
                    break
            if pair[0].moves < first:
                break
    return count


def interleave_outliving(every: int) -> int:
    """The first is aborted at a call; its worker goes on when the second has come to some call, and to its end."""
    count = 0
    for first in range(1, moves_alone()):
        for second in range(first % every, 1_000, every):
            world = history()
            pair = [Execution(world, world.next_time()), Execution(world, world.next_time())]
            take_turns(world, pair, lambda alive, moves, f=first, s=second, p=pair: _switch(alive, p, f, s, abort=True))
            judge(world, pair)
            count += 1
            if pair[1].moves < second:
                break
    return count


def test_two_starts_at_once_are_one_writer_however_they_interleave() -> None:
    keep("interleavings-starts", interleavings=interleave_starts(every=3), violations=0)


@pytest.mark.parametrize("what", STEERING)
def test_what_a_person_asks_for_beside_a_run_is_one_writer_too(what: str) -> None:
    name = what.replace(" ", "-")
    keep(f"interleavings-{name}", interleavings=interleave_with(what, every=7), violations=0)


def test_a_worker_that_outlives_its_execution_harms_no_later_run_wherever_they_interleave() -> None:
    keep("interleavings-outliving", interleavings=interleave_outliving(every=21), violations=0)


@pytest.mark.long
def test_two_executions_break_nothing_at_any_pair_of_calls() -> None:
    keep("interleavings-starts-long", interleavings=interleave_starts(every=1), violations=0)
    keep("interleavings-outliving-long", interleavings=interleave_outliving(every=1), violations=0)


@pytest.mark.long
@pytest.mark.parametrize("what", STEERING)
def test_what_a_person_asks_for_breaks_nothing_at_any_pair_of_calls(what: str) -> None:
    name = what.replace(" ", "-")
    keep(f"interleavings-{name}-long", interleavings=interleave_with(what, every=1), violations=0)


def random_turns(seeds: range, suite: str) -> None:
    moves = 0
    for seed in seeds:
        chance = random.Random(seed)
        world = history()
        trio = [Execution(world, world.next_time()) for _ in range(chance.choice([1, 2]))]
        what = chance.choice([None, *STEERING])
        trio.append(Execution(world, world.next_time(), **(asked(world, what) if what else {})))

        try:
            moves += take_turns(world, trio, _at_random(world, chance))
            judge(world, trio)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    keep(suite, interleavings=len(seeds), calls=moves, violations=0)


def _at_random(world: ModelWorld, chance: random.Random) -> Callable[[Sequence[Execution], int], Execution]:
    """Now and then an execution is aborted, the source changes, and the turn passes on."""
    turn: list[Execution] = []

    def choose(alive: Sequence[Execution], moves: int) -> Execution:
        if chance.random() < 0.02:
            chance.choice(alive).abort()
        if chance.random() < 0.03:
            world.source.put(id=chance.randint(1, 4), v=chance.choice("abc"))
            world.oracle.note()
        if not turn or turn[0] not in alive or chance.random() < 0.2:
            turn[:] = [chance.choice(alive)]
        return turn[0]

    return choose


def test_random_turns_of_up_to_three_executions_break_nothing() -> None:
    random_turns(range(200), "interleavings-random")


@pytest.mark.long
def test_many_random_turns_break_nothing() -> None:
    random_turns(range(1_000, 21_000), "interleavings-random-long")


def _switch(
    alive: Sequence[Execution], pair: Sequence[Execution], first: int, second: int, *, abort: bool = False
) -> Execution:
    one, two = pair
    if one in alive and one.moves < first:
        return one
    if abort and one in alive and not one.aborted:
        one.abort()
    if two in alive and two.moves < second:
        return two
    return one if one in alive else two
