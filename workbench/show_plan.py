"""A plan as people see it: counts, what the guard would say, and the first messages with old → new."""

from __future__ import annotations

from typing import Any

from rich.markup import escape

from workbench import show
from workbench.keys import text_of
from workbench.options import counted
from workbench.show_cost import money

SIGNS = {"added": "+", "changed": "~", "removed": "-"}


def plan(document: dict[str, Any]) -> None:
    out = show.out
    changes = document["added"] + document["changed"] + document["removed"]
    if document["held"]:
        out.print(f"[yellow]The guard would hold this run:[/] {escape(document['held'])}\n")
    for one in document["messages"]:
        _change(one)
    for word, names in (("added", document["columns_added"]), ("dropped", document["columns_dropped"])):
        if names:
            out.print(f"Columns {word}: {escape(', '.join(names))}")
    if not changes:
        skipped = f" ({document['skipped']:,} passed over)" if document["skipped"] else ""
        out.print(f"[green]Nothing to send.[/] {counted(document['rows'], 'row')} read{skipped}.")
        return
    hidden = changes - len(document["messages"])
    if hidden:
        out.print(f"[dim]and {hidden:,} more[/]\n")
    counts = ", ".join(f"[{show.COLOURS[word]}]{document[word]:,} {word}[/]" for word in SIGNS)
    out.print(f"[bold]Plan:[/] {counts}; {counted(document['rows'], 'row')} read.")
    if document["owed"]:
        out.print(f"  Owed by earlier runs: {document['owed']:,}; those still due are in the counts.")
    if document["skipped"]:
        out.print(f"  Passed over, since no trigger asks for them: {document['skipped']:,}.")
    cost = document["cost"]
    price = f"about {money(cost['cost'])} {cost['currency']} for the run at list prices"
    out.print(f"  At least {counted(document['calls'], 'call')}; {price}. Nothing was sent.")


def left_out(reasons: dict[str, int]) -> str:
    """Past changes that are not sent again, by reason; empty when there are none."""
    if not reasons:
        return ""
    if len(reasons) == 1:
        [(reason, count)] = reasons.items()
        return f"Left out {counted(count, 'change')}: {reason}."
    told = "; ".join(f"{count:,}: {reason}" for reason, count in sorted(reasons.items(), key=lambda one: -one[1]))
    return f"Left out {counted(sum(reasons.values()), 'change')} ({told})."


def _change(one: dict[str, Any]) -> None:
    out = show.out
    colour = show.COLOURS[one["operation"]]
    key = one["key"][0] if len(one["key"]) == 1 else one["key"]
    out.print(f"[bold {colour}]{SIGNS[one['operation']]} {one['operation']}[/] [bold]{escape(text_of(key))}[/]")
    for name, (old, new) in one["columns"].items():
        sides = f"[red]{escape(_value(old))}[/] → [green]{escape(_value(new))}[/]"
        out.print(f"    {escape(name)}: {sides}")
    if one["problem"]:
        out.print(f"    [red]would be rejected:[/] {escape(one['problem'])}")
    else:
        out.print(f"    [dim]{escape(text_of(one['message']))}[/]")
    out.print()


def _value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else text_of(value)
