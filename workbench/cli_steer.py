"""The commands that look ahead and steer."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rowcast.errors import RowcastError
from workbench.options import COMPLETED, FAILED, UsageFault, as_json, counted, emit, ready, silent, where_options

if TYPE_CHECKING:
    from rowcast.models import Mode
    from workbench.deployment import Place

CHANGES = 2


@click.command()
@click.argument("sync")
@click.option("--detailed-exitcode", is_flag=True, help="0: nothing to send, 2: changes, 1: any error.")
@where_options
@as_json
@click.pass_obj
def plan(
    project: Path, sync: str, detailed_exitcode: bool, local: bool, profile: str | None, stack: str, json_: bool
) -> int:
    """Shows what a run of SYNC would send now, without sending anything."""
    from workbench import cost, running, show, show_cost, show_plan, steering

    try:
        table = cost.read_prices(project)
        place = ready(project, sync, local=local, profile=profile, stack=stack, quiet=json_)
        result = show.followed(steering.ask(place, sync, "plan"), quiet=json_)
    except Exception as error:
        if json_:
            emit([running.failure(sync, str(error)[:2000])])
        raise
    if result["status"] != "planned":
        if json_:
            emit([result])
        else:
            show.result(result)
        return FAILED
    document = {"status": "planned", **steering.plan(place, sync, result["run"])}
    definition = place.definitions.deployed_definition(place.definitions.deployment(sync))
    document["cost"] = show_cost.of_run(cost.of_plan(document, definition, table), table)
    if json_:
        emit([document])
    else:
        show_plan.plan(document)
    any_change = document["added"] + document["changed"] + document["removed"] > 0
    return CHANGES if detailed_exitcode and any_change else COMPLETED


def steers(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds what every command has that changes what a sync sends or owes. `what`: its argument."""
    return lambda command: click.argument(what)(_options(command))


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--because", default="", metavar="TEXT", help="Your reason; the run's record keeps it.")(
        command
    )
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    return where_options(as_json(command))


@click.command()
@steers("sync")
@click.pass_obj
def rebaseline(project: Path, /, sync: str, yes: bool, because: str, json_: bool, **where: Any) -> int:
    """Takes the source as it is for accepted: what differs or is owed is never sent."""
    place = ready(project, sync, **where, quiet=json_)
    question = ""
    if not yes:
        document = _planned(place, sync, json_)
        counts = f"{document['added']} added, {document['changed']} changed, {document['removed']} removed rows"
        question = f"{sync}: {counts} will never be sent, nor the {document['owed']} owed. Go on?"
    return _steered(place, sync, "rebaseline", question, json_, because=because)


@click.command()
@steers("sync")
@click.pass_obj
def resync(project: Path, /, sync: str, yes: bool, because: str, json_: bool, **where: Any) -> int:
    """Sends every row again, whether it differs or not."""
    place = ready(project, sync, **where, quiet=json_)
    question = ""
    if not yes:
        document = _planned(place, sync, json_)
        question = (
            f"{sync}: send all {counted(document['rows'], 'row')}, and {document['removed']:,} that were removed?"
        )
    return _steered(place, sync, "resync", question, json_, because=because)


@click.command()
@steers("sync")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this row; may be given more than once.")
@click.option("--reason", default="", metavar="TEXT", help="Only rows whose reason holds this text.")
@click.option("--all", "all_", is_flag=True, help="Every row that is owed.")
@click.pass_obj
def discard(
    project: Path,
    /,
    sync: str,
    keys: tuple[str, ...],
    reason: str,
    all_: bool,
    yes: bool,
    because: str,
    json_: bool,
    **where: Any,
) -> int:
    """Gives up on rows that SYNC owes: they are sent when they change again."""
    from workbench import steering

    if all_ == bool(keys or reason):
        raise UsageFault("Say which rows: --key or --reason, or --all.")
    if not because:
        raise UsageFault("Say why with --because; the record keeps it.")
    place = ready(project, sync, **where, quiet=json_)
    only, count, generation = steering.owed(place, sync, keys, reason)
    if not count:
        return _nothing(sync, json_)
    question = "" if yes else f"{sync}: give up on {counted(count, 'row')} that it owes?"
    return _steered(place, sync, "discard", question, json_, because=because, only=only, generation=generation)


