"""The bill: what the counts are multiplied with, and what is said when something is not known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from project.times import schedule
from rowcast.definition import LambdaDestination, Trigger, Triggers
from rowcast.stores.bodies import INLINE_BYTES
from tests.project_folder import TO_EVENTBRIDGE, Folder
from tests.world import sync_definition
from workbench import cli, cost, show_cost, usage
from workbench.options import UsageFault

ROOT = Path(__file__).parents[2]
TABLE = cost.read_prices(cost.TABLE.parent)
ONE = sync_definition(triggers=Triggers(added=Trigger(), changed=Trigger()))


def work(**fields: Any) -> usage.Workload:
    return usage.Workload(**{"rows": 1_000_000, **fields})


def total(lines: list[cost.Line]) -> float:
    return sum(line.cost for line in lines)


def test_every_unit_has_a_price_and_every_price_a_unit() -> None:
    units = {line.unit for line in cost.bill(work(changed=10), ONE, TABLE, 100).month or []}
    assert units == set(TABLE.prices)


def test_a_hundred_thousand_events_cost_ten_cents_and_a_quiet_run_next_to_nothing() -> None:
    busy = cost.by_service(cost.bill(work(changed=100_000), ONE, TABLE, None).run)
    assert busy["EventBridge"] == pytest.approx(0.10, rel=0.01)
    assert total(cost.bill(work(), ONE, TABLE, None).run) < 0.002


def test_an_event_is_billed_by_64_kb() -> None:
    def events(message_bytes: int) -> float:
        return usage.usage(work(changed=100, message_bytes=message_bytes), ONE, TABLE.assumptions).units["events_event"]

    assert (events(1_000), events(100_000)) == (101, 201)


def test_messages_to_a_function_are_no_events() -> None:
    function = sync_definition(destination=LambdaDestination(function="f", batch_size=10))
    used = usage.usage(work(changed=1_000), function, TABLE.assumptions)
    assert used.units["events_event"] == 1
    assert used.requests["lambda", "Invoke"] >= 100


def test_changes_are_spread_over_the_operations_that_are_sent() -> None:
    spread = usage.workload(100, 5, 200, ONE)
    assert (spread.added, spread.changed, spread.removed) == (3, 2, 0)


def test_a_month_is_as_many_runs_as_the_schedule_starts() -> None:
    assert cost.runs_a_month(schedule({"every": "15 minutes"})) == 4 * 730
    assert cost.runs_a_month(schedule({"cron": "0 7 * * ? *"})) == pytest.approx(730 / 24)
    assert cost.runs_a_month(schedule({"cron": "0 7 ? * MON-FRI *"})) is None
    assert cost.runs_a_month(schedule("manual")) is None
    assert cost.bill(work(), ONE, TABLE, None).month is None


def test_metrics_are_billed_by_the_hour_in_which_they_have_a_value() -> None:
    def metrics(runs: float) -> float:
        return next(
            line.count for line in cost.bill(work(), ONE, TABLE, runs).month or [] if line.unit == "metric_month"
        )

    assert metrics(730 * 4) == cost.METRICS
    assert metrics(73) == pytest.approx(cost.METRICS / 10)


def test_a_project_replaces_single_prices(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("region: eu-central-1\nas_of: 2027-01-31\nprices: {events_event: 2}\n")
    own = cost.read_prices(tmp_path)
    assert (own.region, own.as_of, own.prices["events_event"]) == ("eu-central-1", "2027-01-31", 2)
    assert own.prices["s3_put"] == TABLE.prices["s3_put"]


@pytest.mark.parametrize("text", ["prices: {event: 2}", "prices: {s3_put: dear}", "price: {}", "- 1", "{"])
def test_a_table_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(UsageFault, match=r"prices\.yaml"):
        cost.read_prices(tmp_path)


def test_the_states_that_are_counted_are_those_of_the_machine() -> None:
    states = json.loads((ROOT / "infra" / "sync.asl.json").read_text())["States"]
    assert {*usage.IN_EVERY_RUN, *usage.WITH_PARTITIONS, *usage.WITH_CHUNKS} <= set(states)
    assert set(usage.IN_EVERY_SHARE) == set(states["FanOut"]["ItemProcessor"]["States"]) - {"LeftToCommit"}


def test_an_item_holds_as_much_as_the_store_puts_into_it() -> None:
    assert usage.INLINE_BYTES == INLINE_BYTES


def asked(folder: Path, *arguments: str) -> Any:
    return CliRunner().invoke(cli.cli, ["--project", str(folder), "cost", *arguments])


def test_the_command_shows_run_and_month(tmp_path: Path) -> None:
    Folder(tmp_path).write("syncs/a.yaml", TO_EVENTBRIDGE | {"schedule": {"every": "1 hour"}})
    result = asked(tmp_path, "a", "--rows", "1000000", "--changes", "1000")
    assert result.exit_code == 0, result.output
    assert "730 runs" in result.output and TABLE.as_of in result.output and "Not in it" in result.output
    sums = re.findall(r"(?m)^\S.{15} +([\d,.]+) +([\d,.]+)$", result.output)
    assert [{len(amount.partition(".")[2]) for amount in column} for column in zip(*sums, strict=True)] == [{4}, {2}]
    record = json.loads(asked(tmp_path, "a", "--rows", "1000000", "--changes", "1000", "--json").output)
    assert record["month"]["cost"] == pytest.approx(sum(record["month"]["services"].values()))
    assert record["run"]["units"]["events_event"]["count"] == 1001


def test_without_runs_it_asks_how_much_there_is(tmp_path: Path) -> None:
    Folder(tmp_path).write("syncs/a.yaml", TO_EVENTBRIDGE)
    result = asked(tmp_path, "a", "--local")
    assert isinstance(result.exception, UsageFault) and "--rows N --changes M" in str(result.exception)


def test_a_plan_is_billed_as_the_run_that_it_foresees() -> None:
    long = {"problem": "", "message": {"text": "x" * 100_000}}
    failed = {"problem": "line 1", "message": None}
    document = {"rows": 1000, "added": 30, "changed": 0, "removed": 2, "messages": [long, failed]}
    foreseen = cost.of_plan(document, ONE, TABLE)
    counts = {line.unit: line.count for line in foreseen.run}
    assert counts["events_event"] == 1 + 2 * 32, "each message counts twice, since it is longer than 64 KB"
    alike = usage.Workload(rows=1000, added=30, removed=2, row_bytes=100_011, message_bytes=100_011)
    assert show_cost.of_run(foreseen, TABLE) == {
        "currency": "USD",
        "region": TABLE.region,
        "as_of": TABLE.as_of,
        **show_cost.record("orders", alike, cost.bill(alike, ONE, TABLE, None), TABLE)["run"],
    }


def test_a_plan_that_can_make_no_message_is_billed_for_messages_of_usual_length() -> None:
    failed = {"problem": "line 1", "message": None}
    document = {"rows": 1, "added": 1, "changed": 0, "removed": 0, "messages": [failed]}
    usual = cost.bill(usage.Workload(rows=1, added=1), ONE, TABLE, None)
    assert cost.of_plan(document, ONE, TABLE) == usual
