"""docs/reference/permissions.md: what every role of the reviewed template may do."""

from __future__ import annotations

import json
from typing import Any

from workbench.docs.intrinsics import flat, listed, short

Statement = dict[str, Any]
Resources = dict[str, dict[str, Any]]

OF_EVERY_FUNCTION = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
HEAD = """# Permissions

What every role of a deployment may do. `make reference` makes it from the reviewed template of a project with one sync
of each kind, `tests/infra/template.snapshot.json`. Tests hold the same rights in a commented table and fail on others.

Names in `<…>` are resources of the stack or pseudo parameters of CloudFormation. Every function may also write its own
log and its traces. No role may do anything with everything, but for the network interfaces of a function inside a VPC,
logs and traces.
"""
PURPOSES = {
    "FunctionsOpenRole": "`open` takes the sync's lock, takes up what an earlier run left and drains the retry queue.",
    "FunctionsSnapshot": "`snapshot` of one source: its own function, since only that may read the source.",
    "FunctionsDiffRole": "`diff` compares a partition with its baseline and writes chunks of changes.",
    "FunctionsSealRole": "`seal` closes the change set and asks the guard.",
    "FunctionsPublishRole": "`fan out` to event buses. The right to send lies in the delivery role of the sync.",
    "FunctionsInvokeRole": "`fan out` to functions. The right to invoke lies in the delivery role of the sync.",
    "FunctionsCommitRole": "`commit` books debts and moves the baseline.",
    "FunctionsWatchRole": "The watch looks every 15 minutes for what did not happen.",
    "FunctionsFailRole": "`fail` records why a run ended.",
    "WorkflowRole": "The state machine.",
    "SchedulesRole": "EventBridge Scheduler, for the syncs' schedules.",
    "WatchRole": "EventBridge Scheduler, for the watch.",
    "Channels": "EventBridge, for one alert channel.",
    "Sync": "The delivery role of one sync: its targets and nothing else.",
}


def page(template: dict[str, Any]) -> str:
    """The whole page. Raises LookupError for a role whose purpose is not told here."""
    resources: Resources = template["Resources"]
    roles = sorted(
        (name for name, one in resources.items() if one["Type"] == "AWS::IAM::Role"),
        key=lambda name: (_rank(short(name)), short(name)),
    )
    parts = [HEAD, *(_role(resources, name) for name in roles), _resource_policies(resources)]
    return "\n".join(parts)


def _rank(name: str) -> int:
    for rank, beginning in enumerate(PURPOSES):
        if name.startswith(beginning):
            return rank
    raise LookupError(f"Say in workbench/docs/permissions.py what the role {name} is for")


def _role(resources: Resources, name: str) -> str:
    properties = resources[name]["Properties"]
    purpose = list(PURPOSES.values())[_rank(short(name))]
    trust = properties["AssumeRolePolicyDocument"]["Statement"]
    return "\n".join(
        [
            f"## {short(name)}\n",
            f"{purpose} Assumed by {' and '.join(_principals(one) for one in trust)}.\n",
            _table(one for one in _statements(resources, name) if not set(listed(one["Action"])) <= OF_EVERY_FUNCTION),
        ]
    )


def _statements(resources: Resources, role: str) -> list[Statement]:
    found = [
        one
        for policy in resources[role]["Properties"].get("Policies", [])
        for one in policy["PolicyDocument"]["Statement"]
    ]
    for policy in resources.values():
        if policy["Type"] == "AWS::IAM::Policy" and {"Ref": role} in policy["Properties"]["Roles"]:
            found += policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def _table(statements: Any) -> str:
    rights: dict[tuple[str, str], set[str]] = {}
    for one in statements:
        for resource in listed(one["Resource"]):
            actions = set(listed(one["Action"])) - OF_EVERY_FUNCTION
            rights.setdefault((flat(resource), _conditions(one)), set()).update(actions)
    lines = ["| may | on | if |", "|---|---|---|"]
    for (resource, condition), actions in sorted(rights.items()):
        lines.append(f"| {', '.join(f'`{one}`' for one in sorted(actions))} | `{resource}` | {condition} |")
    return "\n".join(lines) + "\n"


def _resource_policies(resources: Resources) -> str:
    """What queues and topics let others do; what they refuse (plain transport, other accounts) is in SECURITY.md."""
    lines = ["## Queues and topics\n", "Whom they let in by their own policies.\n"]
    lines += ["| queue or topic | who | may | if |", "|---|---|---|---|"]
    for name in sorted(resources, key=short):
        one = resources[name]
        if one["Type"] not in {"AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"}:
            continue
        for statement in one["Properties"]["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                actions = ", ".join(f"`{action}`" for action in listed(statement["Action"]))
                where = f"`{flat(statement['Resource'])}`"
                lines.append(f"| {where} | {_principals(statement)} | {actions} | {_conditions(statement)} |")
    return "\n".join(lines) + "\n"


def _principals(statement: Statement) -> str:
    principal = statement["Principal"]
    named = [one for kind in principal.values() for one in listed(kind)] if isinstance(principal, dict) else [principal]
    return ", ".join(f"`{flat(one)}`" for one in named)


def _conditions(statement: Statement) -> str:
    told = []
    for test, keys in statement.get("Condition", {}).items():
        for key, value in keys.items():
            values = " or ".join(f"`{flat(one) if isinstance(one, dict) else _plain(one)}`" for one in listed(value))
            told.append(f"`{key}` {'is' if test in {'StringEquals', 'ArnEquals', 'Bool'} else 'like'} {values}")
    return " and ".join(told)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
