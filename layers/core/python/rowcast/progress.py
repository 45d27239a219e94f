"""A chunk's progress as it passes from worker to worker: the one place that says what an earlier claim leaves open."""

from __future__ import annotations

from rowcast.models import Chunk, ChunkState, Run
from rowcast.owing import owed_since
from rowcast.ports import ChangeStore


def state_of(changes: ChangeStore, run: Run, chunk: str) -> ChunkState | None:
    """The chunk's state as it is stored now; None before its first claim."""
    return next(iter(changes.states(run.sync, run.run, chunk)), None)


def taken_over(
    before: ChunkState | None, run: Run, chunk: Chunk, *, token: int, claim: str, deadline: float, now: float
) -> ChunkState:
    """The state under a new claim.

    What an earlier worker claimed and did not record may have been sent, unless it paused between calls; and so may
    everything of a run so old that its states may be gone.
    """
    size = len(chunk.changes)
    outcomes = before.outcomes if before is not None and before.outcomes else [None] * size
    forgotten = before is None and run.outlived_its_chunks(now)
    doubted = before.doubted if before is not None and before.doubted else [forgotten] * size
    if before is not None and not before.paused:
        doubted = [doubt or outcome is None for doubt, outcome in zip(doubted, outcomes, strict=True)]
    return ChunkState(
        chunk=chunk.id,
        token=token,
        claim=claim,
        deadline=deadline,
        answered=before is not None and before.answered,
        owed=sum(change.debt is not None for change in chunk.changes),
        outcomes=list(outcomes),
        doubted=list(doubted),
        attempts=dict(before.attempts) if before is not None else {},
    )


def count_debts(state: ChunkState, run: Run, chunk: Chunk) -> None:
    """Notes in the state how many debts its outcomes pay, and since when the rest are owed."""
    state.paid = sum(
        change.debt is not None and outcome is not None and outcome.outcome == "accepted"
        for change, outcome in zip(chunk.changes, state.outcomes, strict=True)
    )
    state.owed_since = owed_since(chunk.changes, state.outcomes, run.run)
