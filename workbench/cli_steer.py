"""The commands that look ahead and steer."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.options import COMPLETED, FAILED, as_json, emit, ready, where_options

CHANGES = 2


@click.command()
@click.argument("sync")
@click.option("--detailed-exitcode", is_flag=True, help="0: nothing to send, 2: changes, 1: it failed.")
@where_options
@as_json
@click.pass_obj
def plan(
    project: Path, sync: str, detailed_exitcode: bool, local: bool, profile: str | None, stack: str, json_: bool
) -> int:
    """Shows what a run of SYNC would send now, without sending anything."""
    from workbench import running, show, show_plan, steering

    try:
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
    if json_:
        emit([document])
    else:
        show_plan.plan(document)
    any_change = document["added"] + document["changed"] + document["removed"] > 0
    return CHANGES if detailed_exitcode and any_change else COMPLETED


COMMANDS = (plan,)
