"""When people are told of a sync: one message for each change of an alert's status, recovery included.

Pure: the book of a sync and what has happened give its next book, whose outbox holds the messages to send.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from rowcast.definition import Alerts
from rowcast.models import ChunkState, short_hash

Kind = Literal["failed", "held", "rejected", "slow", "late", "rows", "rows_changed", "unchanged", "debts"]
MOST_CHARACTERS = 500
MOST_REASONS = 3
REASON_CHARACTERS = 100
KNOWN_REASONS = 10_000
"""Where each row has a reason of its own, those beyond the first so many are not counted: memory holds no more."""
_COUNTS = ("rows", "added", "changed", "removed", "accepted", "rejected", "in_doubt", "owed_after")
_COMMANDS = {
    "failed": "run-info {run}",
    "held": "run-info {run}",
    "rejected": "rejects {sync}",
    "debts": "rejects {sync}",
    "test": "alerts list",
}
_RECOVERED: dict[str, str] = {
    "failed": "a run completed again",
    "held": "a run completed again",
    "rejected": "few enough rows are rejected again",
    "slow": "runs are quick enough again",
    "late": "a run completed again",
    "rows": "the number of rows is in its range again",
    "rows_changed": "the number of rows is steady again",
    "unchanged": "rows change again",
    "debts": "no row is owed for too long any more",
    "test": "the test is over",
}


class Alert(msgspec.Struct, kw_only=True):
    """One message. `id` is the same for every copy of it; `key` for all messages of one alert of one sync.

    Holds counts and Rowcast's own words, never a row's value: reasons that a target gives stay where they are, unless
    the sync's rules ask for the first of them.
    """

    version: Literal["1"] = "1"
    id: str
    key: str
    sync: str
    alert: str
    status: Literal["raised", "recovered"]
    severity: str
    channels: list[str]
    since: str
    at: str
    run: str
    title: str
    what: str
    counts: dict[str, int]
    summary: str
    command: str
    text: str


class Status(msgspec.Struct, kw_only=True):
    """`told`: what people know; it lags behind `raised` while alerts are muted. `since`: of what `raised` says."""

    raised: bool
    since: float
    what: str
    told: bool = False


class Book(msgspec.Struct, kw_only=True):
    """What is known of a sync's alerts. `seen_at`: when it was first looked at; from then on a sync can be late.

    `owed`: debts after the last commit, None before one was seen; `owed_since`: of the oldest. Muted until:
    `muted_until` all kinds, `muted_kinds` those it names.
    """

    version: Literal[1] = 1
    sync: str
    seen_at: float
    run: str = ""
    succeeded_at: float | None = None
    changed_at: float | None = None
    rows: int | None = None
    owed: int | None = None
    owed_since: float | None = None
    counts: dict[str, int] = {}
    muted_until: float = 0.0
    muted_kinds: dict[str, float] = {}
    statuses: dict[str, Status] = {}
    outbox: list[Alert] = []


_Finding = tuple[bool, str]


def first_reasons(states: Iterable[ChunkState]) -> list[str]:
    """Why changes were not accepted, the most frequent first, each with how many: a line each, cut in length."""
    counts: Counter[str] = Counter()
    for outcome in (outcome for state in states for outcome in state.outcomes if outcome is not None):
        known = outcome.reason in counts or len(counts) < KNOWN_REASONS
        if outcome.outcome != "accepted" and known:
            counts[outcome.reason] += 1
    most = counts.most_common(MOST_REASONS)
    return [f"{count} × {_short(reason, REASON_CHARACTERS).rstrip('.')}" for reason, count in most]


def judge_run(
    rules: Alerts,
    book: Book | None,
    summary: dict[str, Any],
    deployment: str,
    now: float,
    reasons: Sequence[str] = (),
) -> Book:
    """After a run ended. One that a newer run has overtaken changes nothing. `reasons`: the first, where rules ask."""
    before = book or Book(sync=summary["sync"], seen_at=now)
    if summary["run"] < before.run or summary.get("status") not in ("completed", "failed", "held"):
        return before
    counts = {name: summary[name] for name in _COUNTS if summary.get(name) is not None}
    after = msgspec.structs.replace(before, run=summary["run"], counts=counts)
    findings = {**_of_end(summary), **_of_counts(rules, summary, reasons), **_of_rows(rules, before, summary)}
    if _committed(summary):
        age = summary["oldest_debt_seconds"]
        after.owed, after.owed_since = summary["owed_after"], None if age is None else now - age
    if summary.get("status") == "completed":
        after.succeeded_at = now
        after.rows = summary["rows"]
        if before.changed_at is None or any(summary[name] for name in ("added", "changed", "removed", "skipped")):
            after.changed_at = now
    return _told(rules, after, {**findings, **_of_time(rules, after, now)}, deployment, now)


def judge_time(rules: Alerts, book: Book | None, sync: str, deployment: str, now: float) -> Book:
    """As time goes by without a run: what is late, and what was muted till now."""
    after = book or Book(sync=sync, seen_at=now)
    return _told(rules, after, _of_time(rules, after, now), deployment, now)


def _of_end(summary: dict[str, Any]) -> dict[str, _Finding]:
    """A run that is held ends no failure, and one that fails releases none that is held: only completing does."""
    match summary.get("status"):
        case "completed":
            return {"failed": (False, ""), "held": (False, "")}
        case "failed" | "held" as status:
            return {status: (True, str(summary.get("reason") or "no reason was recorded"))}
    return {}


def _of_counts(rules: Alerts, summary: dict[str, Any], reasons: Sequence[str]) -> dict[str, _Finding]:
    if not _committed(summary):
        return {}
    changes = sum(summary[name] for name in ("added", "changed", "removed"))
    refused = summary["rejected"] + summary["in_doubt"]
    beyond = rules.rejected_rows is not None and refused >= max(1, rules.rejected_rows)
    beyond |= rules.rejected_share is not None and refused > rules.rejected_share * changes
    slow = rules.slower_than is not None and summary["seconds"] is not None and summary["seconds"] > rules.slower_than
    why = f": {'; '.join(reasons)}" if reasons else ""
    return {
        "rejected": (beyond, f"{refused} of {changes} changes were not accepted{why}"),
        "slow": (slow, f"the run took {_span(summary['seconds'] or 0)}, more than {_span(rules.slower_than or 0)}"),
    }


def _committed(summary: dict[str, Any]) -> bool:
    """Only then is it known what became of a run's changes, and what is owed."""
    changes = sum(summary.get(name, 0) for name in ("added", "changed", "removed"))
    settled = sum(summary.get(name, 0) for name in ("accepted", "rejected", "in_doubt"))
    return summary.get("status") != "held" and summary.get("fan_out_seconds") is not None and changes == settled


