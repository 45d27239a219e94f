"""Made-up values of a deployment's metrics: a day, or a week, in which a target refused rows for some hours.

They only have to look like what runs measure: the same each time, whole runs, counts that add up.
"""

from __future__ import annotations

from hashlib import sha256

POINTS = 96
SYNCS = ("new-orders", "partner-orders", "prices")
_EVERY = {"new-orders": 1, "partner-orders": 4, "prices": 12}
_ROWS = {"new-orders": 412_000, "partner-orders": 58_000, "prices": 9_400}
_BAD = range(52, 66)
"""When the target of new-orders refuses rows."""


def values(metric: str, whose: str, days: int) -> list[float | None]:
    """POINTS values of one metric of one sync, or of one function; None where nothing was measured."""
    return [_value(metric, whose, number, days) for number in range(POINTS)]


def _value(metric: str, whose: str, number: int, days: int) -> float | None:
    if whose in SYNCS:
        return _of_run(metric, whose, number, days) if number % _EVERY[whose] == 0 else None
    some = _share(whose, number)
    match metric:
        case "Errors":
            return 1.0 if whose == "Publish" and number == 53 else 0.0
        case "Duration":
            return (0.3 + some) * (9_000 if whose.startswith(("Snapshot", "Diff", "Publish")) else 700)
    runs = float(sum(number % every == 0 for every in _EVERY.values()))
    failed = 1.0 if number == 53 else 0.0
    return {"ExecutionsStarted": runs, "ExecutionsSucceeded": runs - failed, "ExecutionsFailed": failed}.get(
        metric, 0.0
    )


def _of_run(metric: str, sync: str, number: int, days: int) -> float:
    bad = sync == "new-orders" and number in _BAD
    scale = _ROWS[sync] / 1000 * days
    added, changed, removed = (round(scale * part * (0.4 + _share(sync, number))) for part in (0.5, 0.9, 0.1))
    changes = added + changed + removed
    rejected = changes // 9 if bad else 0
    owed = (number - _BAD.start + 1) * (changes // 9) if bad else 0
    calls = -(-changes // 10)
    snapshot, diff, sending = _ROWS[sync] / 40_000, _ROWS[sync] / 160_000, changes / 60
    held = 1.0 if sync == "prices" and number == 84 else 0.0
    failed = 1.0 if sync == "new-orders" and number == 53 else 0.0
    known = {
        "Completed": 1.0 - failed - held,
        "Failed": failed,
        "Held": held,
        "Rows": _ROWS[sync] + 20.0 * number * days,
        "Added": added,
        "Changed": changed,
        "Removed": removed,
        "Skipped": 0,
        "Accepted": changes - rejected,
        "Rejected": rejected,
        "InDoubt": rejected // 6,
        "Owed": owed,
        "OldestDebtSeconds": 900.0 * days * (number - _BAD.start + 1) if bad else 0,
        "LateSyncs": 1.0 if number in range(86, 91) else 0.0,
        "LongestOwedSeconds": 900.0 * (number - _BAD.start + 1.7) if bad else 0,
        "Seconds": snapshot + diff + sending + 2,
        "SnapshotSeconds": snapshot,
        "DiffSeconds": diff,
        "FanOutSeconds": sending,
        "Calls": calls,
        "ThrottledCalls": calls // 12 if bad else 0,
        "FailedCalls": calls // 30 if bad else 0,
        "BytesSent": changes * 640,
    }
    return float(known[metric])


def _share(name: str, number: int) -> float:
    """Evenly in [0, 1), the same each time."""
    return int.from_bytes(sha256(f"{name} {number}".encode()).digest()[:4]) / 2**32
