"""`rowcast cost`: the estimated bill of a sync."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from workbench.options import UsageFault, as_json, emit, no_such, where_options

_RUNS = 20


@click.command()
@click.argument("sync")
@click.option("--rows", type=click.IntRange(0), metavar="N", help="Rows of the model (default: as the last run).")
@click.option("--changes", type=click.IntRange(0), metavar="M", help="Changes of a run (default: mean of the last 20).")
@click.option("--row-bytes", type=click.IntRange(1), default=200, metavar="BYTES", help="A row as JSON (default: 200).")
@click.option("--runs", type=click.FloatRange(0), metavar="N", help="Runs a month (default: as it is scheduled).")
@where_options
@as_json
@click.pass_obj
def cost(
    project: Path,
    sync: str,
    rows: int | None,
    changes: int | None,
    row_bytes: int,
    runs: float | None,
    local: bool,
    profile: str | None,
    stack: str | None,
    json_: bool,
) -> None:
    """Estimates what a run and a month of SYNC cost, by service, at list prices."""
    import project as configuration
    from workbench import cost as costs
    from workbench import show_cost, usage

    loaded = configuration.load(project)
    if sync not in loaded.syncs:
        raise no_such(sync, loaded.syncs)
    one = loaded.syncs[sync]
    if rows is None or changes is None:
        seen = _seen(project, sync, local=local, profile=profile, stack=stack)
        rows, changes = rows if rows is not None else seen[0], changes if changes is not None else seen[1]
    work = usage.workload(rows, changes, row_bytes, one.definition)
    table = costs.read_prices(project)
    bill = costs.bill(work, one.definition, table, runs if runs is not None else costs.runs_a_month(one.schedule))
    if json_:
        emit([show_cost.record(sync, work, bill, table)])
    else:
        show_cost.bill(sync, work, bill, table, costs.left_out(one.definition))


def _seen(project: Path, sync: str, **where: Any) -> tuple[int, int]:
    """Rows of the last run that completed, and the mean of the changes of the last ones."""
    from rowcast.errors import RowcastError
    from workbench.deployment import find

    try:
        runs = find(project, **where).states.runs(sync, _RUNS)
    except RowcastError as error:
        raise UsageFault(f"{error}\nOr say how much there is: --rows N --changes M") from None
    found = [run for run in runs if run.status == "completed" and run.manifest]
    if not found:
        raise UsageFault(f"No run of {sync} completed yet. Say how much there is: --rows N --changes M")
    return found[0].rows, round(sum(run.added + run.changed + run.removed for run in found) / len(found))
