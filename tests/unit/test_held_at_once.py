"""Of debts and outcomes steps hold few at once: those of a large run that stopped fill no memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import msgspec
import pytest

from rowcast import diff, picking
from rowcast.alerting import KNOWN_REASONS, first_reasons
from rowcast.definition import Guard, Limits
from rowcast.models import ChunkState, Mode, Outcome, Selection
from tests import deaths
from tests.unit.test_route import IN_DOUBT, REJECTED, accounts, answer_by_id, world_of
from tests.world import World
from workbench import steering

T = TypeVar("T", bound=msgspec.Struct)
ROWS = 60
MODES: list[tuple[Mode, dict[str, Any]]] = [
    ("retry", {}),
    ("retry", {"only": Selection(reason="not today")}),
    ("discard", {"because": "never"}),
    ("discard", {"only": Selection(reason="not today"), "because": "never"}),
    ("resync", {}),
    ("plan", {}),
    ("rebaseline", {"because": "moved house"}),
]


class Held:
    """Counts how many of the values that it passed on are alive at once, at most."""

    def __init__(self) -> None:
        self.now = self.most = self.passed = 0

    def one_by_one(self, give: Callable[..., Iterator[T]]) -> Callable[..., Iterator[T]]:
        def given(*arguments: Any) -> Iterator[T]:
            for value in give(*arguments):
                yield self._counted(value)

        return given

    def _counted(self, value: T) -> T:
        kind = msgspec.defstruct("Counted", [], bases=(type(value),), weakref=True, kw_only=True)
        counted: Any = kind(**{name: getattr(value, name) for name in value.__struct_fields__})
        weakref.finalize(counted, self._gone)
        self.passed += 1
        self.now += 1
        self.most = max(self.most, self.now)
        return counted  # type: ignore[no-any-return]

    def _gone(self) -> None:
        self.now -= 1


def owing(**changes: Any) -> World:
    """A world that owes each row, for one reason or another, and whose source moved on."""
    world = world_of(*range(ROWS), guard=Guard(max_rejected=1), **changes)
    world.target.answer = answer_by_id({key: IN_DOUBT if key % 3 else REJECTED for key in range(ROWS)})
    world.run()
    assert len(world.owed()) == ROWS
    world.target.answer = answer_by_id({})
    for key in range(0, ROWS, 4):
        world.source.put(id=key, v=f"other {key}")
    for key in range(1, ROWS, 4):
        world.source.remove(key)
    world.source.put(id=ROWS, v="new")
    return world


@pytest.mark.parametrize(("mode", "asked"), MODES)
def test_the_diff_holds_one_debt_and_a_slice_of_rows(
    mode: Mode, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff, "LEAST_ROWS", 7)
    monkeypatch.setattr(picking, "SLICE_ROWS", 7)
    world = owing()
    debts, slices = Held(), list[int]()
    monkeypatch.setattr(world.debts, "debts", debts.one_by_one(world.debts.debts))

    def current_rows(places: Mapping[str, int], *needs: Any) -> dict[str, str]:
        slices.append(len(places))
        return picking.current_rows(places, *needs)

    monkeypatch.setattr(diff, "current_rows", current_rows)
    world.steer(mode, **asked)
    assert (debts.passed, len(slices), max(slices) <= 7) == (ROWS, -(-ROWS // 7), True)
    assert debts.most <= 2


@pytest.mark.parametrize(("mode", "asked"), MODES)
def test_chunks_and_accounts_are_the_same_however_debts_are_sliced(
    mode: Mode, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def steered(rows: int) -> tuple[World, dict[str, Any]]:
        monkeypatch.setattr(diff, "LEAST_ROWS", rows)
        monkeypatch.setattr(picking, "SLICE_ROWS", rows)
        monkeypatch.setattr(diff, "SETTLED", rows)
        world = owing(limits=Limits(concurrency=1, rows_per_partition=20))
        return world, world.steer(mode, **asked)

    (whole, told), *sliced = [steered(rows) for rows in (1000, 7, 1)]
    for world, summary in sliced:
        assert accounts(summary) == accounts(told)
        assert sends(world) == sends(whole)
        assert world.head.owed_since == whole.head.owed_since
        assert world.owed() == whole.owed()


def sends(world: World) -> tuple[Any, ...]:
    """The chunks of changes, and in order the debts that are settled, in whatever chunks."""
    chunks = {key: world.changes.chunk(*key) for key in world.changes.chunks}
    changes = {key: chunk.changes for key, chunk in chunks.items() if chunk.changes}
    settled = [key_hash for chunk in chunks.values() for key_hash in chunk.settled]
    return changes, sorted(settled), world.target.calls


def test_slices_of_debts_follow_the_rows_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "LEAST_ROWS", 2)
    monkeypatch.setattr(picking, "LEAST_ROWS", 2)
    monkeypatch.setattr(picking, "SLICE_BYTES", 200)
    world, asked = owing(), list[int]()
    real = world.debts.debts

    def counted(*arguments: Any) -> Iterator[Any]:
        found = list(real(*arguments))
        asked.append(len(found))
        yield from found

    monkeypatch.setattr(world.debts, "debts", counted)
    world.steer("retry")
    assert sum(asked) == ROWS
    assert asked[0] == 2
    assert 2 < max(asked[1:]) <= 200 // len(b'{"id":1,"v":"v1"}')


def test_the_snapshot_asks_for_the_hashes_of_debts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    world = owing()
    debts = Held()
    monkeypatch.setattr(world.debts, "debts", debts.one_by_one(world.debts.debts))
    opened = world.open(world.next_time(), "one")
    assert world.snapshot(opened.run, opened.token).partitions == 1
    assert debts.passed == 0


def test_commit_holds_the_outcomes_of_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "CHUNK_CHANGES", 5)
    world = world_of(*range(ROWS), guard=Guard(max_rejected=1))
    world.target.answer = answer_by_id(dict.fromkeys(range(0, ROWS, 2), REJECTED))
    states = Held()
    monkeypatch.setattr(world.changes, "states", states.one_by_one(world.changes.states))
    assert accounts(world.run()) == {"added": 60, "accepted": 30, "rejected": 30, "owed_after": 30}
    assert (len(world.owed()), states.passed) == (30, 2 * 12)
    assert states.most <= 3


def test_outcomes_are_read_once_where_all_were_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "CHUNK_CHANGES", 5)
    world = world_of(*range(ROWS))
    states = Held()
    monkeypatch.setattr(world.changes, "states", states.one_by_one(world.changes.states))
    world.run()
    assert states.passed == 12


def test_a_failure_is_noted_with_the_outcomes_of_one_chunk_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "CHUNK_CHANGES", 5)
    world = world_of(*range(ROWS))
    states = Held()
    monkeypatch.setattr(world.changes, "states", states.one_by_one(world.changes.states))

    with pytest.raises(deaths.Died):
        world.run(on=deaths.before("commit"))
    failing = world.states.head(world.sync).holder
    world.executions.running.add(failing)
    failed = world.fail(world.states.runs(world.sync, 1)[0].run, failing, RuntimeError("broken"))  # type: ignore[arg-type]
    assert (failed["accepted"], failed["in_doubt"], states.passed) == (ROWS, 0, 12)
    assert states.most <= 2


def test_reasons_that_all_differ_are_not_all_counted() -> None:
    def state(number: int) -> ChunkState:
        own = [Outcome(outcome="rejected", reason=f"No person {number}-{each}") for each in range(100)]
        common = [Outcome(outcome="rejected", reason="Not today")] * 2
        return ChunkState(chunk=str(number), token=1, claim="w", deadline=0.0, outcomes=[*common, *own])

    asked = 2 * KNOWN_REASONS // 100
    late = ChunkState(
        chunk="late", token=1, claim="w", deadline=0.0, outcomes=[Outcome(outcome="rejected", reason="b")] * 5
    )
    told = first_reasons([*map(state, range(asked)), late])
    assert told[0] == f"{2 * asked} × Not today"
    assert not any("b" in reason.split(" × ") for reason in told)


def test_who_steers_debts_counts_them_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    world = owing()
    debts = Held()
    monkeypatch.setattr(world.debts, "debts", debts.one_by_one(world.debts.debts))
    place: Any = SimpleNamespace(debts=world.debts, states=world.states)
    generation = world.head.generation
    assert steering.owed(place, world.sync, [], "") == (None, ROWS, generation)
    assert debts.passed == 0
    only, count, _ = steering.owed(place, world.sync, [], "not today")
    assert (only, count) == (Selection(reason="not today"), ROWS // 3)
    only, count, _ = steering.owed(place, world.sync, ["3", "4"], "not today")
    assert only is not None
    assert (len(only.key_hashes), count) == (2, 1)
    assert debts.most <= 2


def test_debts_that_are_settled_are_paid_once_each_however_often_the_time_runs_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diff, "SETTLED", 7)
    world, paid, commits = owing(), list[str](), list[bool]()
    book, commit = world.debts.book, world.commit

    def slow(sync: str, token: int, put: Sequence[Any], delete: Sequence[str]) -> None:
        paid.extend(delete)
        world.clock.time += 300
        book(sync, token, put, delete)

    def counted(run: str, token: int) -> Any:
        committed = commit(run, token)
        commits.append(committed.done)
        return committed

    monkeypatch.setattr(world.debts, "book", slow)
    monkeypatch.setattr(world, "commit", counted)
    summary = world.steer("discard", because="never")
    assert (summary["owed_after"], world.owed(), commits) == (0, {}, [False, False, True])
    assert len(paid) == len(set(paid)) == ROWS
