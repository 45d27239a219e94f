"""The sync's lock: who may write, and how each step makes sure of it."""

from __future__ import annotations

from rowcast.errors import LockLost
from rowcast.models import Head, Run
from rowcast.ports import StateStore


def held(states: StateStore, sync: str, run: str, token: int) -> tuple[Head, Run]:
    """The head and the open run, read consistently. Raises LockLost unless `token` holds the lock for that run."""
    head = states.head(sync)
    if head.token != token or head.open_run != run:
        raise LockLost(f"Run {run} of {sync} no longer holds the lock: a later start has taken over.")
    record = states.run(sync, run)
    if record is None:
        raise LockLost(f"Run {run} of {sync} has no record.")
    return head, record
