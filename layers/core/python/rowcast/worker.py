"""A worker's passage through a chunk: rounds of calls until every change has its outcome or time runs out."""

from __future__ import annotations

from collections.abc import Sequence

from rowcast import in_flight
from rowcast.calling import Calls
from rowcast.delivering import Sending
from rowcast.errors import LockLost, MessageInvalid
from rowcast.models import Change, Chunk, ChunkState, Outcome, OutcomeName, Run, short_hash
from rowcast.ports import CallResult, MessageToSend, Verdict
from rowcast.progress import count_debts, state_of

SAME_REASON_FLOOR = 100
MAX_BACKOFF_SECONDS = 30.0


class Worker:
    def __init__(self, run: Run, chunk: Chunk, state: ChunkState, needs: Sending) -> None:
        self.run = run
        self.chunk = chunk
        self.state = state
        self.needs = needs
        self.under_way = needs.under_way
        self.calls = Calls(run, chunk.id, needs)
        self.position = {change.id: index for index, change in enumerate(chunk.changes)}

    async def work(self, token: int) -> None:
        messages = self._messages()
        while messages and not (self.under_way.stopped or self.under_way.paused):
            messages = await self._round(messages)
        if self.under_way.stopped:
            self._leave_unsent()
        await in_flight.in_thread(self._store, token)

    def _messages(self) -> list[MessageToSend]:
        """The messages still to send; a row of which none can be made is rejected here and costs no other row."""
        messages = []
        for index, change in enumerate(self.chunk.changes):
            if self.state.outcomes[index] is None and not self.under_way.stopped:
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

    def _check_claim(self) -> None:
        """Raises LockLost where a repeat of this worker has taken the chunk over meanwhile: the run may be over, and a
        later one may have sent newer rows (I4)."""
        state = state_of(self.needs.changes, self.run, self.chunk.id)
        if state is not None and state.claim != self.needs.claim:
            raise LockLost(f"Another worker claimed chunk {self.chunk.id} of {self.run.sync}.")

    async def _round(self, messages: Sequence[MessageToSend]) -> list[MessageToSend]:
        """Sends those that were sent least often once: first those that a pause left behind. Answers all that are worth
        another attempt."""
        sends = [self._sends(message.change) for message in messages]
        attempt = min(sends) + 1
        if attempt > 1:
            await self.needs.clock.wait(self._backoff(attempt))
            await in_flight.in_thread(self._check_claim)
        due = [message for message, sent in zip(messages, sends, strict=True) if sent < attempt]
        again = [message for message, sent in zip(messages, sends, strict=True) if sent >= attempt]
        batches, oversized = self.needs.destination.batches(due)
        for message, reason in oversized:
            self._settle(message.change, Verdict(kind="refused", reason=reason), final=True)

        async def call(batch: list[MessageToSend]) -> CallResult | None:
            return await self.calls.call(batch, self._call_name(batch, attempt), attempt)

        self.under_way.expect(len(batches))
        results = await in_flight.each(call, batches, len(batches))
        final = attempt > self.needs.definition.retry.immediate
        for batch, result in zip(batches, results, strict=True):
            if result is not None:
                again += self._take(batch, result, final=final)
        return again

    def _sends(self, change: Change) -> int:
        """Under this claim and those before it."""
        return self.state.attempts.get(self.position[change.id], 0) + self.calls.attempts[change.id]

    def _call_name(self, batch: Sequence[MessageToSend], attempt: int) -> str:
        """By what it carries: the same name under another claim means the same attempt at the same changes."""
        return f"{self.chunk.id}-{attempt}-{short_hash(*(message.change.id for message in batch))[:8]}"

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
        self.state.outcomes[index] = Outcome(outcome=name, reason=verdict.reason, attempts=self._sends(change))
        return True

    def _leave_unsent(self) -> None:
        for index, change in enumerate(self.chunk.changes):
            if self.state.outcomes[index] is None:
                self._settle(change, Verdict(kind="refused", reason=f"not sent: {self.under_way.stopped}"), final=True)

    def _store(self, token: int) -> None:
        """Call records first, then the outcomes, then what the run's other workers must know."""
        if self.calls.records:
            self.needs.calls.put(self.run.sync, self.run.run, self.chunk.id, self.needs.claim, self.calls.records)
        outcomes = self.state.outcomes
        self.state.answered = self.state.answered or any(record.outcomes for record in self.calls.records)
        self.state.done = all(outcome is not None for outcome in outcomes)
        self.state.paused = not self.state.done
        self.state.attempts = self._attempts()
        count_debts(self.state, self.run, self.chunk)
        self.needs.changes.record(self.run.sync, self.run.run, self.state)
        if self.under_way.stopped and not self.run.stopped:
            self.needs.states.stop(self.run.sync, self.run.run, token, self.under_way.stopped)
        elif not self.under_way.stopped:
            self._watch_rejections(token)

    def _attempts(self) -> dict[int, int]:
        """Of what has no outcome yet: the next claim goes on from there."""
        changes = zip(self.chunk.changes, self.state.outcomes, strict=True)
        sends = [self._sends(change) if outcome is None else 0 for change, outcome in changes]
        return {index: count for index, count in enumerate(sends) if count}

    def _watch_rejections(self, token: int) -> None:
        """Stops the run when too large a share of it is rejected for one same reason (design.md §7)."""
        reasons: dict[str, int] = {}
        for change, outcome in zip(self.chunk.changes, self.state.outcomes, strict=True):
            if outcome is not None and outcome.outcome == "rejected" and self.calls.attempts[change.id]:
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
            self.under_way.stopped = reason
