"""What must be true whatever happened: the source's history, what was accepted, what the target holds.

The oracle sees what the source held, what arrived at the target and what was said to it, and judges the ledger by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rowcast.definition import Definition
from rowcast.models import OPERATIONS, Debt, Head, Row, Run

State = Row | None


@dataclass(frozen=True)
class Arrival:
    """One message at the target. `said`: the target answered that it takes it, and the answer left. `replay`: the run
    that sent again what `run` had sent; empty at first."""

    key: Any
    id: str
    row: State
    previous: State
    body: bytes
    run: str
    took_effect: bool
    said: bool
    replay: str = ""


class Violation(AssertionError):
    pass


class Rows(Protocol):
    rows: list[Row]


class Oracle:
    """`accepted`: per key the row that was last said to be taken. `possible`: what a change may be measured from.
    `passed`: keys of which a change was not asked for, so that the target need not hold what the source does."""

    def __init__(self, source: Rows) -> None:
        self._source = source
        self.history: dict[Any, list[State]] = {}
        self.accepted: dict[Any, State] = {}
        self.possible: dict[Any, list[State]] = {}
        self.target: dict[Any, State] = {}
        self.doubted: set[Any] = set()
        self.passed: set[Any] = set()
        self.bodies: dict[str, tuple[Any, bytes]] = {}
        self.ids: dict[str, str] = {}
        self.times: dict[str, int] = {}
        self.doubts: dict[str, int] = {}
        self.replays: dict[str, set[str]] = {}
        self._place: dict[Any, int] = {}
        self._owed: set[Any] = set()
        self._last: dict[Any, Arrival] = {}
        self._seen = 0
        self.generation = 0
        self.looks = 0

    def note(self) -> None:
        """The source changed: call after each change of it."""
        now = {row["id"]: dict(row) for row in self._source.rows}
        for key in {*now, *self.history}:
            states = self.history.setdefault(key, [None])
            if states[-1] != now.get(key):
                states.append(now.get(key))

    def look(
        self,
        head: Head,
        runs: Sequence[Run],
        debts: Sequence[Debt],
        arrivals: Sequence[Arrival],
        snapshots: Mapping[str, list[Row]],
        definition: Definition,
    ) -> None:
        """Judges all that happened since the last look. Raises Violation."""
        self.note()
        self.looks += 1
        known = {run.run: run for run in runs}
        for arrival in arrivals[self._seen :]:
            self._arrived(arrival, known.get(arrival.run))
        self._seen = len(arrivals)
        committed = [run for run in runs if run.phase == "committed"]
        self._head(head, runs, committed, debts)
        if head.open_run is None and head.generation > self.generation:
            last = max(committed, key=lambda run: run.generation)
            if not last.came_to_nothing:
                self._settle({row["id"]: row for row in snapshots[last.run]}, debts, definition, last)
        self.generation = head.generation

    # --- what arrived ---

    def _arrived(self, arrival: Arrival, run: Run | None) -> None:
        first = arrival.id not in self.bodies
        key, body = self.bodies.setdefault(arrival.id, (arrival.key, arrival.body))
        _check(key == arrival.key and body == arrival.body, "I5", f"two messages of change {arrival.id} differ")
        change = repr((arrival.key, arrival.previous, arrival.row, run and run.generation))
        known = self.ids.setdefault(change, arrival.id)
        _check(known == arrival.id, "I5", f"one change of key {arrival.key} has the ids {known} and {arrival.id}")
        possible = self.possible.setdefault(arrival.key, [None])
        if run is not None and run.mode == "resync":
            possible.append(None)  # who asked for it doubts all that was accepted
        if first:
            ok = any(same(arrival.previous, state) for state in possible)
            _check(ok, "I3", f"key {arrival.key} goes from {arrival.previous}, and {possible} was accepted")
        self._in_order(arrival)
        if arrival.replay:
            self._replayed(arrival)
        if arrival.took_effect:
            self.target[arrival.key] = arrival.row
            self.times[arrival.id] = self.times.get(arrival.id, 0) + 1
        if arrival.said and arrival.replay:
            self.doubted.discard(arrival.key)  # the ledger has had it for accepted all along
        elif arrival.said:
            self.accepted[arrival.key] = arrival.row
            self.doubted.discard(arrival.key)
            self.passed.discard(arrival.key)
        else:
            if arrival.took_effect:
                self.doubted.add(arrival.key)
            self.doubts[arrival.id] = self.doubts.get(arrival.id, 0) + 1
        if arrival.took_effect:
            possible.append(arrival.row)
        self._last[arrival.key] = arrival

    def _replayed(self, arrival: Arrival) -> None:
        """What is sent again is the last change that was sent of its row."""
        _check(arrival.id in self.bodies, "I5", f"{arrival.id} is sent again and was never sent")
        last = self._last[arrival.key].id
        _check(last == arrival.id, "I4", f"key {arrival.key} is sent {arrival.id} again, after {last}")
        self.replays.setdefault(arrival.id, set()).add(arrival.replay)

    def _in_order(self, arrival: Arrival) -> None:
        """The states sent of a row are states that it had, in the order in which it had them."""
        history = self.history.get(arrival.key, [None])
        place = self._place.get(arrival.key, 0)
        after = next((n for n in range(place, len(history)) if same(history[n], arrival.row)), None)
        _check(after is not None, "I4", f"key {arrival.key} went back to {arrival.row}; it was {history}, at {place}")
        assert after is not None
        self._place[arrival.key] = after

    # --- what the ledger says ---

    def _head(self, head: Head, runs: Sequence[Run], committed: Sequence[Run], debts: Sequence[Debt]) -> None:
        generations = [run.generation + 1 for run in committed]
        _check(sorted(generations) == list(range(1, head.generation + 1)), "I6", f"generations are {generations}")
        for run in committed:
            sent, came = run.added + run.changed + run.removed, run.accepted + run.rejected + run.in_doubt
            _check(sent == came, "I9", f"run {run.run} counts {sent} changes and {came} outcomes")
        if head.open_run is None:
            _check(head.owed == len(debts), "I9", f"the head counts {head.owed} debts, the ledger {len(debts)}")
            last = max(runs, key=lambda run: (run.generation, run.run), default=None) if runs else None
            newest = max(committed, key=lambda run: run.generation, default=None)
            if newest is not None and last is newest:
                _check(newest.owed_after == len(debts), "I9", f"run {newest.run} ends with {newest.owed_after} debts")

    def _settle(self, snapshot: dict[Any, Row], debts: Sequence[Debt], definition: Definition, run: Run) -> None:
        """After a commit: each row is either accepted as the snapshot has it, or owed, or was not asked for."""
        given_up, self._owed = self._owed if run.mode == "discard" else set(), {debt.key[0] for debt in debts}
        owed = {debt.key[0]: debt for debt in debts}
        for key in {*snapshot, *self.history, *owed}:
            possible = self.possible.setdefault(key, [None])
            now, accepted = snapshot.get(key), self.accepted.get(key)
            if key in owed:
                debt = owed[key]
                if (
                    run.mode == "replay" and key in self._last
                ):  # not accepted again: as if it had been in doubt at first
                    possible.append(self._last[key].previous)
                ok = any(same(debt.accepted, state) for state in possible)
                _check(ok, "I3", f"the debt of {key} is measured from {debt.accepted}; accepted was {possible}")
                _check(
                    debt.in_doubt or key not in self.doubted or not self._may_hold(key), "I2", f"{key} lost its doubt"
                )
                self.possible[key] = [debt.accepted, *([debt.sent] if debt.in_doubt else [])]
            else:
                unasked = run.mode == "rebaseline" or key in given_up or self._unasked(accepted, now, definition)
                if unasked and (not same(accepted, now) or key in self.doubted):
                    self.accepted[key] = accepted = now
                    self.passed.add(key)
                if key in self.doubted and _filters(definition):
                    self.passed.add(key)
                _check(same(accepted, now), "I2", f"{key} is {now}, was accepted as {accepted}, and nothing is owed")
                self.possible[key] = [now]
                self.doubted.discard(key)

    def _may_hold(self, key: Any) -> bool:
        """Whether the target holds something else than it said."""
        return not same(self.target.get(key), self.accepted.get(key))

    def _unasked(self, before: State, now: State, definition: Definition) -> bool:
        operation = "added" if before is None else "removed" if now is None else "changed"
        trigger = definition.triggers.of(operation)
        if trigger is None or (definition.initial_sync == "skip" and self.generation == 0):
            return True
        if operation == "changed" and trigger.columns is not None:
            assert before is not None and now is not None
            return all(before.get(name) == now.get(name) for name in trigger.columns)
        return False

    # --- at the end ---

    def converged(self, head: Head, debts: Sequence[Debt]) -> None:
        """Once the target took everything and one run completed."""
        self.note()
        now = {row["id"]: row for row in self._source.rows}
        for key in self.history.keys() - self.passed:
            held = self.target.get(key)
            _check(same(held, now.get(key)), "I1", f"{key} is {now.get(key)}, and the target holds {held}")
        _check(not debts and head.owed == 0, "I2", "debts are left")
        _check(head.open_run is None and head.holder is None, "I8", "a run or a lock is left")

    def repeats(self, faults: int) -> None:
        for change, times in self.times.items():
            most = 1 + faults + self.doubts.get(change, 0) + len(self.replays.get(change, ()))
            _check(times <= most, "I5", f"change {change} took effect {times} times after {faults} faults")


def carry(runs: Sequence[Run], snapshots: dict[str, list[Row]]) -> None:
    """A run that reads nothing, or that came to nothing, goes by an earlier one: completes `snapshots`."""
    by_generation = {run.generation: run.run for run in runs if run.phase == "committed"}
    for run in sorted(runs, key=lambda run: run.generation):
        before = run.decides if run.mode == "approve" else by_generation.get(run.generation - 1, "")
        if run.came_to_nothing:
            snapshots[run.run] = snapshots.get(by_generation.get(run.generation - 1, ""), [])
        elif run.phase == "committed" and run.run not in snapshots and before in snapshots:
            snapshots[run.run] = snapshots[before]


def same(a: State, b: State) -> bool:
    """Equal in the columns that both have."""
    if a is None or b is None:
        return a is b
    return all(a[name] == b[name] for name in a.keys() & b.keys())


def _filters(definition: Definition) -> bool:
    triggers = [definition.triggers.of(operation) for operation in OPERATIONS]
    return any(trigger is None or trigger.columns is not None for trigger in triggers)


def _check(condition: bool, invariant: str, what: str) -> None:
    if not condition:
        raise Violation(f"{invariant}: {what}")
