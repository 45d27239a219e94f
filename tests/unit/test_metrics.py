"""What a run measures: every number once, at the step that knows it, and never a row's value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from handlers import commit, fail, publish, seal, watch
from rowcast import metrics, wiring
from rowcast.alerting import Book, Status
from rowcast.errors import SourceFailed
from rowcast.models import OPERATIONS
from rowcast.ports import CallRecord, Verdict
from tests.fakes import FakeClock
from tests.world import World

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose steps are the handlers themselves."""
    world = World()
    services = SimpleNamespace(
        states=world.states,
        snapshots=world.snapshots,
        definitions=world.definitions,
        changes=world.changes,
        debts=world.debts,
        calls=world.calls,
        clock=world.clock,
        objects=world.objects,
        destination=lambda definition, deployment: world.target,
        queue=lambda deployment: world.queue,
        pace=lambda definition: world.pace,
        render=world.render,
        deployment="Shop",
    )
    monkeypatch.setattr(wiring, "services", lambda: services)

    def call(handler: Any, **event: Any) -> SimpleNamespace:
        return SimpleNamespace(**handler({"sync": world.sync, **event}, CONTEXT))

    monkeypatch.setattr(world, "seal", lambda run, token: call(seal.handler, run=run, token=token))
    monkeypatch.setattr(world, "commit", lambda run, token: call(commit.handler, run=run, token=token))
    monkeypatch.setattr(
        world, "fan_out", lambda run, token, chunks: call(publish.handler, run=run, token=token, chunks=chunks).done
    )
    monkeypatch.setattr(
        world,
        "fail",
        lambda scheduled_at, execution, error: (
            call(fail.handler, scheduled_at=scheduled_at, execution=execution, error={"Cause": str(error)}).summary
        ),
    )
    yield world


def measured(out: str) -> list[tuple[str, float]]:
    """(metric, value) in the order of the lines, after a look at their form."""
    found: list[tuple[str, float]] = []
    for line in out.splitlines():
        record = json.loads(line)
        if "_aws" not in record:
            continue
        (directive,) = record["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Rowcast"
        assert [sorted(names) for names in directive["Dimensions"]] == [["service", "sync"]]
        assert (record["service"], record["sync"]) == ("Shop", "orders")
        for metric in directive["Metrics"]:
            found += [(metric["Name"], value) for value in record[metric["Name"]]]
    return found


def test_a_run_emits_each_metric_exactly_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.source.rows = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]
    summary = world.run()
    found = measured(capsys.readouterr().out)
    names = [name for name, _ in found]
    assert sorted(names) == sorted(set(names))
    values = dict(found)
    assert set(values) == {
        *(*metrics.COUNTS, *metrics.SECONDS, *metrics.ENDS, "OldestDebtSeconds"),
        *("Calls", "FailedCalls", "ThrottledCalls", "BytesSent"),
    }
    assert (values["Rows"], values["Added"], values["Accepted"], values["Calls"]) == (2, 2, 2, 1)
    assert (values["Completed"], values["Failed"], values["Owed"], values["OldestDebtSeconds"]) == (1, 0, 0, 0)
    assert sum(values[name.capitalize()] for name in OPERATIONS) == summary["accepted"]


def test_the_age_of_the_oldest_debt_grows_until_it_is_paid(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.source.rows = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]
    ages = []
    for rejected in ({1}, {1, 2}, {2}, set()):
        world.target.answer = lambda message, attempt, ids=rejected: Verdict(
            kind="rejected" if message.change.key[0] in ids else "accepted"
        )
        world.source.put(id=2, v=str(len(ages)))
        world.run()
        values = dict(measured(capsys.readouterr().out))
        ages.append((values["Owed"], values["OldestDebtSeconds"]))
    assert [owed for owed, _ in ages] == [1, 2, 1, 0]
    assert ages[1][1] == ages[0][1] + 60, "the first run's debt is the oldest, and still owed"
    assert ages[2][1] == ages[0][1] + 60, "now the oldest is that of the second run"
    assert ages[3][1] == 0


def test_a_run_whose_source_fails_counts_as_failed_and_nothing_else(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.source.fail = SourceFailed("The server is gone.")
    world.run()
    assert dict(measured(capsys.readouterr().out)) == {"Completed": 0, "Failed": 1, "Held": 0}


def test_a_held_run_counts_as_held_and_nothing_else(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.source.rows = [{"id": 1, "v": "a"}]
    world.run()
    capsys.readouterr()
    world.source.rows = []
    assert world.run()["status"] == "held"
    assert dict(measured(capsys.readouterr().out)) == {"Completed": 0, "Failed": 0, "Held": 1}


def test_a_look_measures_how_many_syncs_are_late_and_how_long_a_row_has_been_owed() -> None:
    def book(late: bool, owed_since: float | None) -> Book:
        statuses = {"late": Status(raised=late, since=0, what="")}
        return Book(sync="orders", seen_at=0, statuses=statuses, owed=1, owed_since=owed_since)

    books = [book(False, 400.0), book(True, None), book(False, 100.0), Book(sync="new", seen_at=0), None]
    assert {one.name: one.value for one in metrics.of_look(books, 1000.0)} == {
        "LateSyncs": 2,
        "LongestOwedSeconds": 900,
    }
    assert {one.name: one.value for one in metrics.of_look([], 1000.0)} == {"LateSyncs": 0, "LongestOwedSeconds": 0}


def test_a_look_measures_the_deployment_and_names_no_sync(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wiring, "services", lambda: SimpleNamespace(clock=FakeClock(), deployment="Shop"))
    assert watch.handler({"syncs": ["orders", "gone"]}, CONTEXT) == {"looked": 0}
    (record,) = [one for line in capsys.readouterr().out.splitlines() if "_aws" in (one := json.loads(line))]
    (directive,) = record["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["service"]]
    assert (record["service"], record["LateSyncs"], record["LongestOwedSeconds"]) == ("Shop", [2.0], [0.0])


def test_calls_are_measured_by_what_became_of_them() -> None:
    record = CallRecord(
        sync="orders",
        run="r",
        chunk="c",
        call="1",
        attempt=1,
        started_at=0,
        seconds=1,
        request={"a": "ü"},
        reply=None,
        error="",
        change_ids=[],
        keys=[],
        outcomes=["accepted", "throttled"],
    )
    values = {metric.name: metric.value for metric in metrics.of_calls([record])}
    assert values == {"Calls": 1, "FailedCalls": 0, "ThrottledCalls": 1, "BytesSent": len('{"a":"ü"}'.encode())}
