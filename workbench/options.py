"""What the commands share: exit codes, options, and JSON as output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

from rowcast.errors import RowcastError
from rowcast.models import to_json

COMPLETED, FAILED, USAGE = 0, 1, 2


class UsageFault(RowcastError):
    """The command asks for what is not there: exit code 2."""


class Commands(click.Group):
    """Lists its commands with the whole of what they do, where click cuts it short; under headings, if it has some."""

    def __init__(self, *args: Any, sections: dict[str, Sequence[str]] | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        for heading, names in (self.sections or {"Commands": sorted(self.commands)}).items():
            with formatter.section(heading):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(500)) for name in names])


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "json_", is_flag=True, help="One JSON object a line.")(command)


def from_where(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the choice between the embedded AWS and a real account; the command gets the Place that it means."""

    @click.pass_obj
    def wrapped(
        project: Path, /, *args: Any, local: bool, profile: str | None, stack: str | None, **kwargs: Any
    ) -> Any:
        from workbench.deployment import find

        return command(project, *args, place=find(project, local=local, profile=profile, stack=stack), **kwargs)

    return where_options(update_wrapper(wrapped, command))


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--stack", help="The stack's name in that account (default: the project's name).")(command)
    command = click.option("--profile", help="A real account, by the name of its AWS profile.")(command)
    return click.option("--local", is_flag=True, help="The embedded AWS (the default where one was started).")(command)


def emit(records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        sys.stdout.write(to_json(record).decode() + "\n")
        sys.stdout.flush()


def silent(_: str) -> None:
    """For commands whose output is JSON."""


def ready(project: Path, sync: str, *, local: bool, profile: str | None, stack: str | None, quiet: bool) -> Any:
    """The deployment with everything that a run of this sync reads in place."""
    from workbench.deployment import Place, find, means_embedded
    from workbench.local import deploy

    if means_embedded(project, local=local, profile=profile, stack=stack):
        aws, deployed = deploy.ensure(project, silent if quiet else click.echo)
        if sync not in deployed.syncs:
            raise no_such(sync, deployed.syncs)
        deploy.prepare(aws, deployed, sync)
        return Place(aws, deployed.outputs)
    import project as configuration
    from workbench.local import provision

    loaded = configuration.load(project)
    if sync not in loaded.syncs:
        raise no_such(sync, list(loaded.syncs))
    place = find(project, local=local, profile=profile, stack=stack)
    provision.copy_folders(place.aws.client("s3"), place.output("Bucket"), provision.needs(loaded).folders)
    return place


def counted(count: int, noun: str) -> str:
    """1 row, 2,000 rows."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def no_such(name: str, names: Iterable[str], what: str = "sync") -> UsageFault:
    from project.nearest import nearest

    near = nearest(name, names)
    hint = f" Did you mean {near}?" if near else ""
    return UsageFault(f"There is no {what} {name}.{hint} The project has: {', '.join(sorted(names)) or 'none'}.")


def syncs_of(project: Path) -> list[str]:
    import project as configuration

    return configuration.sync_names(project)


def known_sync(project: Path, sync: str) -> str:
    """The sync itself. Raises UsageFault when the folder has none of this name."""
    known = syncs_of(project)
    if sync not in known:
        raise no_such(sync, known)
    return sync


def recorded_sync(project: Path, place: Any, sync: str) -> str:
    """The sync itself. Raises UsageFault when neither the folder nor any record in the deployment has this name."""
    known = syncs_of(project)
    if sync not in known and not place.has_records(sync):
        raise no_such(sync, known)
    return sync
