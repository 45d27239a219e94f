"""The command line. Heavy imports wait until a command needs them: a quiet run is to take no longer than it must."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from rowcast.errors import RowcastError
from workbench.cli_alerts import alerts
from workbench.cli_cost import cost
from workbench.cli_doctor import buses, doctor
from workbench.cli_init import init
from workbench.cli_local import local
from workbench.cli_row import preview, test_row
from workbench.cli_sent import calls, history, rejects
from workbench.cli_steer import COMMANDS
from workbench.options import (
    COMPLETED,
    FAILED,
    USAGE,
    Commands,
    UsageFault,
    as_json,
    emit,
    from_where,
    no_such,
    ready,
    recorded_sync,
    syncs_of,
    where_options,
)

SECTIONS = {
    "Set up": ("init", "validate", "local", "doctor", "buses", "cost"),
    "Run": ("plan", "run", "preview", "test-row"),
    "Look": ("runs", "run-info", "events", "rejects", "history", "calls", "alerts"),
    "Steer": ("retry", "discard", "resync", "replay", "rebaseline", "approve", "reject-run", "rename"),
}


@click.group(
    cls=Commands,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="The folder with rowcast.yaml and syncs/ (default: this one).",
)
@click.version_option(package_name="rowcast", message="rowcast %(version)s")
@click.pass_context
def cli(context: click.Context, project: Path) -> None:
    """Sends every row that a SQL query gains, changes or loses as an event or an invocation."""
    context.obj = project.resolve()


for command in (alerts, cost, init, local, calls, history, rejects, preview, test_row, doctor, buses):
    cli.add_command(command)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Runs the command; mistakes of the user end in a sentence, never in a traceback."""
    usage = FAILED if "--detailed-exitcode" in sys.argv else USAGE  # there 2 says that there are changes
    try:
        status = cli.main(prog_name="rowcast", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else COMPLETED)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(usage)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(COMPLETED)
    except UsageFault as error:
        _complain(str(error))
        sys.exit(usage)
    except RowcastError as error:
        _complain(str(error))
        sys.exit(FAILED)
    except Exception as error:
        sys.exit(_unexpected(error, usage))


def _unexpected(error: Exception, usage: int) -> int:
    """Configuration mistakes, an AWS or a file that cannot be reached; anything else is a defect and is raised."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, EndpointConnectionError

    from project import ProjectInvalid
    from workbench.local.server import STOPPED

    if isinstance(error, ProjectInvalid):
        from workbench import show

        show.problems(error.problems)
        return usage
    if isinstance(error, EndpointConnectionError | ConnectionClosedError) and "://127.0.0.1:" in str(error):
        _complain(STOPPED)
        return FAILED
    if isinstance(error, BotoCoreError | ClientError):
        _complain(str(error)[:500])
        return FAILED
    if isinstance(error, OSError) and error.strerror:
        _complain(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
        return FAILED
    raise error


def _complain(text: str) -> None:
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(text, err=True)


@cli.command()
@as_json
@click.pass_obj
def validate(project: Path, json_: bool) -> int:
    """Checks all configuration and lists every mistake at once (exit code 2)."""
    import project as configuration
    from workbench import show

    try:
        loaded = configuration.load(project)
    except configuration.ProjectInvalid as invalid:
        if json_:
            emit({"valid": False, **problem} for problem in configuration.problems_json(invalid.problems))
        else:
            show.problems(invalid.problems)
        return USAGE
    if json_:
        emit([{"valid": True, "project": loaded.name, "syncs": sorted(loaded.syncs)}])
    else:
        show.valid(loaded)
    return COMPLETED


@cli.command()
@click.argument("sync")
@where_options
@as_json
@click.pass_obj
def run(project: Path, sync: str, local: bool, profile: str | None, stack: str | None, json_: bool) -> int:
    """Starts a run of SYNC and follows it to its end (exit code 0: completed, 1: not)."""
    from workbench import running, show

    try:
        place = ready(project, sync, local=local, profile=profile, stack=stack, quiet=json_)
        execution = running.Execution(place, sync)
        result = show.followed(execution, quiet=json_)
    except Exception as error:
        if json_:
            emit([running.failure(sync, str(error)[:2000])])
        raise
    if json_:
        emit([result])
    else:
        show.result(result)
    return COMPLETED if result["status"] == "completed" else FAILED


@cli.command()
@click.argument("sync", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@from_where
@as_json
def runs(project: Path, sync: str | None, limit: int, json_: bool, place: Any) -> None:
    """Lists runs, newest first: of SYNC, or of all syncs."""
    from rowcast.summary import summarize
    from workbench import show

    names = [recorded_sync(project, place, sync)] if sync else syncs_of(project)
    found = [run for name in names for run in place.states.runs(name, limit)]
    found.sort(key=lambda run: run.started_at, reverse=True)
    records = [{**summarize(run), "started_at": show.iso(run.started_at)} for run in found[:limit]]
    if json_:
        emit(records)
    else:
        show.runs(records)


@cli.command("run-info")
@click.argument("run")
@click.option("--sync", help="Only of this sync: also of one that has another name now, or is gone.")
@from_where
@as_json
def run_info(project: Path, run: str, sync: str | None, json_: bool, place: Any) -> None:
    """Tells everything about one RUN: counts, columns, reasons."""
    from workbench import info, show

    names = [recorded_sync(project, place, sync)] if sync else syncs_of(project)
    found = info.of_run(place, names, run)
    if not found:
        raise UsageFault(f"There is no run {run}. To list runs: rowcast runs")
    for record in found:
        if json_:
            emit([record])
        else:
            show.run_info(record)


def _check_run(project: Path, run: str, sync: str | None) -> None:
    """Raises UsageFault where the embedded AWS runs, and has no run of this name."""
    from workbench import deployment
    from workbench.local import server

    if server.running(project) is None:
        return
    place = deployment.find(project, local=True, profile=None)
    if not any(place.states.run(name, run) for name in ([sync] if sync else syncs_of(project))):
        raise UsageFault(f"There is no run {run}. To list runs: rowcast runs")


@cli.command()
@click.option("--sync", help="Only of this sync.")
@click.option("--run", "run_", metavar="RUN", help="Only of this run.")
@click.option("--follow", is_flag=True, help="Wait for more, until Ctrl-C.")
@as_json
@click.pass_obj
def events(project: Path, sync: str | None, run_: str | None, follow: bool, json_: bool) -> None:
    """Shows what arrived on the embedded AWS's buses and functions, in order."""
    from workbench import show
    from workbench.local import server
    from workbench.local.arrivals import arrivals

    home = server.Home(project)
    if home.read() is None:
        raise RowcastError(
            "There is no embedded AWS here, and only that keeps what arrived. Start it with: rowcast local up"
        )
    if sync and sync not in syncs_of(project) and next(arrivals(home.arrivals, sync=sync), None) is None:
        raise no_such(sync, syncs_of(project))
    if run_ and not follow and next(arrivals(home.arrivals, run=run_), None) is None:
        _check_run(project, run_, sync)
    found: Iterator[dict[str, Any]] = arrivals(home.arrivals, sync=sync, run=run_, follow=follow)
    if json_:
        emit(found)
    else:
        show.events(found, follow=follow)
