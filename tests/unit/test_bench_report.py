"""What the page shows of what was measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from bench import plot, report
from bench.case import Case, Goal, Profile, Side, Topic
from bench.harness import store

OURS = Side(name="rowcast", call="x:y", role="ours", goal=Goal(at_most=1.4, peak_mb=300))
LIMIT = Side(name="limit", call="x:y", role="limit")
PEER = Side(name="pandas", call="x:y")
CASE = Case(name="two percent", title="2 % changed", sides=(OURS, PEER, LIMIT), reference="limit", note="Scattered.")


def of(value: float) -> dict[str, float]:
    return {"median": value, "min": value / 2, "max": value * 2}


def record(case: Case = CASE, ratio: float = 1.26, peak: float = 150.0, **sides: Any) -> dict[str, Any]:
    found = {"failed": None, "rounds": 3, "ratio": of(ratio), "seconds": of(9.0), "cpu": of(7.0), "peak_mb": peak}
    every = {side.name: {"role": side.role, "rate": None, "result": {}, **found} for side in case.sides}
    machine = {"processor": "Some CPU", "cores": 2, "memory_gb": 24, "system": "Linux 6", "load": 0.1}
    made = {"date": "2026-11-20", "machine": machine, "versions": {"duckdb": "2.0.0"}, "commit": "abc"}
    return {"recipe": msgspec.to_builtins(case), "made": made, "sides": {**every, **sides}}


def shown(*records: dict[str, Any], **about: Any) -> str:
    known = {each["recipe"]["name"]: each for each in records}
    return report.section("diff", Topic(title="Diff", **about), known)


def test_a_side_is_shown_with_ratio_spread_processor_memory_and_goal() -> None:
    assert "| **rowcast** | 1.26 | 0.63–2.52 | 9 | 7 | 150 | ≤ 1.4, ≤ 300 MB | reached |" in shown(record())


@pytest.mark.parametrize("given", [{"ratio": 1.41}, {"peak": 301.0}])
def test_a_goal_that_is_missed_is_said_to_be(given: dict[str, float]) -> None:
    assert "| ≤ 1.4, ≤ 300 MB | **not reached** |" in shown(record(**given))


def test_what_was_measured_is_held_against_the_goals_of_today() -> None:
    stricter = msgspec.structs.replace(OURS, goal=Goal(at_most=1.2))
    today = msgspec.structs.replace(CASE, sides=(stricter, PEER, LIMIT))
    assert "| 1.26 | 0.63–2.52 | 9 | 7 | 150 | ≤ 1.2 | **not reached** |" in shown(report.judged(record(), today))


def test_all_goals_are_told_together_with_where_they_are_from() -> None:
    known = {each["recipe"]["name"]: each for each in (record(), record(msgspec.structs.replace(CASE, name="b"), 1.5))}
    page = report.at_a_glance(list(report._goals(Topic(title="Diff: peers", about=""), known)))
    assert "1 of 2 goals are reached." in page
    assert (
        "| [Diff: peers](#diff-peers) | 2 % changed: rowcast | 1.26 × limit | 150 | ≤ 1.4, ≤ 300 MB | reached |" in page
    )
    assert "| 1.5 × limit | 150 | ≤ 1.4, ≤ 300 MB | **not reached** |" in page


def test_a_rate_is_judged_by_its_least() -> None:
    fast = Side(name="ours", call="x:y", role="ours", goal=Goal(at_least=8.0))
    case = Case(name="r", title="Rate", sides=(fast, LIMIT), reference="limit", rate=True, unit="events")
    assert "| events/s |" in shown(
        record(
            case,
            ours={**record()["sides"]["rowcast"], "rate": of(95_000.0)},
            limit={**record()["sides"]["limit"], "rate": of(8_000.0)},
        )
    )
    assert report._reached(fast.goal, 7.9, 0) == "**not reached**"
    assert report._reached(fast.goal, 8.0, 0) == "reached"


def test_a_peer_that_failed_is_shown_with_its_reason() -> None:
    failed = {"role": "peer", "failed": "out of memory", "rounds": 0}
    text = shown(record(pandas=failed))
    assert "| pandas | – | out of memory |" in text


def test_the_command_the_machine_and_the_versions_stand_below_the_table() -> None:
    text = shown(record())
    assert "`python -m bench diff --case 'two percent'`: 3 rounds, 2026-11-20, commit abc" in text
    assert "Some CPU, 2 cores, 24 GB, Linux 6" in text
    assert "duckdb 2.0.0" in text


def test_what_remains_and_where_time_went_are_told() -> None:
    profile = Profile(stage="diff", unit="s", before={"read": 9.0}, after={"read": 4.0, "merge": 1.0})
    text = shown(record(), remains="Decoding is single.", profiles=(profile,))
    assert "| merge | – | 1 |" in text
    assert text.rstrip().endswith("Decoding is single.")


def test_a_table_and_plots_of_a_side_are_shown_as_they_are() -> None:
    drawn = {"title": "Seconds by rows", "x": "rows", "y": "s", "series": {"ours": [[1, 2], [2, 4]]}}
    result = {"table": {"columns": ["service", "calls"], "rows": [["S3", 12_000]]}, "plots": [drawn]}
    found = record(rowcast={**record()["sides"]["rowcast"], "result": result})
    assert "| S3 | 12,000 |" in shown(found)
    assert "![Seconds by rows](benchmarks/diff-two-percent-1.svg)" in shown(found)
    files = dict(report.plots("diff", Topic(title="Diff"), {"two percent": found}))
    assert set(files) == {"diff.svg", "diff-two-percent-1.svg"}


def test_plots_are_well_formed_and_mind_the_readers_ground() -> None:
    for text in dict(report.plots("diff", Topic(title="A & B"), {"two percent": record()})).values():
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "prefers-color-scheme: dark" in text


def test_a_straight_line_is_fitted_by_least_squares() -> None:
    assert plot.straight([(1, 3), (2, 5), (3, 7)]) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("value", "told"), [(0.126, "0.126"), (12.34, "12.3"), (1234.0, "1,234"), (95_000.0, "95 k"), (2.7e6, "2.7 M")]
)
def test_numbers_have_three_digits_that_count(value: float, told: str) -> None:
    assert plot.number(value) == told


def test_bars_that_differ_widely_stand_on_a_logarithmic_scale() -> None:
    assert plot.Scale([0.1, 88.0], 0, 100).is_log
    assert not plot.Scale([1.0, 10.0], 0, 100).is_log
    assert plot.Scale([0.1, 88.0], 0, 100)(0.1) == 0


def test_a_page_keeps_the_figures_of_what_was_not_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = msgspec.structs.replace(CASE, name="large", title="Large", size="full")
    module = SimpleNamespace(TOPIC=Topic(title="Diff"), cases=lambda size: [CASE] if size == "small" else [large])
    monkeypatch.setattr(report, "TOPICS", ("diff",))
    monkeypatch.setattr(report, "module_path", lambda _: Path(__file__))
    monkeypatch.setattr(report, "topic", lambda _: (module.TOPIC, module.cases))
    monkeypatch.setattr(report, "PAGE", tmp_path / "benchmarks.md")
    monkeypatch.setattr(report, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "new")
    for case, ratio in ((CASE, 1.0), (large, 2.0)):
        store("diff", case, record(case, ratio), tmp_path / "kept")
    store("diff", CASE, record(ratio=1.11), tmp_path / "new")
    store("diff", msgspec.structs.replace(CASE, name="given up"), record(), tmp_path / "new")
    report.write()
    page = (tmp_path / "benchmarks.md").read_text()
    assert "| **rowcast** | 1.11 |" in page
    assert "| **rowcast** | 2 |" in page
    assert "given up" not in page
