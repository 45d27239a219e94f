"""`rowcast alerts`: what is raised, what is muted, and whether a channel works."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from rowcast.alerting import Kind
from workbench.options import Commands, UsageFault, as_json, emit, from_where

KINDS = click.Choice(get_args(Kind))


@click.group(cls=Commands)
def alerts() -> None:
    """Lists alerts, mutes them, tests their channels."""


@alerts.command("list")
@click.argument("sync", required=False)
@click.option("--all", "all_", is_flag=True, help="Also those that are over.")
@from_where
@as_json
def listed(project: Path, sync: str | None, all_: bool, json_: bool, place: Any) -> None:
    """Lists the alerts that are raised, and what is muted: of SYNC, or of all syncs."""
    from workbench import show_alerts, watched

    records = list(watched.Desk(project, place, sync).alerts(everything=all_))
    if json_:
        emit(records)
    else:
        show_alerts.alerts(records)


@alerts.command()
@click.argument("channel")
@click.option("--recovered", is_flag=True, help="Sends a recovery, which resolves the test before it.")
@from_where
@as_json
def test(project: Path, channel: str, recovered: bool, json_: bool, place: Any) -> None:
    """Sends a test message to CHANNEL, by the way that alerts take."""
    from workbench import show_alerts, watched

    sent = watched.Desk(project, place).test(channel, recovered=recovered)
    if json_:
        emit([sent])
    else:
        show_alerts.sent(sent)


@alerts.command()
@click.argument("sync", required=False)
@click.option("--kind", "kinds", multiple=True, type=KINDS, help="Only alerts of this kind; more than once for more.")
@click.option("--for", "span", required=True, metavar="TIME", help="So long: 30m, 2h, 3 days.")
@from_where
@as_json
def mute(project: Path, sync: str | None, kinds: tuple[str, ...], span: str, json_: bool, place: Any) -> None:
    """Tells nothing of SYNC for a while, or nothing of a --kind of any sync."""
    from workbench import show_alerts, watched
    from workbench.sent import seconds

    length = seconds(span)
    if length is None:
        raise UsageFault(f"'{span}' is no length of time. Write 30m, 2h or 3 days.")
    if not sync and not kinds:
        raise UsageFault("Say what to mute: a sync, or --kind, or both.")
    desk = watched.Desk(project, place, sync)
    desk.mute(length, kinds)
    records = list(desk.alerts())
    if json_:
        emit(records)
    else:
        show_alerts.mutes(records)


@alerts.command()
@click.argument("sync", required=False)
@from_where
@as_json
def unmute(project: Path, sync: str | None, json_: bool, place: Any) -> None:
    """Ends every mute of SYNC, or of all syncs; what is raised is told at the next look, within 15 minutes."""
    from workbench import show_alerts, watched

    desk = watched.Desk(project, place, sync)
    desk.unmute()
    records = list(desk.alerts())
    if json_:
        emit(records)
    else:
        show_alerts.mutes(records)
