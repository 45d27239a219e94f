"""commit: write what is owed, then move the baseline forward, once.

Everything before the last transaction may be repeated: debts and notices are derived from the chunks' outcomes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec

from rowcast.errors import RunFailed
from rowcast.lock import held
from rowcast.models import (
    Change,
    Chunk,
    ChunkState,
    Debt,
    Deployment,
    Head,
    Manifest,
    Notice,
    Outcome,
    PartitionResult,
    Run,
)
from rowcast.open import Closing, abandon
from rowcast.ports import Budget, ChangeStore, DebtStore, DefinitionStore, RetryQueue
from rowcast.progress import count_debts, taken_over
from rowcast.summary import summarize

PAUSE_SECONDS = 60.0
LONGEST_WORK = 900.0
"""Of any worker: Lambda ends an invocation then."""
NOT_SENT = "not sent: the worker that should have sent it failed"
NOT_TRIED_AGAIN = "not accepted, and the worker that should have tried it again failed"
LOST = "the worker that sent it failed before it could say what became of it"


class Committed(msgspec.Struct, kw_only=True):
    """`done` False: the time ran short, call again. `again`: an earlier run was finished; this start's own is next."""

    done: bool
    again: bool = False
    status: str = ""
    summary: dict[str, Any] = {}


class Committing(Closing, kw_only=True):
    """What commit needs. `keep`: how many committed snapshots stay."""

    definitions: DefinitionStore
    changes: ChangeStore
    debts: DebtStore
    queue: Callable[[Deployment], RetryQueue]
    budget: Budget
    claim: str
    keep: int = 3


class _Tally(msgspec.Struct):
    accepted: int = 0
    rejected: int = 0
    in_doubt: int = 0
    owed: int = 0
    paid: int = 0
    owed_since: str = ""
    answered: bool = False
    unbooked: int = 0

    def add(self, state: ChunkState) -> None:
        for outcome in state.outcomes:
            assert outcome is not None
            setattr(self, outcome.outcome, getattr(self, outcome.outcome) + 1)
        self.owed += state.owed
        self.paid += state.paid
        self.answered = self.answered or state.answered
        self.unbooked += _is_to_book(state)
        self.owed_since = min(filter(None, (self.owed_since, state.owed_since)), default="")

    @property
    def new_debts(self) -> int:
        return self.rejected + self.in_doubt - (self.owed - self.paid)


def commit_run(sync: str, name: str, token: int, needs: Committing) -> Committed:
    """Books the debts of every chunk and moves the head to the next generation with this run's snapshot.

    When the run was stopped before anything was accepted or may have been, the baseline stays where it is instead: the
    next run finds the same changes again. Not those of a run that doubts the target: they are owed.
    """
    head, run = _at_commit(sync, name, token, needs)
    again = head.holder is not None and head.holder != run.execution
    if run.phase == "committed":
        return _end(run, head, token, again, needs)
    if run.phase != "sealed" or run.manifest is None:
        raise RunFailed(f"Run {run.run} has no closed change set to commit.")
    results = needs.changes.results(run.sync, run.run) if run.partitions_to_diff else []
    tally = _Tally()
    for state in _states(run, results, token, needs):
        if state is None:
            return Committed(done=False)
        tally.add(state)
    counted = _counted(run, tally, results, needs)
    if counted.stopped and not tally.accepted and not tally.in_doubt and not run.doubts_target:
        return _closed(counted, head, token, again, tally.answered, needs)
    if not _settle(run, results, token, needs) or not _book(run, tally, results, token, needs):
        return Committed(done=False)
    return _committed(counted, head, token, again, needs)


def _at_commit(sync: str, name: str, token: int, needs: Committing) -> tuple[Head, Run]:
    """As `held`, but a commit whose answer was lost finds its run closed already."""
    head = needs.states.head(sync)
    run = needs.states.run(sync, name)
    if head.token == token and head.open_run is None and run is not None and run.phase == "committed":
        return head, run
    return held(needs.states, sync, name, token)


def _states(run: Run, results: list[PartitionResult], token: int, needs: Committing) -> Iterator[ChunkState | None]:
    """As `_finished` answers it of every chunk, in order. They come one by one: all of a large run do not fit into
    memory."""
    stored = needs.changes.states(run.sync, run.run) if run.chunks else iter(())
    state = next(stored, None)
    for chunk in (chunk for result in results for chunk in result.chunks):
        while state is not None and state.chunk < chunk:
            state = next(stored, None)
        known = state if state is not None and state.chunk == chunk else None
        yield _finished(chunk, known, run, token, needs)


