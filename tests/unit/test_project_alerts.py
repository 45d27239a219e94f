"""What `alerts` in a sync's file or in the defaults comes to mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import project
from rowcast.definition import Alerts
from tests.project_folder import TO_EVENTBRIDGE

MAIN: dict[str, Any] = {
    "sources": {"shop": {"type": "files", "path": "s3://bucket/data"}},
    "alerts": {
        "team": {"type": "email", "address": "team@example.com"},
        "boss": {"type": "sms", "number": "+4930123456"},
    },
}
EVERY = {"every": "15 minutes"}
HALF_AN_HOUR = 1800.0


def load(tmp_path: Path, own: Any, *, schedule: Any = "manual", defaults: Any = None) -> project.Sync:
    (tmp_path / "syncs").mkdir()
    main = MAIN | ({"defaults": {"alerts": defaults}} if defaults is not None else {})
    sync = TO_EVENTBRIDGE | {"schedule": schedule} | ({"alerts": own} if own is not None else {})
    sync["model"] = {**sync["model"], "source": "shop"}
    (tmp_path / "rowcast.yaml").write_text(yaml.safe_dump(main))
    (tmp_path / "syncs" / "orders.yaml").write_text(yaml.safe_dump(sync))
    return project.load(tmp_path).syncs["orders"]


def rules(tmp_path: Path, own: Any, **more: Any) -> Alerts:
    return load(tmp_path, own, **more).definition.alerts


def test_a_list_names_channels(tmp_path: Path) -> None:
    sync = load(tmp_path, ["team"])
    assert sync.alerts == ("team",)
    assert sync.definition.alerts == Alerts(channels=("team",))


def test_every_rule_means_what_it_says(tmp_path: Path) -> None:
    own = {
        "channels": ["team", "boss"],
        "severity": "critical",
        "rejected": "5%",
        "reasons": "on",
        "slower_than": "10 minutes",
        "no_success_for": "2 hours",
        "rows": {"min": 10, "max": 1000, "change": "30%"},
        "unchanged_for": "7 days",
        "debt_older_than": "1 day",
        "muted_until": "1970-01-02T00:00:00Z",
    }
    assert rules(tmp_path, own) == Alerts(
        channels=("team", "boss"),
        severity="critical",
        rejected_share=0.05,
        reasons=True,
        slower_than=600,
        late_after=7200,
        min_rows=10,
        max_rows=1000,
        rows_change=0.3,
        unchanged_for=7 * 86_400,
        debt_older_than=86_400,
        muted_until=86_400,
    )


def test_rejected_may_be_a_number_of_rows(tmp_path: Path) -> None:
    assert rules(tmp_path, {"rejected": 100}).rejected_rows == 100


def test_a_sync_s_rules_win_over_the_defaults_field_by_field(tmp_path: Path) -> None:
    defaults = {"channels": ["team"], "rejected": 1, "severity": "warning"}
    found = rules(tmp_path, {"severity": "info"}, defaults=defaults)
    assert (found.channels, found.rejected_rows, found.severity) == (("team",), 1, "info")


@pytest.mark.parametrize(
    ("schedule", "late"),
    [
        ("manual", None),
        (EVERY, 2 * 900 + HALF_AN_HOUR),
        ({"every": "2 days"}, 4 * 86_400 + HALF_AN_HOUR),
        ({"cron": "0 7 * * ? *"}, 2 * 86_400 + HALF_AN_HOUR),
        ({"cron": "0 7 ? * MON *"}, None),
        ({"cron": "0 */6 * * ? *"}, None),
    ],
)
def test_a_schedule_says_when_a_sync_is_late(tmp_path: Path, schedule: Any, late: float | None) -> None:
    assert rules(tmp_path, None, schedule=schedule).late_after == late


def test_a_sync_may_go_unwatched(tmp_path: Path) -> None:
    assert rules(tmp_path, {"no_success_for": False}, schedule=EVERY).late_after is None


@pytest.mark.parametrize(
    ("own", "path"),
    [
        ({"channels": ["taem"]}, "alerts.channels[0]"),
        ({"rejected": 0}, "alerts.rejected"),
        ({"rejected": "many"}, "alerts.rejected"),
        ({"slower_than": "fast"}, "alerts.slower_than"),
        ({"rows": {"least": 1}}, "alerts.rows.least"),
        ({"severity": "bad"}, "alerts.severity"),
        ({"muted_until": "tomorrow"}, "alerts.muted_until"),
        ({"chanels": ["team"]}, "alerts.chanels"),
    ],
)
def test_a_mistake_in_a_rule_is_told_where_it_is(tmp_path: Path, own: Any, path: str) -> None:
    with pytest.raises(project.ProjectInvalid) as told:
        load(tmp_path, own)
    assert [problem.path for problem in told.value.problems] == [path]


def test_a_channel_s_secret_lies_where_cloudformation_can_read_it(tmp_path: Path) -> None:
    (tmp_path / "syncs").mkdir()
    main = MAIN | {"alerts": {"chat": {"type": "slack", "webhook": {"parameter": "slack"}}}}
    (tmp_path / "rowcast.yaml").write_text(yaml.safe_dump(main))
    with pytest.raises(project.ProjectInvalid) as told:
        project.load(tmp_path)
    assert "alerts.chat.webhook" in str(told.value)


def alarmed(tmp_path: Path, **given: Any) -> tuple[str, ...]:
    load(tmp_path, None)
    (tmp_path / "rowcast.yaml").write_text(yaml.safe_dump(MAIN | given))
    return project.load(tmp_path).alarms


def test_alarms_go_to_all_channels_unless_some_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert set(alarmed(tmp_path)) == {"team", "boss"}
    assert alarmed(tmp_path / "a", alarms=["team"]) == ("team",)
    assert alarmed(tmp_path / "b", alarms=[]) == ()


def test_an_alarm_s_channel_that_does_not_exist_is_a_mistake_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(project.ProjectInvalid) as invalid:
        alarmed(tmp_path, alarms=["teem"])
    (problem,) = invalid.value.problems
    assert (problem.path, problem.suggestion) == ("alarms[0]", "team")
