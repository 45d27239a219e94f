"""The accounting of a run, as every place that shows it has it (I9)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rowcast.models import Run

UNSENT = ("held", "planned", "abandoned")
"""How a run ends that sends nothing of what it found."""


def summarize(run: Run, status: str | None = None) -> dict[str, Any]:
    """A run as one record of counts and names; holds no row value. What is not known (yet) is None.

    A run that was held or only planned found changes and sent none of them: `found` tells them, and the counts that add
    up to outcomes are zero.
    """
    found = {"added": run.added, "changed": run.changed, "removed": run.removed}
    sent = found if run.status not in UNSENT else dict.fromkeys(found, 0)
    return {
        "run": run.run,
        "sync": run.sync,
        "status": status or run.status,
        "rows": run.rows,
        **sent,
        "found": found,
        "skipped": run.skipped,
        "accepted": run.accepted,
        "rejected": run.rejected,
        "in_doubt": run.in_doubt,
        "owed_before": run.owed_before,
        "owed_after": run.owed_after,
        "oldest_debt_seconds": _between(_time(run.owed_since), run.ended_at) if run.owed_after else None,
        "seconds": _between(run.started_at, run.ended_at),
        "snapshot_seconds": _between(run.started_at, run.snapshot_at),
        "diff_seconds": _between(run.snapshot_at, run.sealed_at),
        "fan_out_seconds": _between(run.sealed_at, run.ended_at),
        "reason": run.reason,
        "mode": run.mode,
        "requested_by": run.requested_by,
        "because": run.because,
        "decides": run.decides,
        "left_out": run.left_out,
        "columns_added": run.columns_added,
        "columns_dropped": run.columns_dropped,
    }


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 3)


def _time(run: str) -> float | None:
    """When a run was due: its name says so."""
    try:
        return datetime.strptime(run, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
