"""fan out: send one chunk's messages and record what became of each, whatever happens on the way.

A chunk is claimed before its first call. A claim that another worker left behind means that anything of the chunk may
have been sent: its changes are sent again with the same ids and bytes, and one that is then rejected stays in doubt.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from rowcast.definition import Definition
from rowcast.errors import DestinationRefused, MessageInvalid
from rowcast.lock import held
from rowcast.masking import masked_result
from rowcast.models import Change, Chunk, ChunkState, Deployment, Outcome, OutcomeName, Run, short_hash
from rowcast.ports import (
    Budget,
    CallRecord,
    CallResult,
    CallStore,
    ChangeStore,
    Clock,
    DefinitionStore,
    Destination,
    MessageToSend,
    Pace,
    Render,
    StateStore,
    Verdict,
)
from rowcast.progress import count_debts, taken_over

PAUSE_SECONDS = 20.0
"""A worker starts no call with less time left than this and half again its slowest call: what it has must be stored."""
SAME_REASON_FLOOR = 100
MAX_BACKOFF_SECONDS = 30.0
MAX_SLOW_SECONDS = 900.0
OVERSLEPT = 0.05
"""The part of a window by which a call may come later than its time."""


class FanningOut(msgspec.Struct, kw_only=True):
    """What fan out needs. `claim` names this worker's attempt, never used before."""

    states: StateStore
    definitions: DefinitionStore
    changes: ChangeStore
    calls: CallStore
    destination: Callable[[Definition, Deployment], Destination]
    render: Callable[[Definition, Run], Render]
    pace: Callable[[Definition], Pace]
    clock: Clock
    budget: Budget
    claim: str
    jitter: random.Random


def fan_out_run(sync: str, name: str, token: int, chunk: str, needs: FanningOut) -> bool:
    """Sends one chunk; False when the time ran out between calls and it must be called again.

    Raises LockLost, having recorded nothing, when the run is no longer ours.
    """
    _, run = held(needs.states, sync, name, token)
    definition = needs.definitions.pinned(sync, run.definition)
    sending = Sending(
        definition=definition,
        states=needs.states,
        changes=needs.changes,
        calls=needs.calls,
        destination=needs.destination(definition, needs.definitions.deployment(sync)),
        render=needs.render(definition, run),
        pace=needs.pace(definition),
        clock=needs.clock,
        budget=needs.budget,
        claim=needs.claim,
        jitter=needs.jitter,
    )
    return send_chunk(run, token, chunk, sending)


class Sending(msgspec.Struct, kw_only=True):
    """What sending one chunk needs."""

    definition: Definition
    states: StateStore
    changes: ChangeStore
    calls: CallStore
    destination: Destination
    render: Render
    pace: Pace
    clock: Clock
    budget: Budget
    claim: str
    jitter: random.Random


def send_chunk(run: Run, token: int, chunk_id: str, needs: Sending) -> bool:
    """Sends what the chunk still owes and records it; False when something is left for a further call."""
    deadline = needs.clock.now() + needs.budget.seconds_left()
    before = needs.changes.claim(run.sync, run.run, chunk_id, token, needs.claim, deadline)
    if before is not None and before.done:
        return True
    _outlive(before, token, needs)
    chunk = needs.changes.chunk(run.sync, run.run, chunk_id)
    now = needs.clock.now()
    state = taken_over(before, run, chunk, token=token, claim=needs.claim, deadline=deadline, now=now)
    worker = _Worker(run, chunk, state, needs)
    worker.work(token)
    return worker.state.done


def _outlive(before: ChunkState | None, token: int, needs: Sending) -> None:
    """Waits until a worker of an earlier lock holder can't send any more, so that no older state follows ours (I4)."""
    if before is not None and before.token != token and not before.paused:
        needs.clock.sleep(max(0.0, before.deadline - needs.clock.now()))


