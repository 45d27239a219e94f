"""What the syncs ask for together, against what a region gives."""

from __future__ import annotations

import dataclasses

import msgspec

from infra.quotas import Quotas, warnings
from project import load
from project.model import Project
from rowcast.definition import Account, Destination, EventBridgeDestination, LambdaDestination, Limits, Rate
from tests.infra.projects import PARTNER, SHOP, buses, project, sync
from tests.infra.test_app import SHOP as EXAMPLE

HERE = EventBridgeDestination()


def asking(*wishes: tuple[Destination, Limits]) -> Project:
    syncs = {}
    for number, (destination, limits) in enumerate(wishes):
        one = sync(f"sync{number}", SHOP, destination, buses(added="orders"))
        definition = msgspec.structs.replace(one.definition, limits=limits)
        syncs[one.name] = dataclasses.replace(one, definition=definition)
    return dataclasses.replace(project(), syncs=syncs)


def rate(count: int, pool: str | None = None) -> Limits:
    return Limits(rate=Rate(count=count, seconds=1), pool=pool)


def told(of: Project, region: str | None = "eu-south-1", **given: int) -> list[str]:
    return [name for name, _ in warnings(of, Quotas.read(region, **given))]


def test_rates_that_a_region_cannot_take_together_are_told() -> None:
    assert told(asking((HERE, rate(300)), (HERE, rate(100)))) == []
    assert told(asking((HERE, rate(300)), (HERE, rate(101)))) == ["rowcast:events-eu-south-1"]
    [(_, text)] = warnings(asking((HERE, rate(401))), Quotas.read("eu-south-1"))
    assert "sync0 may send 401 events a second to eu-south-1, whose quota of PutEvents is 400" in text


def test_a_pool_s_rate_counts_once() -> None:
    assert told(asking((HERE, rate(300, "crm")), (HERE, rate(300, "crm")))) == []


def test_each_region_is_judged_by_its_own_quota() -> None:
    there = EventBridgeDestination(region="us-east-1")
    assert told(asking((there, rate(5000)), (HERE, rate(400)))) == []
    assert told(asking((EventBridgeDestination(region="mx-central-1"), rate(601)))) == ["rowcast:events-mx-central-1"]


def test_a_region_that_is_not_known_yet_and_another_account_are_not_judged() -> None:
    partner = EventBridgeDestination(account=Account(role_arn=PARTNER, external_id="x"))
    assert told(asking((HERE, rate(100_000))), region=None) == []
    assert told(asking((partner, rate(100_000)))) == []


def test_executions_are_counted_over_workers_and_the_functions_they_invoke() -> None:
    function = LambdaDestination(function="welcome")
    wish = asking((function, Limits(concurrency=400)), (function, Limits(concurrency=400)))
    workers = 2 * Limits(concurrency=400).workers
    assert told(wish, executions=800 + workers) == []
    assert told(wish, executions=799 + workers) == ["rowcast:executions"]
    assert told(asking((HERE, Limits(concurrency=400))), executions=Limits(concurrency=400).workers) == []


def test_a_quota_that_was_raised_is_believed() -> None:
    assert told(asking((HERE, rate(4000))), events=5000) == []


def test_the_example_asks_for_no_more_than_an_account_gives_at_first() -> None:
    assert told(load(EXAMPLE), region="eu-west-1") == []