def _finished(name: str, state: ChunkState | None, run: Run, token: int, needs: Committing) -> ChunkState | None:
    """The chunk's outcomes, complete: what no worker recorded is in doubt if it was claimed, else surely not sent. None
    while a worker may still send of it and the time does not do for waiting: an older state would follow a newer one
    that the next run sends (I4)."""
    if state is not None and state.done:
        return state
    if not _outlived(state, needs):
        return None
    chunk = needs.changes.chunk(run.sync, run.run, name)
    until = needs.clock.now() + LONGEST_WORK  # who takes over from a commit that died here waits for whom it waited
    before = needs.changes.claim(run.sync, run.run, name, token, needs.claim, until)
    if before is not None and before.done:
        return before
    if not _outlived(before, needs):
        return None
    now = needs.clock.now()
    finished = taken_over(before, run, chunk, token=token, claim=needs.claim, deadline=now, now=now)
    finished.done = True
    finished.outcomes = [
        outcome or (_lost() if doubt else _left(finished.attempts.get(index, 0)))
        for index, (outcome, doubt) in enumerate(zip(finished.outcomes, finished.doubted, strict=True))
    ]
    count_debts(finished, run, chunk)
    needs.changes.record(run.sync, run.run, finished)
    return finished


def _outlived(before: ChunkState | None, needs: Committing) -> bool:
    """Whether who claimed a chunk can send no more, after a wait as far as the time does."""
    left = 0.0 if before is None or before.paused else before.deadline - needs.clock.now()
    waiting = min(left, needs.budget.seconds_left() - PAUSE_SECONDS)
    if waiting > 0:
        needs.clock.sleep(waiting)
    return waiting >= left


def _left(attempts: int) -> Outcome:
    return Outcome(outcome="rejected", reason=NOT_TRIED_AGAIN if attempts else NOT_SENT, attempts=attempts)


def _lost() -> Outcome:
    return Outcome(outcome="in_doubt", reason=LOST, attempts=1)


def _counted(run: Run, tally: _Tally, results: list[PartitionResult], needs: Committing) -> Run:
    settled = sum(result.settled for result in results)
    since = filter(None, [tally.owed_since, *(result.left_since for result in results)])
    return msgspec.structs.replace(
        run,
        accepted=tally.accepted,
        rejected=tally.rejected,
        in_doubt=tally.in_doubt,
        owed_after=run.owed_before + tally.new_debts - tally.paid - settled,
        owed_since=min(since, default=""),
        ended_at=needs.clock.now(),
    )


def _closed(run: Run, head: Head, token: int, again: bool, answered: bool, needs: Committing) -> Committed:
    """A target that saw changes and refused them must not be shown the same change ids with another run's messages: the
    next run's ids come from the next generation, though the baseline is the same (I5)."""
    reason = f"Nothing was accepted: {run.stopped} The next run finds the same changes again."
    unpaid = msgspec.structs.replace(run, owed_after=run.owed_before, owed_since=head.owed_since)
    if not answered:
        ended = abandon(unpaid, token, "failed", reason, needs)
        return _end(ended, head, token, again, needs)
    moved = msgspec.structs.replace(head, generation=run.generation + 1, open_run=None, held=None)
    ended = msgspec.structs.replace(unpaid, manifest=head.manifest, phase="committed", status="failed", reason=reason)
    needs.states.commit(moved, ended, token)
    for unused in filter(None, (run.run, head.held)):
        needs.snapshots.delete_run(head.sync, unused)
    return _end(ended, head, token, again, needs)


def _committed(run: Run, head: Head, token: int, again: bool, needs: Committing) -> Committed:
    assert run.manifest is not None
    kept = head.history if head.manifest == run.manifest else [run.manifest, *head.history][: needs.keep]
    evicted = [key for key in head.history if key not in kept]
    moved = msgspec.structs.replace(
        head,
        generation=run.generation + 1,
        history=kept,
        owed=run.owed_after,
        owed_since=run.owed_since,
        open_run=None,
        held=None,
    )
    ended = msgspec.structs.replace(
        run, phase="committed", status="failed" if run.stopped else "completed", reason=run.stopped
    )
    needs.states.commit(moved, ended, token)
    _forget(evicted, kept, needs)
    if head.held and head.held != run.decides:
        needs.snapshots.delete_run(head.sync, head.held)
    return _end(ended, head, token, again, needs)


