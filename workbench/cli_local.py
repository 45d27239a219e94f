"""`rowcast local …`: the life of a folder's embedded AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from workbench.options import COMPLETED, FAILED, Commands, as_json, emit, silent


@click.group(cls=Commands)
def local() -> None:
    """The embedded AWS of this folder."""


@local.command()
@as_json
@click.pass_obj
def up(project: Path, json_: bool) -> int:
    """Starts it and deploys this project into it."""
    from workbench.local import deploy

    try:
        aws, deployed = deploy.ensure(project, silent if json_ else click.echo)
    except KeyboardInterrupt:
        told = "Not all is deployed. To go on: rowcast local up; to stop the embedded AWS: rowcast local down"
        click.echo(f"\n{told}", err=True)
        raise
    _show_status(project, json_)
    return COMPLETED if aws and deployed else FAILED


@local.command()
@as_json
@click.pass_obj
def status(project: Path, json_: bool) -> int:
    """Says whether it runs and what is deployed (exit code 1 when it does not run)."""
    return _show_status(project, json_)


@local.command()
@as_json
@click.pass_obj
def reset(project: Path, json_: bool) -> int:
    """Forgets everything in it, and deploys anew if it ran."""
    from workbench.local import deploy, server

    ran = server.running(project) is not None
    server.reset(project)
    if ran:
        deploy.ensure(project, silent if json_ else click.echo)
    elif not json_:
        click.echo("Nothing is left of the embedded AWS.")
    if ran or json_:
        _show_status(project, json_)
    return COMPLETED


@local.command()
@as_json
@click.pass_obj
def down(project: Path, json_: bool) -> int:
    """Stops it; its state stays for the next `up`."""
    from workbench.local import server

    ran = server.down(project)
    if json_:
        emit([{"running": False, "stopped": ran}])
    else:
        click.echo("The embedded AWS is stopped; its state is kept." if ran else "The embedded AWS was not running.")
    return COMPLETED


def _show_status(project: Path, json_: bool) -> int:
    from workbench import show
    from workbench.local import deploy, server

    state, deployed = server.running(project), deploy.read(project)
    facts: dict[str, Any] = {"running": state is not None, "project": str(project)}
    if state is not None:
        facts |= {"endpoint": state.endpoint, "region": state.region, "account": state.account, "pid": state.pid}
        facts |= {"stack": deployed.stack if deployed else None, "syncs": deployed.syncs if deployed else []}
    if json_:
        emit([facts])
    else:
        show.local(facts)
    return COMPLETED if state else FAILED
