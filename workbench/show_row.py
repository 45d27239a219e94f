"""One row's message, as people see it."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.highlighter import JSONHighlighter
from rich.markup import escape

from rowcast.models import to_json
from workbench import show_sent
from workbench.keys import text_of
from workbench.show import coloured, out


def preview(one: dict[str, Any]) -> None:
    what = f"{coloured(one['operation'])}  {escape(text_of(one['key']))}  [dim]→[/] {escape(one['target'])}"
    out.print(what)
    if not one["triggered"]:
        out.print(f"  [yellow]not sent: no trigger asks for {one['operation']} rows[/]")
    for name in ("source", "detail-type"):
        if name in one:
            out.print(f"  [dim]{name:<12}[/]{escape(one[name])}")
    if one["columns"]:
        out.print(f"  [dim]{'columns':<12}[/]{escape(', '.join(one['columns']))}")
    out.print(f"  [dim]{'bytes':<12}[/]{one['bytes']}")
    message = msgspec.json.format(to_json(one["message"]), indent=2).decode()
    out.print(JSONHighlighter()(message))  # rich's own printing of JSON would round its numbers


def tested(one: dict[str, Any]) -> None:
    show_sent.calls([one], full=True, more=False)
