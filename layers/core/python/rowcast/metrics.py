"""What is measured of a run: numbers and names of metrics, never a row's value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from rowcast.alerting import Book, debt_age, is_late
from rowcast.models import to_json
from rowcast.ports import CallRecord

Unit = Literal["Count", "Seconds", "Bytes"]


class Metric(msgspec.Struct, frozen=True):
    name: str
    unit: Unit
    value: float


COUNTS = {
    "Rows": "rows",
    "Added": "added",
    "Changed": "changed",
    "Removed": "removed",
    "Skipped": "skipped",
    "Accepted": "accepted",
    "Rejected": "rejected",
    "InDoubt": "in_doubt",
    "Owed": "owed_after",
}
SECONDS = {
    "Seconds": "seconds",
    "SnapshotSeconds": "snapshot_seconds",
    "DiffSeconds": "diff_seconds",
    "FanOutSeconds": "fan_out_seconds",
}
ENDS = {"Completed": "completed", "Failed": "failed", "Held": "held"}


def of_end(summary: dict[str, Any]) -> list[Metric]:
    """How a run ended, as 1 and 0, so that an average is a share."""
    return [Metric(name, "Count", int(summary.get("status") == status)) for name, status in ENDS.items()]


def of_commit(summary: dict[str, Any]) -> list[Metric]:
    """The accounting of a run, which is known once: at its commit."""
    counts = [Metric(name, "Count", summary[field]) for name, field in COUNTS.items()]
    seconds = [Metric(name, "Seconds", summary[field]) for name, field in SECONDS.items() if summary[field] is not None]
    oldest = Metric("OldestDebtSeconds", "Seconds", summary["oldest_debt_seconds"] or 0)
    return [*of_end(summary), *counts, *seconds, oldest]


def of_look(books: Sequence[Book | None], now: float) -> list[Metric]:
    """What a look at all syncs found. None stands for one that could not be looked at: it counts as late.

    Of the deployment, not of each sync: a metric and an alarm for each would cost more than many a sync does.
    """
    late = sum(book is None or is_late(book) for book in books)
    oldest = max((debt_age(book, now) for book in books if book is not None), default=0.0)
    return [Metric("LateSyncs", "Count", late), Metric("LongestOwedSeconds", "Seconds", oldest)]


def of_calls(records: Sequence[CallRecord]) -> list[Metric]:
    """What one worker asked of the destination. A throttled call is one in which any message was turned away."""
    return [
        Metric("Calls", "Count", len(records)),
        Metric("FailedCalls", "Count", sum(bool(record.error) for record in records)),
        Metric("ThrottledCalls", "Count", sum("throttled" in record.outcomes for record in records)),
        Metric("BytesSent", "Bytes", sum(len(to_json(record.request)) for record in records)),
    ]
