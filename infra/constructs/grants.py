"""What a role may do, each pattern with its reason, which cdk-nag wants to see acknowledged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_iam as iam
from constructs import IConstruct

Conditions = dict[str, dict[str, str | list[str]]]
TRACES = "X-Ray's actions know no resources."


@dataclass(frozen=True)
class Grant:
    """`why`: why a resource has to be a pattern; without it no resource may be one."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions | None = None
    why: str = ""

    def statement(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            actions=list(self.actions), resources=list(self.resources), conditions=self.conditions
        )


def give(role: iam.Role, grants: Iterable[Grant]) -> None:
    for grant in grants:
        role.add_to_policy(grant.statement())
        acknowledge_patterns(role, [grant])


def document(grants: Iterable[Grant]) -> iam.PolicyDocument:
    return iam.PolicyDocument(statements=[grant.statement() for grant in grants])


def acknowledge_patterns(construct: IConstruct, grants: Iterable[Grant]) -> None:
    for grant in grants:
        for resource in grant.resources:
            if "*" in resource and grant.why:
                flat = _flat(Stack.of(construct).resolve(resource))
                acknowledge(construct, f"AwsSolutions-IAM5[Resource::{flat}]", grant.why)


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """`rule` as cdk-nag names it, which begins with its pack's name."""
    pack = rule.partition("-")[0]
    Validations.of(construct).acknowledge(Acknowledgment(id=f"{pack}::{rule}", reason=reason))


def _flat(value: Any) -> str:
    """A resolved ARN in the form in which cdk-nag names it: `<Logical.Attribute>` for what CloudFormation fills in."""
    match value:
        case str():
            return value
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_flat(part) for part in parts)
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([^}]+)\}", r"<\1>", text)
    raise TypeError(f"An ARN of an unexpected form: {value}")
