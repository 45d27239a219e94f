"""What the doctor found, as people see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from workbench.show import out
from workbench.tables import Rows

if TYPE_CHECKING:
    from workbench.doctor import Check

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "unknown": "cyan"}


def check(one: Check) -> None:
    rights = "" if one.rights == "yours" else f"  [dim](with {one.rights} rights)[/]"
    status = f"[{_COLOURS[one.status]}]{one.status:<8}[/]"
    out.print(f"{status}{escape(one.sync)}  [bold]{one.check:<9}[/] {escape(one.found)}{rights}")
    if one.todo:
        out.print(f"        {escape(one.todo)}")
    for name, document in one.policies.items():
        out.print(f"        [dim]{escape(name)}:[/]")
        out.print(escape(json.dumps(document, indent=2)))
    for command in one.commands:
        out.print(f"        [dim]$[/] {escape(command)}")


def buses(records: list[dict[str, Any]]) -> None:
    rows = Rows("BUS", "ARN")
    for one in records:
        rows.add_row(escape(one["name"]), escape(one["arn"]))
    out.print(rows)
