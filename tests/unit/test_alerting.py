"""Alerts: one message for each change of status, whatever the runs do."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.alert import Alerting, alert_run, alert_time, mute, unmute
from rowcast.alerting import Alert, Book, Status, debt_age, first_reasons, judge_run, judge_time, trial
from rowcast.definition import Alerts
from rowcast.models import ChunkState, Outcome
from tests import fakes

HOUR, DAY = 3600.0, 86_400.0
EVERYTHING = Alerts(
    channels=("team",),
    rejected_rows=1,
    slower_than=60,
    late_after=2 * HOUR,
    min_rows=10,
    max_rows=1000,
    rows_change=0.5,
    unchanged_for=2 * DAY,
    debt_older_than=DAY,
)


def summary(run: int, status: str = "completed", **fields: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "run": f"run-{run:06}",
        "sync": "orders",
        "status": status,
        **dict.fromkeys(("added", "removed", "skipped", "rejected", "in_doubt", "owed_before", "owed_after"), 0),
        **{"rows": 100, "changed": 1, "accepted": 1, "seconds": 10.0, "fan_out_seconds": 1.0, "reason": ""},
        "oldest_debt_seconds": None,
        **fields,
    }
    if status != "completed" and "fan_out_seconds" not in fields:
        whole["fan_out_seconds"] = None
    return whole


class Fakes:
    """A bus that remembers, and a store that may lose a race or its owner's life."""

    def __init__(self) -> None:
        self.bodies: dict[str, tuple[bytes, int]] = {}
        self.sent: list[Alert] = []
        self.down = False
        self.races = 0
        self.clock = fakes.FakeClock()
        self.needs = Alerting(alerts=self, announcer=self, clock=self.clock, deployment="Shop")

    def book(self, sync: str) -> tuple[Book | None, int]:
        body, version = self.bodies.get(sync, (b"", 0))
        return (msgspec.json.decode(body, type=Book) if body else None), version

    def keep(self, book: Book, version: int) -> bool:
        if self.races:
            self.races -= 1
            return False
        if self.bodies.get(book.sync, (b"", 0))[1] != version:
            return False
        self.bodies[book.sync] = (msgspec.json.encode(book), version + 1)
        return True

    def announce(self, alerts: Any) -> None:
        if self.down:
            raise ConnectionError
        self.sent += alerts

    def told(self) -> list[tuple[str, str]]:
        told = [(alert.alert, alert.status) for alert in self.sent]
        self.sent.clear()
        return told


@pytest.fixture
def desk() -> Fakes:
    return Fakes()


RAISING = {
    "failed": [summary(2, "failed", reason="The source's server is gone.")],
    "held": [summary(2, "held", reason="90 of 100 rows would be removed.")],
    "rejected": [summary(2, accepted=0, rejected=1, owed_after=1)],
    "slow": [summary(2, seconds=61.0)],
    "rows": [summary(2, rows=70), summary(3, rows=36), summary(4, rows=19), summary(5, rows=9)],
    "rows_changed": [summary(2, rows=200)],
    "debts": [summary(2, owed_after=1, oldest_debt_seconds=DAY + 1)],
}


@pytest.mark.parametrize("kind", RAISING)
def test_an_alert_is_raised_once_and_recovers_once(desk: Fakes, kind: str) -> None:
    rules = msgspec.structs.replace(EVERYTHING, rows_change=0.6 if kind == "rows" else 0.5)
    alert_run(rules, summary(1), desk.needs)
    for one in RAISING[kind]:
        alert_run(rules, one, desk.needs)
    if kind != "rows_changed":
        alert_run(rules, {**RAISING[kind][-1], "run": "run-000010"}, desk.needs)
    raised = [told for told in desk.told() if told[0] == kind]
    assert raised == [(kind, "raised")]
    steady = RAISING[kind][-1]["rows"] if kind == "rows_changed" else 12 if kind == "rows" else 100
    for run in range(20, 23):
        alert_run(rules, summary(run, rows=steady), desk.needs)
    assert desk.told() == [(kind, "recovered")]


def test_a_sync_is_late_once_and_recovers_with_the_next_run_that_completes(desk: Fakes) -> None:
    alert_run(EVERYTHING, summary(1), desk.needs)
    for _ in range(10):
        desk.clock.time += HOUR
        alert_time(EVERYTHING, "orders", desk.needs)
    assert desk.told() == [("late", "raised")]
    alert_run(EVERYTHING, summary(2, "failed"), desk.needs)
    assert desk.told() == [("failed", "raised")]
    alert_run(EVERYTHING, summary(3), desk.needs)
    assert sorted(desk.told()) == [("failed", "recovered"), ("late", "recovered")]