class _Worker:
    """One worker's passage through a chunk: rounds of calls until every change has its outcome or time runs out."""

    def __init__(self, run: Run, chunk: Chunk, state: ChunkState, needs: Sending) -> None:
        self.run = run
        self.chunk = chunk
        self.state = state
        self.needs = needs
        self.records: list[CallRecord] = []
        self.attempts = [0] * len(chunk.changes)
        self.position = {change.id: index for index, change in enumerate(chunk.changes)}
        self.stopped = run.stopped
        self.slowest = 0.0
        self.paused = False

    def work(self, token: int) -> None:
        messages = self._messages()
        last = self.needs.definition.retry.immediate + 1
        for attempt in range(1, last + 1):
            if not messages or self.stopped or self.paused:
                break
            if attempt > 1:
                self.needs.clock.sleep(self._backoff(attempt))
            messages = self._round(messages, attempt, final=attempt == last)
        if self.stopped:
            self._leave_unsent()
        self._store(token)

    def _messages(self) -> list[MessageToSend]:
        """The messages still to send; a row of which none can be made is rejected here and costs no other row."""
        messages = []
        for index, change in enumerate(self.chunk.changes):
            if self.state.outcomes[index] is None and not self.stopped:
                try:
                    body = self.needs.render(change)
                except MessageInvalid as error:
                    self._settle(change, Verdict(kind="refused", reason=str(error)), final=True)
                else:
                    messages.append(self._message(change, body))
        return messages

    def _message(self, change: Change, body: bytes) -> MessageToSend:
        return MessageToSend(change=change, body=body, time=self.run.started_at, sync=self.run.sync, run=self.run.run)

    def _backoff(self, attempt: int) -> float:
        """Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"""
        most = min(MAX_BACKOFF_SECONDS, self.needs.definition.retry.backoff_seconds * 2 ** (attempt - 2))
        return self.needs.jitter.uniform(0, most)

    def _round(self, messages: Sequence[MessageToSend], attempt: int, *, final: bool) -> list[MessageToSend]:
        """Sends each message once; answers those that are worth another attempt."""
        batches, oversized = self.needs.destination.batches(messages)
        for message, reason in oversized:
            self._settle(message.change, Verdict(kind="refused", reason=reason), final=True)
        again: list[MessageToSend] = []
        with ThreadPoolExecutor(self.needs.definition.limits.calls_per_worker) as pool:
            numbered = [(batch, f"{self.chunk.id}-{attempt}-{number}") for number, batch in enumerate(batches)]
            for batch, result in pool.map(lambda item: (item[0], self._call(item[0], item[1], attempt)), numbered):
                if result is not None:
                    again += self._take(batch, result, final=final)
        return again

    def _call(self, batch: Sequence[MessageToSend], call: str, attempt: int) -> CallResult | None:
        """One call, recorded; None when it was not made, since the run stopped or the time is short."""
        if self.stopped or self._short_of_time():
            return None
        if not self._turn(len(batch)):
            return None
        started = self.needs.clock.now()
        for message in batch:
            self.attempts[self.position[message.change.id]] += 1
        try:
            answered = self.needs.destination.send(batch, f"{self.run.run}-{call}", attempt)
            result = masked_result(answered, batch, self.needs.definition.mask, self.needs.render)
        except DestinationRefused as error:
            self.stopped = self.stopped or str(error)
            result = CallResult(verdicts=[], request=None, reply=None, error=str(error))
        self._record(batch, call, attempt, started, result)
        self._slow(result, attempt)
        return result

    def _turn(self, count: int) -> bool:
        """Waits for the right to send. It is taken no longer than a window ahead, so that with a worker that dies no
        more is lost; one that was overslept is given up.

        False when it comes too late for this worker, which then waits all its time, so that it is not called again at
        once for nothing.
        """
        rate = self.needs.definition.limits.rate
        ahead = rate.seconds if rate is not None else math.inf
        while True:
            most = max(0.0, self._time_for_waiting())
            wait = self.needs.pace.reserve(count, min(most, ahead))
            if wait <= min(most, ahead):
                due = self.needs.clock.now() + wait
                self.needs.clock.sleep(wait)
                if self.needs.clock.now() - due <= OVERSLEPT * ahead:
                    return True
                continue
            if wait > most:
                self.paused = True
                self.needs.clock.sleep(most)
                return False
            self.needs.clock.sleep(wait - ahead)

    def _slow(self, result: CallResult, attempt: int) -> None:
        """Slows all who share the pace when the destination asks for it, by name or by refusing."""
        asked = [verdict.slow for verdict in result.verdicts if verdict.slow is not None]
        if asked:
            seconds = max(asked) or self.needs.definition.retry.backoff_seconds * 2 ** (attempt - 1)
            self.needs.pace.slow(min(MAX_SLOW_SECONDS, seconds))

    def _short_of_time(self) -> bool:
        self.paused = self.paused or self._time_for_waiting() < 0
        return self.paused

    def _time_for_waiting(self) -> float:
        return self.needs.budget.seconds_left() - PAUSE_SECONDS - 1.5 * self.slowest

    def _record(
        self, batch: Sequence[MessageToSend], call: str, attempt: int, started: float, result: CallResult
    ) -> None:
        seconds = self.needs.clock.now() - started
        self.slowest = max(self.slowest, seconds)
        self.records.append(
            CallRecord(
                sync=self.run.sync,
                run=self.run.run,
                chunk=self.chunk.id,
                call=call,
                attempt=attempt,
                started_at=started,
                seconds=seconds,
                request=result.request,
                reply=result.reply,
                error=result.error,
                change_ids=[message.change.id for message in batch],
                keys=[message.change.key for message in batch],
                outcomes=[verdict.kind for verdict in result.verdicts],
            )
        )

    def _take(self, batch: Sequence[MessageToSend], result: CallResult, *, final: bool) -> list[MessageToSend]:
        again = []
        for message, verdict in zip(batch, result.verdicts, strict=bool(result.verdicts)):
            if not self._settle(message.change, verdict, final=final):
                again.append(message)
        return again

    def _settle(self, change: Change, verdict: Verdict, *, final: bool) -> bool:
        """Notes what a call said of a change; whether that is its outcome. Only an acceptance ends a doubt."""
        index = self.position[change.id]
        if verdict.kind == "in_doubt":
            self.state.doubted[index] = True
        if verdict.kind not in ("accepted", "refused") and not final:
            return False
        name: OutcomeName = "in_doubt" if self.state.doubted[index] else "rejected"
        if verdict.kind == "accepted":
            name = "accepted"
        self.state.outcomes[index] = Outcome(outcome=name, reason=verdict.reason, attempts=self.attempts[index])
        return True

    def _leave_unsent(self) -> None:
        for index, change in enumerate(self.chunk.changes):
            if self.state.outcomes[index] is None:
                self._settle(change, Verdict(kind="refused", reason=f"not sent: {self.stopped}"), final=True)

    def _store(self, token: int) -> None:
        """Call records first, then the outcomes, then what the run's other workers must know."""
        if self.records:
            self.needs.calls.put(self.run.sync, self.run.run, self.chunk.id, self.needs.claim, self.records)
        outcomes = self.state.outcomes
        self.state.done = all(outcome is not None for outcome in outcomes)
        self.state.paused = not self.state.done
        count_debts(self.state, self.run, self.chunk)
        self.needs.changes.record(self.run.sync, self.run.run, self.state)
        if self.stopped and not self.run.stopped:
            self.needs.states.stop(self.run.sync, self.run.run, token, self.stopped)
        elif not self.stopped:
            self._watch_rejections(token)

    def _watch_rejections(self, token: int) -> None:
        """Stops the run when too large a share of it is rejected for one same reason (design.md §7)."""
        reasons: dict[str, int] = {}
        for index, outcome in enumerate(self.state.outcomes):
            if outcome is not None and outcome.outcome == "rejected" and self.attempts[index]:
                name = short_hash(outcome.reason)
                reasons[name] = reasons.get(name, 0) + 1
        if not reasons:
            return
        totals = self.needs.states.add_rejections(self.run.sync, self.run.run, token, reasons)
        share = self.needs.definition.guard.max_rejected
        changes = self.run.added + self.run.changed + self.run.removed
        most = max(totals.values(), default=0)
        if most >= SAME_REASON_FLOOR and most > share * changes:
            reason = f"more than {share:.0%} of the {changes} changes were rejected for one same reason"
            self.needs.states.stop(self.run.sync, self.run.run, token, reason)
