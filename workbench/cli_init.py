"""`rowcast init`: a new project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from workbench.options import UsageFault, as_json, emit

_SOURCES = click.Choice(["files", "postgres"])
_DESTINATIONS = click.Choice(["eventbridge", "lambda"])


@click.command()
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--source", type=_SOURCES, help="What is queried: files (with a sample) or a PostgreSQL database.")
@click.option("--destination", type=_DESTINATIONS, help="What is sent: events, or invocations of a function.")
@click.option("--name", help="The project's and its stack's name (default: made of the folder's).")
@click.option("--yes", is_flag=True, help="Ask nothing: what is not given is files, eventbridge and the folder's name.")
@as_json
@click.pass_obj
def init(
    project: Path,
    directory: Path | None,
    source: Any,
    destination: Any,
    name: str | None,
    yes: bool,
    json_: bool,
) -> None:
    """Makes a new project in DIR, with a sync that runs at once; overwrites nothing."""
    from workbench import starter

    folder = directory if directory is not None else project
    asks = not (yes or json_)
    chosen = starter.Starter(
        source=source or _ask(asks, "Source", "files", _SOURCES),
        destination=destination or _ask(asks, "Destination", "eventbridge", _DESTINATIONS),
        name=name or _ask(asks, "Name", starter.name_for(folder.resolve()), click.types.FuncParamType(_name)),
    )
    files = starter.write(folder, chosen)
    commands = starter.next_commands(folder, chosen)
    if json_:
        emit([{"project": chosen.name, "folder": str(folder.resolve()), "files": files, "next": commands}])
        return
    click.echo(f"Made {chosen.name} in {folder}: {', '.join(files)}")
    click.echo("Next:")
    for command in commands:
        click.echo(f"  {command}")


def _name(text: str) -> str:
    from workbench import starter

    try:
        return starter.check_name(text)
    except UsageFault as fault:
        raise click.UsageError(str(fault)) from None


def _ask(asks: bool, what: str, default: str, form: click.ParamType[Any]) -> Any:
    if not asks:
        return default
    try:
        return click.prompt(what, default=default, type=form, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise UsageFault(
            "Nobody is there to answer; nothing was made. Say --yes for files, eventbridge and the folder's name."
        ) from None
