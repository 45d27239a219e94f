"""Histories whose runs the sweeps break off: what was before, and how the source goes on before the next start."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rowcast.definition import Definition, Guard, LambdaDestination, Limits, Retry, Trigger, Triggers
from rowcast.errors import SourceFailed
from rowcast.models import Replay, Selection
from tests.model.aws_world import MESSAGE, AwsWorld, Died, taken
from tests.world import sync_definition

ANY = Guard(max_removed=1, max_changed=1, max_rejected=1, allow_empty=True)


@dataclass(frozen=True)
class History:
    """`before` brings the world to the start of the run that is broken off; `steer` says what a person asks of it;
    `between` comes after the death."""

    definition: Definition
    before: Callable[[AwsWorld], None]
    between: Callable[[AwsWorld], None]
    steer: Callable[[AwsWorld], dict[str, Any]] = lambda world: {}


def _sync(**changes: Any) -> Definition:
    return sync_definition(**{"message": MESSAGE, "guard": ANY, **changes})


def _rows(world: AwsWorld, *keys: int, v: str = "a") -> None:
    for key in keys:
        world.source.put(id=key, v=v)
    world.oracle.note()


def flaky(key: Any, attempt: int) -> str:
    """Rejects key 2 always, and loses the reply of the first send of key 3 and with it of the whole call."""
    return {2: "rejected", 3: "lost" if attempt == 1 else "rejected"}.get(key, "accepted")


def _news(world: AwsWorld) -> None:
    """Every kind of change."""
    world.source.put(id=1, v="b")
    world.source.remove(2)
    world.source.put(id=3, v="c")
    world.source.remove(4)
    world.source.put(id=6, v="new")
    world.oracle.note()


def _back(world: AwsWorld) -> None:
    """The source goes back to what it was."""
    world.source.put(id=1, v="a")
    world.source.put(id=2, v="a")
    world.source.put(id=3, v="a")
    world.source.put(id=4, v="a")
    world.source.remove(6)
    world.oracle.note()


def _newest(world: AwsWorld) -> None:
    world.source.put(id=1, v="newest")
    world.oracle.note()


def begin() -> History:
    """The first run, to a target that does not take all."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2, 3, 4)
        world.answer = flaky

    return History(_sync(retry=Retry(immediate=1)), before, _newest)


def go_on() -> History:
    """A baseline with debts, every kind of change on top, and a source that goes back after the death."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2, 3, 4)
        world.answer = flaky
        world.run()
        _news(world)

    return History(_sync(), before, _back)


def quiet() -> History:
    """A run in which nothing changed."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2)
        world.run()

    return History(_sync(), before, _newest)


def function() -> History:
    """Batches to a function that loses replies."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2, 4)
        world.run()
        world.answer = flaky
        _news(world)

    definition = _sync(destination=LambdaDestination(function="target", batch_size=2), retry=Retry(immediate=1))
    on = Trigger()
    return History(_replace(definition, triggers=Triggers(added=on, changed=on, removed=on)), before, _back)


def resumed() -> History:
    """A start that finishes what an earlier one left in mid-send, and then does its own run."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2, 3, 4)
        world.run()
        _news(world)
        _gone_in(world, "publish", "PutEvents")
        _rows(world, 7, v="later")

    return History(_sync(), before, _back)


def failing() -> History:
    """A query that fails: its failure is noted."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2)
        world.run()
        world.source.fail = SourceFailed("The query failed.")

    def between(world: AwsWorld) -> None:
        world.source.fail = None
        _newest(world)

    return History(_sync(), before, between)


def grown() -> History:
    """The partition count and the columns change in the run that dies."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2)
        world.answer = flaky
        world.run()
        world.source.columns = {**world.source.columns, "w": "integer"}
        for key in range(1, 10):
            world.source.put(id=key, v="grown", w=key)
        world.oracle.note()

    return History(_sync(limits=Limits(concurrency=1, rows_per_partition=4)), before, _newest)


def evicting() -> History:
    """Snapshots fall out of the history at commit."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2, 3)
        for value in ("b", "c", "d"):
            world.run()
            _rows(world, 1, v=value)

    return History(_sync(), before, _newest)


def refused() -> History:
    """The target says no to all in the middle of the run, and is there again later."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2, 3)
        world.run()
        _news(world)
        world.answer = lambda key, attempt: "unusable" if key in (1, 3) else "accepted"

    return History(_sync(), before, _back)


