"""What EventBridge does with an event under the deployed rules, up to the bytes that leave for an API destination.

Written from the service's documentation: patterns of exact values, where an array matches by any of its elements;
input transformers, in whose JSON templates a bare placeholder stands for its value as JSON and one inside quotes for
its text; connections, whose parameters are added to the headers and to the JSON body.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from tests.infra.template import Resource, Template, flat

Event = dict[str, Any]


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    for name, wanted in pattern.items():
        value = event.get(name)
        if isinstance(wanted, dict):
            if not isinstance(value, dict) or not matches(wanted, value):
                return False
        elif not any(_fits(one, each) for one in (value if isinstance(value, list) else [value]) for each in wanted):
            return False
    return True


def _fits(value: Any, wanted: Any) -> bool:
    return str(value).startswith(wanted["prefix"]) if isinstance(wanted, dict) else bool(value == wanted)


def transform(transformer: Mapping[str, Any] | None, event: Event) -> str:
    if transformer is None:
        return json.dumps(event)
    values = {name: _at(path, event) for name, path in transformer["InputPathsMap"].items()}
    template = transformer["InputTemplate"]
    rendered = re.sub(r'"[^"\n]*"|<([\w-]+)>', lambda found: _put(found, values), template)
    if template.lstrip().startswith("{"):
        json.loads(rendered)
    return rendered


def _put(found: re.Match[str], values: Mapping[str, Any]) -> str:
    if found[1]:
        return json.dumps(values[found[1]])
    return re.sub(r"<([\w-]+)>", lambda inner: str(values[inner[1]]), found[0])


def _at(path: str, event: Event) -> Any:
    value: Any = event
    for part in re.findall(r"[\w-]+", path.removeprefix("$.")):
        value = value[int(part) if isinstance(value, list) else part]
    return value


def targets(template: Template, event: Event) -> Iterator[tuple[Resource, str]]:
    """(target, what it gets) of every rule that matches."""
    for rule in template.of_type("AWS::Events::Rule").values():
        if matches(rule["Properties"]["EventPattern"], event):
            for target in rule["Properties"]["Targets"]:
                yield target, transform(target.get("InputTransformer"), event)


def call(template: Template, target: Resource, body: str, secrets: Mapping[str, str]) -> tuple[int, str]:
    """Calls the API destination that a target names; answers the status and the text of the reply."""
    destination = template.resources[target["Arn"]["Fn::GetAtt"][0]]["Properties"]
    connection = template.resources[destination["ConnectionArn"]["Fn::GetAtt"][0]]["Properties"]
    given = connection["AuthParameters"]
    key = given["ApiKeyAuthParameters"]
    headers = {"Content-Type": "application/json; charset=utf-8"}
    headers[key["ApiKeyName"]] = resolved(flat(key["ApiKeyValue"]), secrets)
    for parameter in given.get("InvocationHttpParameters", {}).get("BodyParameters", []):
        body = json.dumps({**json.loads(body), parameter["Key"]: resolved(flat(parameter["Value"]), secrets)})
    url = resolved(flat(destination["InvocationEndpoint"]), secrets)
    request = urllib.request.Request(
        secrets.get(url, url), data=body.encode(), headers=headers, method=destination["HttpMethod"]
    )
    with urllib.request.urlopen(request, timeout=5) as reply:
        return reply.status, reply.read().decode()


def resolved(text: str, secrets: Mapping[str, str]) -> str:
    """With CloudFormation's dynamic references filled in: the whole secret, or one field of it."""

    def value(found: re.Match[str]) -> str:
        secret = secrets[found[1]]
        return str(json.loads(secret)[found[2]]) if found[2] else secret

    return re.sub(r"\{\{resolve:secretsmanager:([^:}]+):SecretString:([^:}]*):*\}\}", value, text)
