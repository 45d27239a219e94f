"""What each further sync adds to a deployment, whose limits are CloudFormation's."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_sqs as sqs

import project
from bench.synth import many
from infra.constructs import layers
from infra.constructs import sync as sync_module
from infra.constructs.alarms import Alarms
from project.model import Schedule
from rowcast.definition import Account, EventBridgeDestination
from tests.infra.conftest import synth
from tests.infra.projects import SHOP, buses, sync
from tests.infra.projects import project as of_each_kind
from tests.infra.template import Template, flat
from workbench.docs.nested import STACK

POLICY_LIMIT, RESOURCE_LIMIT, TEMPLATE_LIMIT = 10_240, 500, 1_000_000
SYNCS = 200


def assets(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.glob("*.assets.json")
    return [asset["source"] for asset in json.loads(file.read_text())["files"].values()]


def test_a_further_sync_adds_its_definition_and_stack_and_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[Any] = []
    digest_of = layers.digest_of
    monkeypatch.setattr(layers, "digest_of", lambda *given: digests.append(given) or digest_of(*given))
    found, hashed = {}, {}
    for count in (1, 4):
        digests.clear()
        out = tmp_path / f"out-{count}"
        synth(out, of=project.load(many(tmp_path / f"project-{count}", count)))
        found[count] = Counter(_kind(source) for source in assets(out))
        hashed[count] = len(digests)
    assert found[4] - found[1] == Counter({"asset": 3, "nested.template": 3})
    assert found[4]["zip"] == found[1]["zip"]
    assert hashed[4] == hashed[1]


def _kind(source: dict[str, Any]) -> str:
    if source["packaging"] == "zip":
        return "zip"
    return "nested.template" if source["path"].endswith(".nested.template.json") else source["path"].partition(".")[0]


def of_so_many(count: int, folder: Path) -> Template:
    names = [f"sync-number-{number:03}" for number in range(count)]
    hourly = Schedule(expression="rate(1 hour)")
    syncs = {name: sync(name, SHOP, EventBridgeDestination(), buses(added=name), schedule=hourly) for name in names}
    return synth(folder, of=dataclasses.replace(of_each_kind(), syncs=syncs))


def test_two_hundred_syncs_fit_and_no_role_grows_with_them(tmp_path: Path) -> None:
    """Reckoned from ten and twenty."""
    ten, twenty = (of_so_many(count, tmp_path / str(count)) for count in (10, 20))

    def at_last(of_ten: int, of_twenty: int) -> int:
        return of_ten + (of_twenty - of_ten) * (SYNCS - 10) // 10

    assert at_last(len(ten.deployed["Resources"]), len(twenty.deployed["Resources"])) < RESOURCE_LIMIT
    size = [(one.folder / "Rowcast.template.json").stat().st_size for one in (ten, twenty)]
    assert at_last(*size) < TEMPLATE_LIMIT
    policies = [
        {name: flat(json.dumps(one["Properties"]["PolicyDocument"])) for name, one in kind.items()}
        for kind in (ten.of_type("AWS::IAM::Policy"), twenty.of_type("AWS::IAM::Policy"))
    ]
    assert policies[0] == policies[1]
    assert max(map(len, policies[1].values())) < POLICY_LIMIT


def test_outputs_stop_where_a_stack_would_have_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "MOST_OUTPUTS", 5)
    partner = EventBridgeDestination(account=Account(role_arn="arn:aws:iam::222233334444:role/partner"))
    names = [f"partner-{number}" for number in range(4)]
    syncs = {name: sync(name, SHOP, partner, buses(added="orders")) for name in names}
    outputs = synth(tmp_path, of=dataclasses.replace(of_each_kind(), syncs=syncs)).deployed["Outputs"]
    told = [name for name in outputs if "ExternalId" in name or "DeliveryRoleArn" in name]
    assert len(told) == 4
    assert len(outputs) - len(told) + 180 <= 200


def test_a_dashboard_s_widget_holds_the_hundred_alarms_that_it_can() -> None:
    alarms = Alarms(Stack(), "Alarms", name="name")
    alarms.on_late_syncs()
    for number in range(120):
        scope = Stack()
        alarms.on_old_debts(scope, sync=f"sync{number}", queue=sqs.Queue(scope, "Queue"), age=Duration.days(1))
    alarms.on_long_owed(age=Duration.days(1))
    shown = [one.node.id for one in alarms.shown]
    assert shown == ["SyncsLate", "RowsLongOwed", *(f"OldDebts-sync{number}" for number in range(98))]


def test_all_that_a_stack_of_a_sync_needs_of_the_whole_is_given_to_it(template: Template) -> None:
    """Else the reference would be to nothing."""
    known = {*template.resources, *template.body.get("Parameters", {})}
    lost = {name for name in referred(template.resources) if name not in known and not name.startswith("AWS::")}
    assert lost == set()
    assert not [one for one in template.resources.values() if one["Type"] == STACK]


def test_nothing_of_the_deployment_waits_for_a_sync_s_stack(template: Template) -> None:
    resources = template.deployed["Resources"]
    stacks = {name for name, one in resources.items() if one["Type"] == STACK}
    awaited = {*referred(resources), *(name for one in resources.values() for name in one.get("DependsOn", []))}
    assert len(stacks) == len(of_each_kind().syncs)
    assert not stacks & awaited


def referred(value: Any) -> Iterator[str]:
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [name, _]}:
            yield name
        case dict():
            for one in value.values():
                yield from referred(one)
        case list():
            for one in value:
                yield from referred(one)
