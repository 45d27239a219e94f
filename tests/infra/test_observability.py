"""Dashboards, alarms and saved queries speak of what is really measured and logged."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.constructs.queries import QUERIES
from rowcast import metrics
from tests.infra.conftest import ROOT
from tests.infra.projects import project
from tests.infra.template import Template, flat

MEASURED = {*metrics.COUNTS, *metrics.SECONDS, *metrics.ENDS, "OldestDebtSeconds"} | {
    metric.name for metric in metrics.of_calls([])
}
LOGGED = {"sync", "run", "partition", "chunks", "seconds", "peak_mb", "error", "message", "level"}
COLUMNS = 24


def dashboard(template: Template, part: str) -> dict[str, Any]:
    body = template.named("AWS::CloudWatch::Dashboard", f"Dashboards{part}")["Properties"]["DashboardBody"]
    loaded: dict[str, Any] = json.loads(flat(body))
    return loaded


@pytest.mark.parametrize("part", ["Deployment", "Sync"])
def test_no_widget_hides_another(template: Template, part: str) -> None:
    taken: set[tuple[int, int]] = set()
    for widget in dashboard(template, part)["widgets"]:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells


def test_every_metric_that_is_shown_is_measured_and_every_one_is_shown(template: Template) -> None:
    whole, one = (json.dumps(dashboard(template, part)) for part in ("Deployment", "Sync"))
    searched = set(re.findall(r'MetricName=\\\\?\\?"(\w+)', whole))
    shown = set(re.findall(r'\["Rowcast", "(\w+)"', one))
    assert searched
    assert searched <= MEASURED
    assert shown == MEASURED
    looked = {metric.name for metric in metrics.of_look([], 0)}
    assert set(re.findall(r'\["Rowcast", "(\w+)"', whole)) == looked


def test_a_menu_chooses_the_sync_that_is_shown(template: Template) -> None:
    (menu,) = dashboard(template, "Sync")["variables"]
    assert menu["property"] == "sync"
    assert {value["value"] for value in menu["values"]} == set(project().syncs)


def test_the_deployment_s_dashboard_shows_every_alarm(template: Template) -> None:
    (status,) = [one for one in dashboard(template, "Deployment")["widgets"] if one["type"] == "alarm"]
    assert len(status["properties"]["alarms"]) == len(template.of_type("AWS::CloudWatch::Alarm"))


def test_every_function_is_watched_within_the_ten_metrics_of_an_alarm(template: Template) -> None:
    watched: dict[str, set[str]] = {}
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm").items():
        used = [one for one in alarm["Properties"].get("Metrics", []) if "MetricStat" in one]
        assert len(used) <= 10
        for one in used:
            for dimension in one["MetricStat"]["Metric"]["Dimensions"]:
                if dimension["Name"] == "FunctionName":
                    kind = re.sub(r"\d*[0-9A-F]{8}$", "", name.removeprefix("RowcastAlarms"))
                    watched.setdefault(kind, set()).add(flat(dimension["Value"]))
    functions = {flat({"Ref": name}) for name in template.of_type("AWS::Lambda::Function")}
    assert watched["FunctionErrors"] | watched["UntoldErrors"] == watched["FunctionsThrottled"] == functions
    assert not watched["FunctionErrors"] & watched["UntoldErrors"]
    stopping_short = {f"<Functions{name}Function>" for name in ("Publish", "Invoke", "Commit")}
    assert watched["TimeOutsNear"] == functions - stopping_short


def test_every_saved_query_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?m)^\| `([A-Z][a-z]+ [^`]+)` \|", page)) == set(QUERIES)


def test_saved_queries_ask_for_what_is_logged_in_every_function_s_group(template: Template) -> None:
    saved = template.of_type("AWS::Logs::QueryDefinition").values()
    assert {one["Properties"]["Name"] for one in saved} == {f"Rowcast/Rowcast/{title}" for title in QUERIES}
    groups = {flat({"Ref": name}) for name in template.of_type("AWS::Logs::LogGroup") if "Functions" in name}
    for one in saved:
        assert {flat(group) for group in one["Properties"]["LogGroupNames"]} == groups
        listed = re.findall(r"^fields (.*)$", one["Properties"]["QueryString"], re.MULTILINE)
        assert {name.strip() for line in listed for name in line.split(",") if "@" not in name} <= LOGGED
