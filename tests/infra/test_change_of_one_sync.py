"""A change of one sync's file is a change of that sync's own resources, so that `cdk diff` can be reviewed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from project.model import Project, Schedule, Sync
from rowcast.definition import Alerts, EventBridgeDestination, Limits
from tests.infra.conftest import synth
from tests.infra.projects import SHOP, buses, project, sync
from tests.infra.template import Template

ONE = "new-orders"
Change = Callable[[Sync], Sync]


def defined(**fields: object) -> Change:
    return lambda one: dataclasses.replace(one, definition=msgspec.structs.replace(one.definition, **fields))


CHANGES: dict[str, Change] = {
    "query": defined(query="SELECT order_id FROM orders"),
    "buses": defined(triggers=buses(added="other", changed="third")),
    "destination": defined(destination=EventBridgeDestination(region="eu-west-1")),
    "limits": defined(limits=Limits(concurrency=50)),
    "alerts": defined(alerts=Alerts(channels=("mail", "pager"), slower_than=60.0)),
    "schedule": lambda one: dataclasses.replace(one, schedule=Schedule(expression="rate(1 hour)")),
}


def changed(before: Template, after: Template) -> set[str]:
    names = set(before.resources) | set(after.resources)
    return {name for name in names if before.resources.get(name) != after.resources.get(name)}


def with_syncs(changes: Callable[[dict[str, Sync]], dict[str, Sync]]) -> Project:
    whole = project()
    return dataclasses.replace(whole, syncs=changes(dict(whole.syncs)))


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_one_sync_touches_that_sync_alone(template: Template, tmp_path: Path, what: str) -> None:
    after = synth(tmp_path, of=with_syncs(lambda syncs: {**syncs, ONE: CHANGES[what](syncs[ONE])}))
    touched = changed(template, after)
    assert touched
    assert {name for name in touched if not name.startswith("RowcastSyncneworders")} == set()
    assert not [name for name in touched if "RetryQueue" in name]
    assert changed_templates(template, after) == {"Rowcast.template.json", of_sync(after, ONE)}


def changed_templates(before: Template, after: Template) -> set[str]:
    """With hashes, by which a stack knows that one nested in it changed."""
    files = [{"Rowcast.template.json": one.deployed, **one.nested} for one in (before, after)]
    return {name for name in files[0].keys() | files[1].keys() if files[0].get(name) != files[1].get(name)}


def of_sync(template: Template, name: str) -> str:
    (file,) = (file for file in template.nested if file.startswith(f"RowcastSync{name.replace('-', '')}"))
    return file


ADDED = sync("newcomer", SHOP, EventBridgeDestination(), buses(added="orders"))
TOUCHED_BY_NUMBER = ("RowcastSyncnewcomer", "RowcastAlarms", "RowcastDashboards", "RowcastWatch")
"""What speaks of every sync: the list that the watch looks at, the menu of the dashboard, alarms."""


def test_another_sync_touches_no_sync_that_is_there_and_no_function_role_or_store(
    template: Template, tmp_path: Path
) -> None:
    after = synth(tmp_path, of=with_syncs(lambda syncs: {**syncs, ADDED.name: ADDED}))
    touched = changed(template, after)
    assert {name for name in touched if not name.startswith(TOUCHED_BY_NUMBER)} == set()
    assert changed_templates(template, after) == {"Rowcast.template.json", of_sync(after, ADDED.name)}
    assert {after.resources[name]["Type"] for name in touched if "Sync" not in name} == {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::Scheduler::Schedule",
    }


def test_a_sync_that_is_removed_takes_its_own_resources_along_and_nothing_that_holds_data(
    template: Template, tmp_path: Path
) -> None:
    after = synth(tmp_path, of=with_syncs(lambda syncs: {name: one for name, one in syncs.items() if name != ONE}))
    touched = changed(template, after)
    assert {name for name in touched if not name.startswith(("RowcastSyncneworders", *TOUCHED_BY_NUMBER[1:]))} == set()
    assert changed_templates(template, after) == {"Rowcast.template.json", of_sync(template, ONE)}
    gone = {template.resources[name]["Type"] for name in set(template.resources) - set(after.resources)}
    assert not gone & {"AWS::S3::Bucket", "AWS::DynamoDB::Table"}
