"""What runs left behind, as records: details of one run, and the rows that a sync owes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from rowcast.models import Debt, Run
from rowcast.summary import summarize
from workbench.deployment import Place
from workbench.keys import FIRST, LAST, shown
from workbench.local.arrivals import iso


def of_run(place: Place, syncs: Iterable[str], run: str) -> list[dict[str, Any]]:
    """The run's details; one record for each sync that has a run of this name."""
    found = [(sync, place.states.run(sync, run)) for sync in syncs]
    return [_details(place, one) for _, one in found if one is not None]


def _details(place: Place, run: Run) -> dict[str, Any]:
    reasons: Counter[tuple[str, str]] = Counter()
    attempts = 0
    for state in place.changes.states(run.sync, run.run):
        for outcome in state.outcomes:
            attempts += outcome.attempts if outcome else 0
            if outcome and outcome.outcome != "accepted":
                reasons[outcome.outcome, outcome.reason] += 1
    return {
        **summarize(run),
        "phase": run.phase,
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at) if run.ended_at else None,
        "generation": run.generation,
        "partitions_diffed": run.partitions_to_diff,
        "chunks": run.chunks,
        "attempts": attempts,
        "stopped": run.stopped,
        "execution": run.execution,
        "reasons": [
            {"outcome": outcome, "reason": reason, "rows": rows} for (outcome, reason), rows in reasons.most_common()
        ],
    }


def rejects(place: Place, sync: str) -> Iterator[dict[str, Any]]:
    """The rows that the sync owes. `key` is the value of the key's column; a list where the key has several."""
    if place.was_renamed(sync):  # they went along
        return
    for debt in place.debts.debts(sync, FIRST, LAST):
        yield {
            "key": shown(debt.key),
            "operation": debt.operation,
            "reason": debt.reason,
            "outcome": "in_doubt" if debt.in_doubt else "rejected",
            "kind": _kind(debt),
            "attempts": debt.attempts,
            "first_run": debt.first_run,
            "last_run": debt.last_run,
        }


def _kind(debt: Debt) -> str:
    """`invalid`: no message could be made; `unsent`: sending stopped before its turn."""
    if debt.reason.startswith("not sent: "):
        return "unsent"
    if not debt.tried:
        return "invalid"
    return "in_doubt" if debt.in_doubt else "rejected"