def redeployed() -> History:
    """A deployment between the death and the next start: another message, and a trigger that is off."""

    def before(world: AwsWorld) -> None:
        _rows(world, 1, 2, 3, 4)
        world.answer = flaky
        world.run()
        _news(world)

    def between(world: AwsWorld) -> None:
        world.deploy(_replace(world.definition, retry=Retry(immediate=1), message=_other_message()))
        _newest(world)

    return History(_sync(), before, between)


def _indebted(world: AwsWorld) -> None:
    """Two rows are owed, one of them in doubt, and the source has moved on."""
    _rows(world, 1, 2, 3, 4)
    world.answer = flaky
    world.run()
    _newest(world)


def retrying() -> History:
    """A person asks for one row that is owed."""
    return History(_sync(), _indebted, _back, lambda world: world.ask("retry", only=_only(world, 2)))


def discarding() -> History:
    """A person gives up one row that is owed."""
    return History(_sync(), _indebted, _back, lambda world: world.ask("discard", only=_only(world, 2), because="no"))


def resending() -> History:
    """A person asks for everything again."""
    return History(_sync(), _indebted, _back, lambda world: world.ask("resync", because="lost"))


def replaying() -> History:
    """A person asks for all changes so far again, of which some may go as they were."""

    def before(world: AwsWorld) -> None:
        _indebted(world)
        world.answer = taken
        world.run()
        _newest(world)
        world.source.put(id=2, v="newer")
        world.oracle.note()

    return History(
        _sync(), before, _back, lambda world: world.ask("replay", replays=Replay(first=0, last=1), because="lost")
    )


def _only(world: AwsWorld, key: int) -> Selection:
    return Selection(key_hashes=(world.owed()[key].key_hash,))


def random_history(seed: int) -> History:
    """Rows, changes, answers and settings as the seed says."""
    chance = random.Random(seed)
    size = chance.randint(2, 4)
    answers = {key: chance.choice(["accepted"] * 3 + ["rejected", "lost", "throttled"]) for key in range(8)}

    def step(world: AwsWorld) -> None:
        for key in range(chance.randint(1, size + 2)):
            if chance.random() < 0.3:
                world.source.remove(key)
            else:
                world.source.put(id=key, v=chance.choice("abc"))
        world.oracle.note()

    changes: list[list[tuple[int, str]]] = [
        [(chance.randrange(6), chance.choice(["a", "b", "c", ""])) for _ in range(chance.randint(1, 5))]
        for _ in range(chance.randint(1, 3))
    ]
    after = [(chance.randrange(6), chance.choice(["a", "b", "c", ""])) for _ in range(3)]

    def apply(world: AwsWorld, edits: list[tuple[int, str]]) -> None:
        for key, value in edits:
            if value:
                world.source.put(id=key, v=value)
            else:
                world.source.remove(key)
        world.oracle.note()

    def before(world: AwsWorld) -> None:
        _rows(world, *range(size))
        world.answer = lambda key, attempt: answers[key]
        for edits in changes:
            world.run()
            apply(world, edits)

    definition = _sync(
        retry=Retry(immediate=chance.randint(0, 1)),
        limits=Limits(concurrency=1, rows_per_partition=chance.choice([2, 250_000])),
    )
    return History(definition, before, lambda world: apply(world, after))


HISTORIES: dict[str, Callable[[], History]] = {
    history.__name__: history
    for history in (
        begin,
        go_on,
        quiet,
        function,
        resumed,
        failing,
        grown,
        evicting,
        refused,
        redeployed,
        retrying,
        discarding,
        resending,
        replaying,
    )
}


def _gone_in(world: AwsWorld, handler: str, call: str) -> None:
    """A run whose execution went away just after a call took effect."""

    def hook(side: str, name: str) -> None:
        if world.dead or (world.handler == handler and side == "after" and name == call):
            world.deaths += not world.dead
            world.dead = True
            raise Died

    world.hook, world.gone_with_worker = hook, True
    world.run()
    world.hook, world.gone_with_worker = (lambda side, name: None), False
    world.answer = taken


def _replace(definition: Definition, **changes: Any) -> Definition:
    import msgspec

    return msgspec.structs.replace(definition, **changes)


def _other_message() -> Any:
    from rowcast.definition import Message

    return Message(template='{"new": true, "row": {{ row | to_json }}, "previous": {{ previous | to_json }}}')