@click.command()
@steers("sync")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this row; may be given more than once.")
@click.option("--reason", default="", metavar="TEXT", help="Only rows whose reason holds this text.")
@click.pass_obj
def retry(
    project: Path, /, sync: str, keys: tuple[str, ...], reason: str, yes: bool, because: str, json_: bool, **where: Any
) -> int:
    """Sends what SYNC owes now; without a filter this is a run."""
    from workbench import steering

    place = ready(project, sync, **where, quiet=json_)
    only, count, _ = steering.owed(place, sync, keys, reason)
    if only is not None and not count:
        return _nothing(sync, json_)
    more = "" if only is not None else ", and whatever else differs by now"
    question = "" if yes else f"{sync}: send {counted(count, 'row')} that it owes{more}?"
    return _steered(place, sync, "retry", question, json_, because=because, only=only)


@click.command()
@steers("sync")
@click.option("--run", "run_", metavar="RUN", help="What this run sent.")
@click.option("--since", metavar="T", help="What was sent from then on: 2h, 3 days, or an ISO 8601 instant.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this row; may be given more than once.")
@click.pass_obj
def replay(
    project: Path,
    /,
    sync: str,
    run_: str | None,
    since: str | None,
    keys: tuple[str, ...],
    yes: bool,
    because: str,
    json_: bool,
    **where: Any,
) -> int:
    """Sends again what past runs sent, under the same ids; not what a newer change has replaced."""
    from workbench import sent, show_plan, steering

    after = sent.since(since) if since else None
    if (run_ is None) == (since is None):
        raise UsageFault("Say what to send again: --run RUN or --since T.")
    if since and after is None:
        raise UsageFault(f"'{since}' is no time. Write 2h, 3 days or 2026-11-20T15:00.")
    place = ready(project, sync, **where, quiet=json_)
    replays, gone = steering.past(place, sync, run=run_, since=after)
    if gone:
        click.echo(f"{gone} runs are too old: what they sent is kept for 30 days and can't be sent again.", err=True)
    if replays is None:
        return _nothing(
            sync, json_, "No run that is kept sent anything then." if since else _never_sent(place, sync, run_)
        )
    only = steering.keys_of(place, sync, keys) if keys else None
    if keys and only is None:
        return _nothing(sync, json_, "No row of this sync can have such a key.")
    question = ""
    if not yes:
        document = _planned(place, sync, json_, replays=replays, only=only)
        left = show_plan.left_out(document["left_out"])
        total = document["added"] + document["changed"] + document["removed"]
        if not total:
            return _nothing(sync, json_, f"Nothing can be sent again. {left}".strip())
        (silent if json_ else click.echo)(left or "Nothing is left out.")
        counts = ", ".join(f"{document[word]} {word}" for word in ("added", "changed", "removed"))
        question = f"{sync}: send {counted(total, 'past change')} again ({counts})?"
    return _steered(place, sync, "replay", question, json_, because=because, replays=replays, only=only)


def _never_sent(place: Place, sync: str, run: str | None) -> str:
    """Why nothing of a run can be sent again. Raises UsageFault when there is no such run."""
    record = place.states.run(sync, str(run))
    if record is None:
        raise UsageFault(f"There is no run {run} of {sync}. To list runs: rowcast runs {sync}")
    if record.chunks and record.phase == "committed":
        return f"What run {run} sent is gone: it is kept for 30 days."
    return f"Run {run} sent nothing."


@click.command()
@steers("run")
@click.pass_obj
def approve(project: Path, /, run: str, yes: bool, because: str, json_: bool, **where: Any) -> int:
    """Sends what a RUN that the guard held would have sent, exactly that."""
    return _decide(project, run, "approve", yes, because, json_, **where)