def _of_rows(rules: Alerts, before: Book, summary: dict[str, Any]) -> dict[str, _Finding]:
    if summary.get("status") not in ("completed", "held"):
        return {}
    rows, last = summary["rows"], before.rows
    outside = (rules.min_rows is not None and rows < rules.min_rows) or (
        rules.max_rows is not None and rows > rules.max_rows
    )
    jumped = rules.rows_change is not None and last is not None and abs(rows - last) > rules.rows_change * last
    return {
        "rows": (outside, f"the model has {rows} rows, expected are {_range(rules)}"),
        "rows_changed": (jumped, f"the model has {rows} rows, and had {last} in the run before"),
    }


def _range(rules: Alerts) -> str:
    if rules.min_rows is None or rules.max_rows is None:
        return f"at most {rules.max_rows}" if rules.min_rows is None else f"at least {rules.min_rows}"
    return f"{rules.min_rows} to {rules.max_rows}"


def _of_time(rules: Alerts, book: Book, now: float) -> dict[str, _Finding]:
    done = book.succeeded_at if book.succeeded_at is not None else book.seen_at
    late = rules.late_after is not None and now - done > rules.late_after
    still = (
        rules.unchanged_for is not None and book.changed_at is not None and now - book.changed_at > rules.unchanged_for
    )
    known = {} if book.owed is None else {"debts": _debts(rules, book, now)}
    return {
        "late": (late, f"no run completed since {_iso(done)}"),
        "unchanged": (still, f"no row changed since {_iso(book.changed_at or now)}"),
        **known,
    }


