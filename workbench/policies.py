"""Policies and commands to paste for what a sync may not do yet."""

from __future__ import annotations

import json
import shlex
from typing import Any

from rowcast.definition import Definition, EventBridgeDestination, SecretRef
from rowcast.models import OPERATIONS


def buses_of(definition: Definition) -> list[str]:
    triggers = [definition.triggers.of(operation) for operation in OPERATIONS]
    return sorted({trigger.bus or "default" for trigger in triggers if trigger is not None})


def region_of(definition: Definition, default: str) -> str:
    destination = definition.destination
    if destination.region is not None:
        return destination.region
    if not isinstance(destination, EventBridgeDestination) and destination.function.startswith("arn:"):
        return destination.function.split(":")[3]
    return default


def targets(definition: Definition, *, region: str, account: str) -> list[str]:
    """The ARNs that the sync sends to."""
    region = region_of(definition, region)
    destination = definition.destination
    if destination.account is not None and destination.account.role_arn is not None:
        account = destination.account.role_arn.split(":")[4]
    if isinstance(destination, EventBridgeDestination):
        return [bus if bus.startswith("arn:") else f"arn:aws:events:{region}:{account}:event-bus/{bus}"
                for bus in buses_of(definition)]  # fmt: skip
    if destination.function.startswith("arn:"):
        return [destination.function]
    return [f"arn:aws:lambda:{region}:{account}:function:{destination.function}"]


def permissions(definition: Definition, *, region: str, account: str) -> dict[str, Any]:
    """What a role or user needs that sends for this sync."""
    events = isinstance(definition.destination, EventBridgeDestination)
    actions = (
        ["events:PutEvents", "events:DescribeEventBus"]
        if events
        else ["lambda:InvokeFunction", "lambda:GetFunctionConfiguration"]
    )
    resources = targets(definition, region=region, account=account)
    return _document({"Effect": "Allow", "Action": actions, "Resource": resources})


def sending(definition: Definition) -> str:
    """The action with which the sync's messages are sent."""
    return "events:PutEvents" if isinstance(definition.destination, EventBridgeDestination) else "lambda:InvokeFunction"


def bus_policy(bus_arn: str, delivery_role_arn: str) -> dict[str, Any]:
    """What a bus of another account must say to let the delivery role send to it without a role there."""
    return _document(
        {
            "Sid": "rowcast",
            "Effect": "Allow",
            "Principal": {"AWS": delivery_role_arn},
            "Action": "events:PutEvents",
            "Resource": bus_arn,
        }
    )


def lets_in(policy: str, role_arn: str) -> bool | None:
    """Whether a bus's policy lets the role put events; None when its conditions or denials decide."""
    allowed: bool | None = False
    for statement in _list(json.loads(policy or "{}").get("Statement", [])):
        if not _speaks_of(statement, role_arn):
            continue
        if "Condition" in statement or statement["Effect"] == "Deny":
            return None
        allowed = True
    return allowed


def _speaks_of(statement: dict[str, Any], role_arn: str) -> bool:
    account = role_arn.split(":")[4]
    principal = statement.get("Principal", {})
    who = ["*"] if principal == "*" else _list(principal.get("AWS", []))
    actions = {action.lower() for action in _list(statement.get("Action", []))}
    known = {"*", account, f"arn:aws:iam::{account}:root", role_arn}
    return bool(known & set(who)) and bool({"*", "events:*", "events:put*", "events:putevents"} & actions)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def trust(delivery_role_arn: str, external_id: str | None) -> dict[str, Any]:
    """Whom a role of another account must let in."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": delivery_role_arn},
    }
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return _document(statement)


def _document(statement: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust_command(role_arn: str, document: dict[str, Any]) -> str:
    return _aws("iam", "update-assume-role-policy", "--role-name", _name(role_arn), "--policy-document", document)


def permissions_command(role_arn: str, document: dict[str, Any]) -> str:
    name = ("--policy-name", "rowcast")
    return _aws("iam", "put-role-policy", "--role-name", _name(role_arn), *name, "--policy-document", document)


def bus_command(bus: str, region: str) -> str:
    return _aws("events", "create-event-bus", "--region", region, "--name", bus.rpartition("/")[2])


def bus_policy_command(bus_arn: str, document: dict[str, Any]) -> str:
    region, name = bus_arn.split(":")[3], bus_arn.rpartition("/")[2]
    return _aws("events", "put-permission", "--region", region, "--event-bus-name", name, "--policy", document)


def secret_command(ref: SecretRef) -> str:
    if ref.store == "parameter":
        return _aws("ssm", "put-parameter", "--type", "SecureString", "--name", ref.name, "--value", "…")
    return _aws("secretsmanager", "create-secret", "--name", ref.name, "--secret-string", {ref.key: "…"})


def _name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]


def _aws(*words: Any) -> str:
    return shlex.join(
        ["aws", *(word if isinstance(word, str) else json.dumps(word, ensure_ascii=False) for word in words)]
    )
