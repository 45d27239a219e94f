"""Alerts, as people see them."""

from __future__ import annotations

from typing import Any

from rich.markup import escape

from workbench.show import out
from workbench.tables import Rows


def alerts(records: list[dict[str, Any]]) -> None:
    found = [(record["sync"], alert) for record in records for alert in record["alerts"]]
    if found:
        rows = Rows("SYNC", "ALERT", "STATUS", "SINCE", "WHAT", wide={"WHAT": 1})
        for sync, one in found:
            colour = "red" if one["status"] == "raised" else "green"
            status = f"[{colour}]{one['status']}[/]" + ("" if one["told"] else " [yellow](muted)[/]")
            since = one["since"][:16].replace("T", " ")
            rows.add_row(escape(sync), one["alert"], status, since, escape(one["what"]))
        out.print(rows)
    else:
        out.print("No alert is raised.")
    _mutes(records)
    silent = [record["sync"] for record in records if not record["channels"]]
    if silent:
        out.print(f"[yellow]Nobody is told of[/] {escape(', '.join(silent))}: no channel is named.")


def mutes(records: list[dict[str, Any]]) -> None:
    if not _mutes(records):
        out.print("Nothing is muted. What is raised is told at the next look, within 15 minutes.")


def _mutes(records: list[dict[str, Any]]) -> bool:
    muted = False
    for record in records:
        if record["muted_until"]:
            out.print(f"{escape(record['sync'])} is [yellow]muted[/] until {record['muted_until']}.")
            muted = True
        for kind, until in record["muted_kinds"].items():
            out.print(f"{escape(record['sync'])}: {kind} is [yellow]muted[/] until {until}.")
            muted = True
    return muted


def sent(record: dict[str, Any]) -> None:
    channel = escape(record["channel"])
    out.print(f"EventBridge took the message ([bold]{escape(record['title'])}[/]) for {channel}.")
    if record["status"] == "raised":
        out.print(f"To resolve it: rowcast alerts test {channel} --recovered")
    out.print("If it does not arrive: the channel's rule is", escape(record["rule"]))
