"""Reading a synthesized template, with those nested in it: resources by type, who may do what, hashes masked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from workbench.docs.intrinsics import flat, listed
from workbench.docs.nested import STACK, as_one, file_of

__all__ = ["Resource", "Template", "flat", "listed"]
HASH = re.compile(r"[0-9a-f]{64}")
Resource = dict[str, Any]


class Template:
    """`deployed` is the file; `body` and `resources` read it and its nested templates as one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deployed: dict[str, Any] = json.loads((folder / "Rowcast.template.json").read_text())
        self.nested: dict[str, dict[str, Any]] = {
            file: json.loads((folder / file).read_text())
            for file in (file_of(one) for one in self.deployed["Resources"].values() if one["Type"] == STACK)
        }
        self.body = as_one(self.deployed, self.nested)
        self.resources: dict[str, Resource] = self.body["Resources"]

    def of_type(self, kind: str) -> dict[str, Resource]:
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}

    def named(self, kind: str, part: str) -> Resource:
        """The one resource of the type whose logical id holds `part`."""
        found = [one for name, one in self.of_type(kind).items() if part in name]
        assert len(found) == 1, f"{len(found)} resources of type {kind} hold {part!r} in their id"
        return found[0]

    def masked(self) -> dict[str, Any]:
        """All templates, by file."""
        whole = {"Rowcast.template.json": self.deployed, **self.nested}
        masked: dict[str, Any] = json.loads(HASH.sub("<hash>", json.dumps(whole)))
        return masked

    def statements(self, role: str) -> list[dict[str, Any]]:
        """All that the role of this logical id may do."""
        found = [
            statement
            for policy in self.resources[role]["Properties"].get("Policies", [])
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        for policy in self.of_type("AWS::IAM::Policy").values():
            if {"Ref": role} in policy["Properties"]["Roles"]:
                found += policy["Properties"]["PolicyDocument"]["Statement"]
        return found

    def allowed(self, role: str) -> dict[str, set[str]]:
        """What the role may do: action → resources, flat."""
        allowed: dict[str, set[str]] = {}
        for statement in self.statements(role):
            for action in listed(statement["Action"]):
                allowed.setdefault(action, set()).update(flat(one) for one in listed(statement["Resource"]))
        return allowed

    def role(self, part: str) -> str:
        """The logical id of the one role whose id holds `part`."""
        found = [name for name in self.of_type("AWS::IAM::Role") if part in name]
        assert len(found) == 1, f"{found} hold {part!r}"
        return found[0]