def test_a_debt_grows_old_between_runs_too(desk: Fakes) -> None:
    alert_run(EVERYTHING, summary(1, owed_after=1, oldest_debt_seconds=DAY - HOUR), desk.needs)
    rules = Alerts(debt_older_than=DAY)
    assert debt_age(alert_time(rules, "orders", desk.needs), desk.clock.now()) == DAY - HOUR
    desk.clock.time += HOUR + 1
    assert debt_age(alert_time(rules, "orders", desk.needs), desk.clock.now()) == DAY + 1
    alert_run(rules, summary(2, "failed", oldest_debt_seconds=None), desk.needs)
    assert desk.told() == [("debts", "raised"), ("failed", "raised")]
    alert_run(rules, summary(3), desk.needs)
    assert sorted(desk.told()) == [("debts", "recovered"), ("failed", "recovered")]


def test_an_alert_of_debts_that_an_earlier_release_raised_stays_until_a_run_tells_more(desk: Fakes) -> None:
    raised = {"debts": Status(raised=True, since=0.0, what="Old.", told=True)}
    desk.keep(Book(sync="orders", seen_at=desk.clock.now(), statuses=raised), 0)
    alert_time(EVERYTHING, "orders", desk.needs)
    assert desk.told() == []


def test_a_sync_that_never_ran_is_late_when_its_time_has_passed_since_it_was_first_seen(desk: Fakes) -> None:
    alert_time(EVERYTHING, "orders", desk.needs)
    assert desk.told() == []
    desk.clock.time += 2 * HOUR + 1
    alert_time(EVERYTHING, "orders", desk.needs)
    assert desk.told() == [("late", "raised")]


def test_a_sync_in_which_nothing_changes_is_told_even_when_its_runs_complete(desk: Fakes) -> None:
    for run in range(4):
        alert_run(EVERYTHING, summary(run, changed=0, accepted=0), desk.needs)
        desk.clock.time += DAY
    assert desk.told() == [("unchanged", "raised")]
    alert_run(EVERYTHING, summary(5), desk.needs)
    assert desk.told()[0] == ("unchanged", "recovered")


def test_what_was_muted_is_told_when_the_mute_ends_unless_it_is_over_by_then(desk: Fakes) -> None:
    alert_run(EVERYTHING, summary(1), desk.needs)
    mute("orders", desk.clock.time + HOUR, desk.needs)
    alert_run(EVERYTHING, summary(2, "failed"), desk.needs)
    alert_run(EVERYTHING, summary(3, seconds=100.0), desk.needs)
    assert desk.told() == []
    desk.clock.time += HOUR
    alert_time(EVERYTHING, "orders", desk.needs)
    assert desk.told() == [("slow", "raised")]


def test_a_limit_that_is_taken_away_takes_its_alert_with_it(desk: Fakes) -> None:
    alert_run(EVERYTHING, summary(1, seconds=100.0), desk.needs)
    alert_run(Alerts(), summary(2, seconds=100.0), desk.needs)
    assert desk.told() == [("slow", "raised"), ("slow", "recovered")]


def test_a_run_that_will_be_finished_later_says_nothing_of_rejections(desk: Fakes) -> None:
    alert_run(EVERYTHING, summary(1, accepted=0, rejected=1), desk.needs)
    alert_run(EVERYTHING, summary(2, "failed", fan_out_seconds=5.0, accepted=0), desk.needs)
    assert desk.told() == [("rejected", "raised"), ("failed", "raised")]


def test_the_end_of_an_older_run_changes_nothing(desk: Fakes) -> None:
    alert_run(EVERYTHING, summary(5), desk.needs)
    alert_run(EVERYTHING, summary(4, "failed"), desk.needs)
    assert desk.told() == []


def test_a_run_that_only_looked_says_nothing(desk: Fakes) -> None:
    alert_run(EVERYTHING, summary(1, "failed"), desk.needs)
    alert_run(EVERYTHING, summary(2, "planned", rows=0), desk.needs)
    assert desk.told() == [("failed", "raised")]


def test_the_same_end_told_twice_is_told_once(desk: Fakes) -> None:
    for _ in range(3):
        alert_run(EVERYTHING, summary(1, "failed"), desk.needs)
    assert desk.told() == [("failed", "raised")]


def test_a_message_that_could_not_be_sent_is_sent_at_the_next_look(desk: Fakes) -> None:
    desk.down = True
    with pytest.raises(ConnectionError):
        alert_run(EVERYTHING, summary(1, "failed"), desk.needs)
    desk.down = False
    alert_time(EVERYTHING, "orders", desk.needs)
    alert_time(EVERYTHING, "orders", desk.needs)
    assert desk.told() == [("failed", "raised")]


def test_two_who_look_at_once_tell_once(desk: Fakes) -> None:
    desk.races = 2
    alert_run(EVERYTHING, summary(1, "failed"), desk.needs)
    assert desk.told() == [("failed", "raised")]