def _end(run: Run, head: Head, token: int, again: bool, needs: Committing) -> Committed:
    if not again:
        needs.states.release_lock(head.sync, token)
    return Committed(done=True, again=again, status=run.status, summary=summarize(run))


def _forget(evicted: list[str], kept: list[str], needs: Committing) -> None:
    """Deletes the files of snapshots that fell out of the history, but for those that a kept snapshot shares."""
    if not evicted:
        return
    alive = {key for manifest in kept for key in _files(needs.snapshots.manifest(manifest))}
    for manifest in evicted:
        needs.snapshots.delete([*(_files(needs.snapshots.manifest(manifest)) - alive), manifest])


def _files(manifest: Manifest) -> set[str]:
    return {key for partition in manifest.partitions for key in partition.files}


# --- debts ------------------------------------------------------------------------------------------------------------


def _is_to_book(state: ChunkState) -> bool:
    """Whether the chunk's outcomes leave debts or pay some, and that is not written yet."""
    accepted = all(outcome is not None and outcome.outcome == "accepted" for outcome in state.outcomes)
    return not state.booked and (state.paid > 0 or not accepted)


def _settle(run: Run, results: list[PartitionResult], token: int, needs: Committing) -> bool:
    """Pays the debts for which nothing is owed any more. False when the time ran short: how far it came is noted."""
    chunks = [chunk for result in results for chunk in result.settled_chunks]
    first = 0 if run.outlived_its_chunks(needs.clock.now()) else run.settled_booked  # chunks made again are others
    for number, chunk in enumerate(chunks[first:], first):
        if needs.budget.seconds_left() < PAUSE_SECONDS:
            needs.states.save(msgspec.structs.replace(run, settled_booked=number), token)
            return False
        needs.debts.book(run.sync, token, [], needs.changes.chunk(run.sync, run.run, chunk).settled)
    return True


def _book(run: Run, tally: _Tally, results: list[PartitionResult], token: int, needs: Committing) -> bool:
    """Writes and pays debts, then tells the retry queue. False when the time ran short: what is booked is marked."""
    queue = cache(lambda: needs.queue(needs.definitions.deployment(run.sync)))
    for state in _states(run, results, token, needs) if tally.unbooked else ():  # read again, not kept
        if state is None:
            return False
        if not _is_to_book(state):
            continue
        if needs.budget.seconds_left() < PAUSE_SECONDS:
            return False
        _book_chunk(needs.changes.chunk(run.sync, run.run, state.chunk), state, run, token, queue, needs)
    return True


def _book_chunk(
    chunk: Chunk, state: ChunkState, run: Run, token: int, queue: Callable[[], RetryQueue], needs: Committing
) -> None:
    owed: list[Debt] = []
    paid: list[str] = []
    for change, outcome in zip(chunk.changes, state.outcomes, strict=True):
        assert outcome is not None
        if outcome.outcome != "accepted":
            owed.append(debt_of(change, outcome, run))
        elif change.debt is not None:
            paid.append(change.key_hash)
    needs.debts.book(run.sync, token, owed, paid)
    if owed:
        hashes = [debt.key_hash for debt in owed]
        queue().send([Notice(sync=run.sync, run=run.run, chunk=chunk.id, key_hashes=hashes)])
    needs.changes.mark_booked(run.sync, run.run, chunk.id)


def debt_of(change: Change, outcome: Outcome, run: Run) -> Debt:
    """What is owed after a change was not accepted; it is measured from the row that was accepted before.

    Who sends rows again doubts what the destination holds: so the row stays owed even where it equals that. A past
    change that is not accepted again is in doubt as if its first send had been.
    """
    origin = change.debt
    return Debt(
        sync=run.sync,
        key_hash=change.key_hash,
        key=change.key,
        operation=change.operation,
        accepted=change.before,
        sent=change.after if change.after is not None else change.last_sent,
        in_doubt=outcome.outcome == "in_doubt" or (origin is not None and origin.in_doubt) or run.doubts_target,
        reason=outcome.reason,
        attempts=outcome.attempts + (origin.attempts if origin else 0),
        tried=outcome.attempts > 0,
        first_run=origin.first_run if origin else run.run,
        last_run=run.run,
    )
