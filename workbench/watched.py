"""The alerts of a deployment, for people: which are raised, which are muted; and a message that tests a channel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import project as configuration
from project.model import AlertChannel
from rowcast.alert import mute as mute_sync
from rowcast.alert import unmute
from rowcast.alerting import Book, Status, trial
from rowcast.definition import Alerts
from rowcast.errors import RowcastError
from workbench.deployment import Place
from workbench.local.arrivals import iso
from workbench.options import no_such


class Desk:
    """The alerts of a project's deployment, of one sync or of all."""

    def __init__(self, project: Path, place: Place, sync: str | None = None) -> None:
        self._place = place
        self._project = configuration.load(project)
        if sync is not None and sync not in self._project.syncs:
            raise no_such(sync, self._project.syncs)
        self._syncs = [sync] if sync is not None else sorted(self._project.syncs)

    def alerts(self, *, everything: bool = False) -> Iterator[dict[str, Any]]:
        """By sync; what its file mutes is counted in. `everything`: also alerts that are over."""
        for name in self._syncs:
            rules = self._project.syncs[name].definition.alerts
            book, _ = self._place.alerting.alerts.book(name)
            yield _of_sync(rules, book or Book(sync=name, seen_at=0.0), everything)

    def mute(self, seconds: float, kinds: tuple[str, ...]) -> None:
        for name in self._syncs:
            mute_sync(name, time.time() + seconds, self._place.alerting, kinds)

    def unmute(self) -> None:
        for name in self._syncs:
            unmute(name, self._place.alerting)

    def test(self, channel: str, *, recovered: bool) -> dict[str, Any]:
        """Puts the message on the bus of alerts; the channel's deployed rule takes it from there."""
        if channel not in self._project.alerts:
            raise no_such(channel, self._project.alerts, "channel")
        rule = self._rule(self._project.alerts[channel])
        message = trial(channel, self._place.deployment, time.time(), recovered=recovered)
        self._place.alerting.announcer.announce([message])
        return {
            "channel": channel,
            "type": self._project.alerts[channel].type,
            "status": message.status,
            "id": message.id,
            "title": message.title,
            "rule": rule,
        }

    def _rule(self, channel: AlertChannel) -> str:
        """The name of its deployed rule. EventBridge would take a message that no rule wants, and say nothing."""
        pages = self._place.aws.client("events").get_paginator("list_rules")
        for page in pages.paginate(EventBusName=self._place.output("EventBus")):
            for rule in page["Rules"]:
                wanted = json.loads(rule.get("EventPattern") or "{}").get("detail", {})
                if (wanted.get("deployment"), wanted.get("channels")) == ([self._place.deployment], [channel.name]):
                    return str(rule["Name"])
        if self._place.aws.local:
            raise RowcastError(f"The embedded AWS speaks to no {channel.type} channel: test it where it is deployed.")
        raise RowcastError(f"The channel {channel.name} is not deployed: deploy again.")


def _of_sync(rules: Alerts, book: Book, everything: bool) -> dict[str, Any]:
    now = time.time()
    muted = max(book.muted_until, rules.muted_until or 0.0)
    return {
        "sync": book.sync,
        "channels": list(rules.channels),
        "muted_until": iso(muted) if muted > now else None,
        "muted_kinds": {kind: iso(until) for kind, until in sorted(book.muted_kinds.items()) if until > now},
        "alerts": [_status(kind, one) for kind, one in book.statuses.items() if one.raised or everything],
    }


def _status(kind: str, status: Status) -> dict[str, Any]:
    word = "raised" if status.raised else "recovered"
    told = status.told == status.raised
    return {"alert": kind, "status": word, "since": iso(status.since), "what": status.what, "told": told}