@click.command("reject-run")
@steers("run")
@click.pass_obj
def reject_run(project: Path, /, run: str, yes: bool, because: str, json_: bool, **where: Any) -> int:
    """Forgets what a RUN that the guard held would have sent; the next run compares anew."""
    return _decide(project, run, "reject", yes, because, json_, **where)


@click.command()
@click.argument("sync")
@click.argument("name")
@_options
@click.pass_obj
def rename(project: Path, /, sync: str, name: str, yes: bool, because: str, json_: bool, **where: Any) -> int:
    """Takes the baseline and the debts of SYNC along to NAME; then rename its file and deploy."""
    from project.schema.words import SYNC_NAME
    from workbench import renaming
    from workbench.deployment import find
    from workbench.options import no_such, syncs_of
    from workbench.steering import who

    if not re.fullmatch(SYNC_NAME, name):
        raise UsageFault(f"'{name}' cannot be a sync's name: 1 to 63 small letters, digits and -.")
    if name == sync:
        raise UsageFault(f"{sync} has that name already.")
    known = syncs_of(project)
    if sync not in known and name not in known:
        raise no_such(sync, known)
    place = find(project, **where)
    question = "" if yes else renaming.question(place, sync, name)
    if question and not _confirmed(question):
        (silent if json_ else click.echo)("Nothing was done.")
        return FAILED
    record = renaming.rename(place, sync, name, by=who(place), because=because)
    if json_:
        emit([record])
    else:
        click.echo(f"{sync} is {name} now, with its baseline and {counted(record['debts'], 'row')} that it owes.")
        click.echo(f"Rename its file to syncs/{name}.yaml and deploy. Until then neither runs.")
    return COMPLETED


def _decide(project: Path, run: str, mode: Mode, yes: bool, because: str, json_: bool, **where: Any) -> int:
    import project as configuration
    from rowcast.seal import DECIDE
    from workbench import steering
    from workbench.deployment import find

    place = find(project, **where)
    held = steering.held(place, configuration.load(project).syncs, run)
    if held is None:
        raise UsageFault(f"No run {run} waits for an approval. To list runs: rowcast runs")
    question = ""
    if not yes:
        counts = f"{held.added} added, {held.changed} changed, {held.removed} removed rows"
        (silent if json_ else click.echo)(f"{held.sync}: {held.reason.partition(DECIDE)[0]}")
        question = f"{'Send' if mode == 'approve' else 'Forget'} its {counts}?"
    return _steered(place, held.sync, mode, question, json_, because=because, run=run)


def _planned(place: Place, sync: str, json_: bool, **wish: Any) -> dict[str, Any]:
    """What a run would do now, for a person to decide on."""
    from workbench import show, steering

    result = show.followed(steering.ask(place, sync, "plan", **wish), quiet=json_)
    if result["status"] != "planned":
        reason = result["reason"] or result["status"]
        raise RowcastError(f"What there is to decide on could not be counted: {reason} With --yes nobody is asked.")
    return steering.plan(place, sync, result["run"])


def _nothing(sync: str, json_: bool, reason: str = "No row that is owed fits.") -> int:
    if json_:
        emit([{"sync": sync, "status": "nothing", "run": None, "reason": reason}])
    else:
        click.echo(f"{sync}: {reason}")
    return COMPLETED


def _steered(place: Place, sync: str, mode: Mode, question: str, json_: bool, **wish: Any) -> int:
    """Asks, unless there is no question, starts the execution and tells how it ended."""
    from workbench import show, steering

    if question and not _confirmed(question):
        (silent if json_ else click.echo)("Nothing was done.")
        return FAILED
    result = show.followed(steering.ask(place, sync, mode, **wish), quiet=json_)
    if json_:
        emit([result])
    else:
        show.result(result)
    return COMPLETED if result["status"] == "completed" else FAILED


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise UsageFault(
            "Nobody is there to answer; nothing was done. Say --yes to go on without being asked."
        ) from None


COMMANDS = (plan, retry, discard, resync, rebaseline, replay, approve, reject_run, rename)
