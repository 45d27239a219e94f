"""What the doctor found, as people see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from workbench.show import out, table

if TYPE_CHECKING:
    from workbench.doctor import Check

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "unknown": "cyan"}


def check(one: Check) -> None:
    rights = "" if one.rights == "yours" else f"  [dim](with {one.rights} rights)[/]"
    status = f"[{_COLOURS[one.status]}]{one.status:<8}[/]"
    out.print(f"{status}{escape(one.sync)}  [bold]{one.check:<9}[/] {escape(one.found)}{rights}", soft_wrap=True)
    if one.todo:
        out.print(f"        {escape(one.todo)}", soft_wrap=True)
    for name, document in one.policies.items():
        out.print(f"        [dim]{escape(name)}:[/]", soft_wrap=True)
        out.print(escape(json.dumps(document, indent=2)), soft_wrap=True)
    for command in one.commands:
        out.print(f"        [dim]$[/] {escape(command)}", soft_wrap=True)


def buses(records: list[dict[str, Any]]) -> None:
    rows = table("BUS", "ARN", wide={"ARN": 1})
    for one in records:
        rows.add_row(escape(one["name"]), escape(one["arn"]))
    out.print(rows)
