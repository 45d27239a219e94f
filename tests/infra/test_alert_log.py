"""Each kind of alert, as its receivers get it: once when it begins, once when it is over.

From the judgement of runs, over the announcing bus, the deployed rules and their input transformers, to requests that
arrive on loopback. What arrived is written down in docs/captures/alerts.txt; ROWCAST_UPDATE_SNAPSHOT=1 writes it anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from rowcast.alert import alert_run, alert_time
from rowcast.alerting import Kind
from rowcast.definition import Alerts
from rowcast.stores.alerts import EventBridgeAnnouncer
from tests.infra import bus
from tests.infra.template import Template, flat
from tests.infra.test_channels import Receiver, deliver, receiver
from tests.unit.test_alerting import DAY, HOUR, Fakes, summary

__all__ = ["receiver"]
LOG = Path(__file__).parents[2] / "docs" / "captures" / "alerts.txt"
START = datetime(2026, 11, 20, 16, tzinfo=UTC).timestamp()
CHANNELS = ("chat", "pager", "hook", "mail")
RECEIVERS = {"/slack": "Slack", "/pagerduty": "PagerDuty", "/hook": "webhook"}

Turn = Callable[["Scene"], None]


class Scene:
    """A sync whose runs end as told, and EventBridge, which hands what is announced to the deployed rules."""

    def __init__(self, template: Template, receiver: Receiver) -> None:
        self.desk = Fakes()
        self.desk.clock.time = START
        self.desk.needs.deployment = "Rowcast"
        self.desk.needs.announcer = EventBridgeAnnouncer(client=self, bus="default", deployment="Rowcast")  # type: ignore[arg-type]
        self.rules = Alerts()
        self.told: list[tuple[str, str, str]] = []
        self._template, self._receiver, self._run = template, receiver, 0

    def run(self, status: str = "completed", **fields: Any) -> None:
        self.desk.clock.time += 60
        self._run += 1
        alert_run(self.rules, summary(self._run, status, **fields), self.desk.needs)

    def wait(self, seconds: float) -> None:
        self.desk.clock.time += seconds
        alert_time(self.rules, "orders", self.desk.needs)

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
        for entry in Entries:
            detail = json.loads(entry["Detail"])
            self._arrive({"source": entry["Source"], "detail-type": entry["DetailType"], "detail": detail})
        return {"FailedEntryCount": 0, "Entries": []}

    def _arrive(self, event: bus.Event) -> None:
        before = len(self._receiver.received)
        answers = deliver(self._template, self._receiver, event)
        requests = self._receiver.received[before:]
        told = [
            (RECEIVERS[path], str(status), _gist(RECEIVERS[path], body))
            for (path, _, body), (status, _) in zip(requests, answers, strict=True)
        ]
        told += [
            ("SNS", "-", " / ".join(body.splitlines()[:2]))
            for target, body in bus.targets(self._template, event)
            if "Topic" in flat(target["Arn"])
        ]
        self.told += [(name, status, f"{self._clock()}  {gist}") for name, status, gist in told]

    def _clock(self) -> str:
        return datetime.fromtimestamp(self.desk.clock.time, UTC).strftime("%d %H:%M")


def _gist(name: str, body: Any) -> str:
    match name:
        case "Slack":
            return " / ".join(body["text"].splitlines()[:2])
        case "PagerDuty":
            return f"{body['event_action']} {body['dedup_key']}"
    return f"{body['alert']} {body['status']}, id {body['id'][:8]}…, command {body['command']}"


def run(status: str = "completed", **fields: Any) -> Turn:
    return lambda scene: scene.run(status, **fields)


def wait(seconds: float) -> Turn:
    return lambda scene: scene.wait(seconds)


SCENES: dict[Kind, tuple[dict[str, Any], list[Turn], list[Turn]]] = {
    "failed": ({}, [run("failed", reason="The source's server does not answer.")] * 2, [run()] * 2),
    "held": ({}, [run("held", reason="90 of 100 rows would be removed, more than 15%.")] * 2, [run()] * 2),
    "rejected": (
        {"rejected_share": 0.05},
        [run(changed=100, accepted=94, rejected=6, owed_after=6)] * 2,
        [run(changed=100, accepted=97, rejected=3, owed_after=3)] * 2,
    ),
    "slow": ({"slower_than": 600.0}, [run(seconds=750.0)] * 2, [run(seconds=30.0)] * 2),
    "late": ({"late_after": 2 * HOUR}, [wait(HOUR)] * 4, [run(), wait(HOUR)]),
    "rows": ({"min_rows": 50}, [run(rows=40)] * 2, [run(rows=100)] * 2),
    "rows_changed": ({"rows_change": 0.3}, [run(rows=180)], [run(rows=180), run(rows=181)]),
    "unchanged": ({"unchanged_for": 2 * DAY}, [run(changed=0, accepted=0), wait(3 * DAY), wait(HOUR)], [run()] * 2),
    "debts": (
        {"debt_older_than": DAY},
        [run(owed_after=3, oldest_debt_seconds=1.5 * DAY)] * 2,
        [run(oldest_debt_seconds=None)] * 2,
    ),
}


def play(kind: Kind, template: Template, receiver: Receiver) -> list[tuple[str, str, str]]:
    """What was told; each turn is taken twice, so that a message too many would show."""
    rules, raising, ending = SCENES[kind]
    scene = Scene(template, receiver)
    scene.rules = Alerts(channels=CHANNELS, **rules)
    scene.run()
    assert scene.told == []
    for turn in raising:
        turn(scene)
    assert [name for name, _, _ in scene.told] == [*RECEIVERS.values(), "SNS"]
    assert list(receiver.incidents) == [f"rowcast/Rowcast/orders/{kind}"]
    for turn in ending:
        turn(scene)
    assert [name for name, _, _ in scene.told] == [*RECEIVERS.values(), "SNS"] * 2
    assert {status for _, status, _ in scene.told} == {"200", "202", "-"}
    assert receiver.incidents == {}
    return scene.told


def test_every_kind_reaches_every_receiver_once_and_recovers_once(template: Template, receiver: Receiver) -> None:
    assert set(SCENES) == set(get_args(Kind))
    lines = [
        "What receivers on loopback got of each kind of alert, over the deployed rules and input transformers.",
        "Day and time, receiver, the status of its answer, and what it was told; `/` stands for a new line.",
    ]
    for kind in SCENES:
        told = play(kind, template, receiver)
        lines += ["", kind, *(f"  {gist[:8]}  {name:<9}  {status:>3}  {gist[10:]}" for name, status, gist in told)]
    made = "\n".join(lines) + "\n"
    if os.environ.get("ROWCAST_UPDATE_SNAPSHOT"):
        LOG.write_text(made, encoding="utf-8")
    assert made == LOG.read_text(encoding="utf-8")
