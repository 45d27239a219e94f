"""alert: judge a sync's alerts and tell what changed, whoever looks: the end of a run, or the watch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from rowcast.alerting import Book, judge_run, judge_time
from rowcast.definition import Alerts
from rowcast.ports import AlertStore, Announcer, Clock

TRIES = 5


class Alerting(msgspec.Struct, kw_only=True):
    """What alerting needs. `deployment`: its name, which tells equal syncs of one account apart."""

    alerts: AlertStore
    announcer: Announcer
    clock: Clock
    deployment: str


def alert_run(rules: Alerts, summary: dict[str, Any], needs: Alerting, reasons: Sequence[str] = ()) -> None:
    """Tells what a run's end changed."""
    now = needs.clock.now()
    _turn(summary["sync"], lambda book: judge_run(rules, book, summary, needs.deployment, now, reasons), needs)


def alert_time(rules: Alerts, sync: str, needs: Alerting) -> Book:
    """Tells what the passing of time changed, and what an earlier look could not tell. Returns what is known now."""
    now = needs.clock.now()
    return _turn(sync, lambda book: judge_time(rules, book, sync, needs.deployment, now), needs)


def mute(sync: str, until: float, needs: Alerting, kinds: Collection[str] = ()) -> None:
    """Nothing is told before `until`, or nothing of these kinds; what is still raised then is told then."""

    def muted(book: Book | None) -> Book:
        before = book or Book(sync=sync, seen_at=needs.clock.now())
        if not kinds:
            return msgspec.structs.replace(before, muted_until=until)
        return msgspec.structs.replace(before, muted_kinds={**before.muted_kinds, **dict.fromkeys(kinds, until)})

    _turn(sync, muted, needs)


def unmute(sync: str, needs: Alerting) -> None:
    """Ends what `mute` began; what is raised is told at the next look."""

    def heard(book: Book | None) -> Book:
        before = book or Book(sync=sync, seen_at=needs.clock.now())
        return msgspec.structs.replace(before, muted_until=0.0, muted_kinds={})

    _turn(sync, heard, needs)


def _turn(sync: str, judge: Callable[[Book | None], Book], needs: Alerting) -> Book:
    """Keeps the messages before it sends them: who dies in between has not lost them, and the next look sends them.

    A message is sent twice only by who dies, or loses a race, between sending it and noting that it was.
    """
    for _ in range(TRIES):
        before, version = needs.alerts.book(sync)
        after = judge(before)
        if after != before:
            if not needs.alerts.keep(after, version):
                continue
            version += 1
        if after.outbox:
            needs.announcer.announce(after.outbox)
            needs.alerts.keep(msgspec.structs.replace(after, outbox=[]), version)
        break
    return after