def test_a_message_says_what_since_when_how_many_and_where_to_look(desk: Fakes) -> None:
    failed = summary(1, accepted=0, rejected=1, owed_after=1)
    alert_run(EVERYTHING, failed, desk.needs)
    (alert,) = desk.sent
    assert alert.key == "rowcast/Shop/orders/rejected"
    assert (alert.severity, alert.channels, alert.run) == ("error", ["team"], "run-000001")
    assert alert.title == "orders: rows were rejected"
    for part in ("[error] orders: rows were rejected", "1 of 1 changes", alert.since, "rowcast rejects orders"):
        assert part in alert.text
    assert alert.counts["rejected"] == 1


def test_a_long_reason_is_cut_and_stays_one_line(desk: Fakes) -> None:
    alert_run(EVERYTHING, summary(1, "failed", reason="gone\nfor ever " * 200), desk.needs)
    (alert,) = desk.sent
    assert "\n" not in alert.what
    assert len(alert.what) <= 501


def test_where_rules_ask_for_them_the_first_reasons_are_told(desk: Fakes) -> None:
    refused = [
        Outcome(outcome="rejected", reason=reason) for reason in ["No such\nperson."] * 2 + ["x" * 200, "a", "b"]
    ]
    chunk: dict[str, Any] = {"token": 1, "claim": "w", "deadline": 0.0}
    state = ChunkState(chunk="c", outcomes=[Outcome(outcome="accepted"), *refused], **chunk)
    told = first_reasons([state, ChunkState(chunk="d", outcomes=[None, refused[0]], **chunk)])
    assert told == ["3 × No such person", f"1 × {'x' * 99}…", "1 × a"]
    alert_run(EVERYTHING, summary(1, accepted=0, rejected=1), desk.needs, told[:1])
    (alert,) = desk.sent
    assert alert.what == "1 of 1 changes were not accepted: 3 × No such person."


STEPS = st.one_of(
    st.builds(
        dict,
        status=st.sampled_from(["completed", "failed", "held"]),
        rows=st.sampled_from([5, 100, 400]),
        seconds=st.sampled_from([1.0, 100.0]),
        rejected=st.sampled_from([0, 3]),
        accepted=st.just(0),
        fan_out_seconds=st.just(1.0),
        oldest_debt_seconds=st.sampled_from([None, 2 * DAY]),
    ),
    st.floats(min_value=1, max_value=DAY),
    st.just("mute"),
    st.just("lost"),
)


@given(st.lists(STEPS, max_size=40))
def test_messages_alternate_and_people_know_the_truth_in_the_end(steps: list[Any]) -> None:
    desk = Fakes()
    for number, step in enumerate(steps):
        desk.clock.time += 60
        with suppress(ConnectionError):
            if step == "mute":
                mute("orders", desk.clock.time + HOUR, desk.needs)
            elif step == "lost":
                desk.down = True
            elif isinstance(step, float):
                desk.down = False
                desk.clock.time += step
                alert_time(EVERYTHING, "orders", desk.needs)
            else:
                alert_run(EVERYTHING, summary(number, changed=step["rejected"], **step), desk.needs)
    desk.down = False
    desk.clock.time += HOUR
    alert_time(EVERYTHING, "orders", desk.needs)
    book, _ = desk.book("orders")
    assert book is not None
    assert book.outbox == []
    for kind, status in book.statuses.items():
        words = [alert.status for alert in desk.sent if alert.alert == kind]
        assert words == [("raised", "recovered")[i % 2] for i in range(len(words))]
        assert (bool(words) and words[-1] == "raised") == status.raised == status.told
    assert len({alert.id for alert in desk.sent}) == len(desk.sent)


def test_judging_is_a_function_of_its_arguments() -> None:
    first = judge_run(EVERYTHING, None, summary(1, "failed"), "Shop", 1.0)
    assert first == judge_run(EVERYTHING, None, summary(1, "failed"), "Shop", 1.0)
    assert judge_time(EVERYTHING, first, "orders", "Shop", 1.0) == first
    assert json.loads(msgspec.json.encode(first))["version"] == 1


def test_a_muted_kind_is_not_told_while_others_are_and_is_told_once_it_is_unmuted(desk: Fakes) -> None:
    mute("orders", desk.clock.time + DAY, desk.needs, kinds=["slow"])
    alert_run(EVERYTHING, summary(1, seconds=100.0, accepted=0, rejected=1), desk.needs)
    assert desk.told() == [("rejected", "raised")]
    unmute("orders", desk.needs)
    alert_time(EVERYTHING, "orders", desk.needs)
    assert desk.told() == [("slow", "raised")]


def test_a_test_message_and_its_recovery_have_one_key_and_name_one_channel() -> None:
    sent, over = trial("pager", "Shop", 1.0), trial("pager", "Shop", 2.0, recovered=True)
    assert (sent.status, over.status, sent.channels) == ("raised", "recovered", ["pager"])
    assert sent.key == over.key
    assert sent.id != over.id
