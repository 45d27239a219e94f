"""The one place where the emulator's copy of a template differs from what a customer deploys.

CloudFormation in ministack rejects a whole template for one resource type that it does not know; none of these takes
part in a run. Schedules are deployed and switched off: on this machine people start the runs, so that nothing is sent
behind their backs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REFUSED = frozenset(
    {
        "AWS::CDK::Metadata",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::Events::ApiDestination",
        "AWS::Events::Archive",
        "AWS::Events::Connection",
        "AWS::Events::EventBusPolicy",
        "AWS::Logs::QueryDefinition",
        "AWS::StepFunctions::StateMachineAlias",
        "AWS::StepFunctions::StateMachineVersion",
    }
)


def fit(assembly: Path) -> None:
    """Makes the templates of a cloud assembly, nested ones too, such as the emulator takes. An asset keeps its key."""
    for file in assembly.glob("*.template.json"):
        file.write_text(json.dumps(for_emulator(json.loads(file.read_text()))))


def for_emulator(template: dict[str, Any]) -> dict[str, Any]:
    """A copy without the refused resources and what points to them, and with schedules that do not fire."""
    resources = template.get("Resources", {})
    gone = {name for name, resource in resources.items() if _refused(resource)}
    while True:
        left = {name: _without_order(resource, gone) for name, resource in resources.items() if name not in gone}
        pointing = {name for name, resource in left.items() if _refers(resource, gone)}
        if not pointing:
            break
        gone |= pointing
    for name, resource in left.items():
        if resource["Type"] == "AWS::Scheduler::Schedule":
            left[name] = {**resource, "Properties": {**resource["Properties"], "State": "DISABLED"}}
    outputs = {name: one for name, one in template.get("Outputs", {}).items() if not _refers(one, gone)}
    rules = {name: one for name, one in template.get("Rules", {}).items() if name != "CheckBootstrapVersion"}
    return {**template, "Resources": left, "Outputs": outputs, "Rules": rules}


def _refused(resource: dict[str, Any]) -> bool:
    """An alarm on more than one metric is refused too."""
    of_several = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource.get("Properties", {})
    return resource["Type"] in REFUSED or of_several


def _without_order(resource: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    order = resource.get("DependsOn")
    if order is None:
        return resource
    names = [order] if isinstance(order, str) else order
    return {**resource, "DependsOn": [name for name in names if name not in gone]}


def _refers(value: Any, gone: set[str]) -> bool:
    if isinstance(value, list):
        return any(_refers(item, gone) for item in value)
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("Ref"), str) and value["Ref"] in gone:
        return True
    attribute = value.get("Fn::GetAtt")
    if isinstance(attribute, list) and attribute and attribute[0] in gone:
        return True
    return any(_refers(item, gone) for item in value.values())
