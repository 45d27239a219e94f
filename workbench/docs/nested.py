"""A template and those of the stacks nested in it, read as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STACK = "AWS::CloudFormation::Stack"
Body = dict[str, Any]


def file_of(stack: Body) -> str:
    """The template's file, of a resource that is a nested stack."""
    return str(stack["Metadata"]["aws:asset:path"])


def as_one(body: Body, nested: Mapping[str, Body]) -> Body:
    """`body` with the resources of the stacks nested in it in place of those, each under its id behind its stack's.
    What a parameter of a nested stack stands for takes its place. `nested`: bodies by file."""
    resources: Body = {}
    outputs: dict[str, Body] = {}
    for name, resource in body["Resources"].items():
        if resource["Type"] != STACK:
            resources[name] = resource
            continue
        inner, prefix = nested[file_of(resource)], name.partition("NestedStack")[0]
        given = resource["Properties"].get("Parameters", {})
        for child, one in inner["Resources"].items():
            resources[prefix + child] = _inside(one, given, inner["Resources"], prefix)
        outputs[name] = {
            f"Outputs.{output}": _inside(one["Value"], given, inner["Resources"], prefix)
            for output, one in inner.get("Outputs", {}).items()
        }
    whole: Body = _outside({**body, "Resources": resources}, outputs)
    return whole


def _inside(value: Any, given: Body, siblings: Mapping[str, Any], prefix: str) -> Any:
    match value:
        case {"Ref": str(name)} if name in given:
            return given[name]
        case {"Ref": str(name)} if name in siblings:
            return {"Ref": prefix + name}
        case {"Fn::GetAtt": [name, attribute]}:
            return {"Fn::GetAtt": [prefix + name, attribute]}
        case {"DependsOn": list(names)}:
            left = {key: _inside(one, given, siblings, prefix) for key, one in value.items() if key != "DependsOn"}
            return {**left, "DependsOn": [prefix + name for name in names]}
        case dict():
            return {key: _inside(one, given, siblings, prefix) for key, one in value.items()}
        case list():
            return [_inside(one, given, siblings, prefix) for one in value]
    return value


def _outside(value: Any, outputs: Mapping[str, Body]) -> Any:
    match value:
        case {"Fn::GetAtt": [str(stack), str(attribute)]} if stack in outputs:
            return outputs[stack][attribute]
        case dict():
            return {key: _outside(one, outputs) for key, one in value.items()}
        case list():
            return [_outside(one, outputs) for one in value]
    return value
