"""`rowcast calls`, `history` and `rejects`: what was sent and what became of it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click

from workbench.options import FAILED, UsageFault, as_json, emit, from_where, recorded_sync, syncs_of

_KEY = "A key's value; a JSON list where the key has several columns."


@click.command()
@click.argument("sync", required=False)
@click.option("--run", "run_", metavar="RUN", help="Only of this run.")
@click.option("--key", help=f"Only those that carried this row. {_KEY}")
@click.option("--outcome", help="Only with this outcome: accepted, rejected, refused, throttled or in_doubt.")
@click.option("--since", help="Only from then on: 2h, 3 days, or an ISO 8601 instant.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@click.option("--full", is_flag=True, help="With requests and replies.")
@from_where
@as_json
def calls(
    project: Path,
    sync: str | None,
    run_: str | None,
    key: str | None,
    outcome: str | None,
    since: str | None,
    limit: int,
    full: bool,
    json_: bool,
    place: Any,
) -> None:
    """Lists the API calls that were made, newest first: of SYNC, or of all syncs."""
    from workbench import sent, show_sent

    if outcome is not None and outcome not in sent.OUTCOMES:
        raise UsageFault(f"There is no outcome {outcome}. There are: {', '.join(sent.OUTCOMES)}.")
    after = sent.since(since) if since else None
    if since and after is None:
        raise UsageFault(f"'{since}' is no time. Write 2h, 3 days or 2026-11-20T15:00.")
    names = [recorded_sync(project, place, sync)] if sync else syncs_of(project)
    found = sent.calls(place, names, run=run_, key=key, outcome=outcome, after=after, full=full)
    some = islice(found, limit)
    if json_:
        emit(some)
    else:
        show_sent.calls(list(some), full=full, more=next(found, None) is not None)


@click.command()
@click.argument("sync")
@click.option("--key", required=True, help=_KEY)
@from_where
@as_json
def history(project: Path, sync: str, key: str, json_: bool, place: Any) -> int:
    """Tells the life of one row: each change, what was sent, what came of it. Exit code 1: there is none."""
    from workbench import sent, show_sent

    records = list(sent.history(place, recorded_sync(project, place, sync), key))
    if not records:
        click.echo(f"Nothing is kept of {key} in {sync}: no run of the last 30 days sent a change of it.", err=json_)
    elif json_:
        emit(records)
    else:
        show_sent.history(records)
    return 0 if records else FAILED


@click.command()
@click.argument("sync")
@click.option("--rows", is_flag=True, help="One row a line, instead of one reason.")
@from_where
@as_json
def rejects(project: Path, sync: str, rows: bool, json_: bool, place: Any) -> None:
    """Lists the rows that are owed: rejected, invalid, or in doubt."""
    from workbench import info, show_sent

    records = info.rejects(place, recorded_sync(project, place, sync))
    if json_:
        emit(records)
    elif rows:
        show_sent.rejects(sync, list(records))
    else:
        show_sent.reasons(sync, records)