def _debts(rules: Alerts, book: Book, now: float) -> _Finding:
    age = debt_age(book, now)
    old = rules.debt_older_than is not None and age > rules.debt_older_than
    return old, f"{book.owed} rows are owed, the oldest for {_span(age)}"


def debt_age(book: Book, now: float) -> float:
    """Seconds for which the sync's oldest debt has been owed; 0 without debts."""
    return 0.0 if book.owed_since is None else max(0.0, now - book.owed_since)


def is_late(book: Book) -> bool:
    """Whether no run completed for longer than the sync's rules allow, muted or not."""
    return "late" in book.statuses and book.statuses["late"].raised


def _told(rules: Alerts, book: Book, findings: dict[str, _Finding], deployment: str, now: float) -> Book:
    """The book with these findings, and in its outbox what people do not know yet."""
    statuses = dict(book.statuses)
    outbox = list(book.outbox)
    for kind, (raised, what) in findings.items():
        known = statuses.get(kind)
        if known is None and not raised:
            continue
        if known is None or known.raised != raised:
            told = known.told if known is not None else False
            why = _short(what) if raised else _RECOVERED[kind]
            statuses[kind] = Status(raised=raised, since=now, what=why, told=told)
    for kind, status in statuses.items():
        if status.told != status.raised and now >= muted_until(rules, book, kind):
            outbox.append(_alert(kind, status, rules, book, deployment, now))
            statuses[kind] = msgspec.structs.replace(status, told=status.raised)
    return msgspec.structs.replace(book, statuses=statuses, outbox=outbox)


def muted_until(rules: Alerts, book: Book, kind: str) -> float:
    return max(book.muted_until, book.muted_kinds.get(kind, 0.0), rules.muted_until or 0.0)


def trial(channel: str, deployment: str, now: float, *, recovered: bool = False) -> Alert:
    """A message that tells of nothing, to see whether a channel works."""
    rules = Alerts(channels=(channel,), severity="info")
    status = Status(raised=not recovered, since=now, what=_RECOVERED["test"] if recovered else f"Sent to {channel}")
    return _alert("test", status, rules, Book(sync=f"test-of-{channel}", seen_at=now), deployment, now)


def _alert(kind: str, status: Status, rules: Alerts, book: Book, deployment: str, now: float) -> Alert:
    word: Literal["raised", "recovered"] = "raised" if status.raised else "recovered"
    key = f"rowcast/{deployment}/{book.sync}/{kind}"
    title = f"{book.sync}: {_title(kind)}" if status.raised else f"{book.sync}: recovered ({_title(kind)})"
    command = "rowcast " + _COMMANDS.get(kind, "runs {sync}").format(sync=book.sync, run=book.run)
    counted = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in book.counts.items())
    summary = f"Last run {book.run or 'none'}: {counted or 'nothing was counted'}."
    headline = f"[{rules.severity}] {title}" if status.raised else title
    lines = (headline, _sentence(status.what), f"Since {_iso(status.since)}.", summary, command)
    return Alert(
        id=short_hash(key, word, repr(status.since)),
        key=key,
        sync=book.sync,
        alert=kind,
        status=word,
        severity=rules.severity,
        channels=list(rules.channels),
        since=_iso(status.since),
        at=_iso(now),
        run=book.run,
        title=title,
        what=_sentence(status.what),
        counts=book.counts,
        summary=summary,
        command=command,
        text="\n".join(lines),
    )


def _title(kind: str) -> str:
    return {
        "failed": "a run failed",
        "held": "a run is held",
        "rejected": "rows were rejected",
        "slow": "a run was slow",
        "late": "no run completed in time",
        "rows": "an unexpected number of rows",
        "rows_changed": "the number of rows jumped",
        "unchanged": "nothing changes any more",
        "debts": "rows are owed for too long",
        "test": "this is a test",
    }[kind]


def _short(text: str, most: int = MOST_CHARACTERS) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} seconds"
