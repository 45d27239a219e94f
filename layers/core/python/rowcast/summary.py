"""The accounting of a run, as every place that shows it has it (I9)."""

from __future__ import annotations

from typing import Any

from rowcast.models import Run


def summarize(run: Run, status: str | None = None) -> dict[str, Any]:
    """A run as one flat record of counts and names; holds no row value. `seconds` is None while it runs."""
    seconds = None if run.ended_at is None else round(run.ended_at - run.started_at, 3)
    return {
        "run": run.run,
        "sync": run.sync,
        "status": status or run.status,
        "rows": run.rows,
        "added": run.added,
        "changed": run.changed,
        "removed": run.removed,
        "skipped": run.skipped,
        "accepted": run.accepted,
        "rejected": run.rejected,
        "in_doubt": run.in_doubt,
        "owed_before": run.owed_before,
        "owed_after": run.owed_after,
        "seconds": seconds,
        "reason": run.reason,
        "columns_added": run.columns_added,
        "columns_dropped": run.columns_dropped,
    }
