"""Takes what is known of a sync along to another name: its baseline and its debts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from rowcast.errors import RunFailed
from rowcast.models import Debt, Head, Run
from rowcast.open import run_id
from workbench.deployment import Place
from workbench.keys import FIRST, LAST
from workbench.options import counted

_AT_ONCE = 500


def question(place: Place, sync: str, name: str) -> str:
    """Empty where nothing is to be decided: it was begun before, or cannot be done, and `rename` says why."""
    head = _head(place, sync)
    if head is None or not head.token:
        return ""
    taken = f"its baseline and {counted(head.owed, 'row')} that it owes"
    return f"{sync}: take {taken} along to {name}? Under its old name it will not run again."


def rename(place: Place, sync: str, name: str, *, by: str, because: str = "") -> dict[str, Any]:
    """The old name is locked first and for good, the new one until all debts are there. Repeating it goes on.

    Who did it first, when and why stays in a record under the new name.
    """
    if reason := _hindrance(place, sync, name):
        raise RunFailed(reason)
    token = place.states.rename(sync, _record(place, sync, name, by, because))
    moved = 0
    batch: list[Debt] = []
    for debt in place.debts.debts(sync, FIRST, LAST):
        batch.append(replace(debt, sync=name))
        moved += 1
        if len(batch) == _AT_ONCE:
            place.debts.book(name, token, batch, [])
            batch = []
    place.debts.book(name, token, batch, [])
    place.states.release_lock(name, token)
    return {"sync": sync, "name": name, "debts": moved, "generation": place.states.head(name).generation}


def _hindrance(place: Place, sync: str, name: str) -> str:
    """What of the conditions that the store asks does not hold, for people."""
    head = _head(place, sync)
    if head is None or not head.token:
        return ""
    if head.held:
        return f"{sync} has a run that is held: rowcast approve {head.held}, or reject-run, and then again."
    if head.open_run or head.holder:
        return (
            f"{sync} has a run that goes on, or that the next start is to finish: rowcast run {sync}, and then again."
        )
    taken = _head(place, name)
    return f"{name} has run before: take another name." if taken is None or taken.token else ""


def _record(place: Place, sync: str, name: str, by: str, because: str) -> Run:
    head = _head(place, sync) or Head(sync=sync)
    now = time.time()
    return Run(
        sync=name,
        run=run_id(datetime.fromtimestamp(now, UTC).isoformat()),
        mode="rename",
        requested_by=by,
        because=because,
        status="completed",
        generation=head.generation,
        execution="",
        definition="",
        started_at=now,
        ended_at=now,
        reason=f"{sync} is {name} from now on.",
        owed_before=head.owed,
        owed_after=head.owed,
        owed_since=head.owed_since,
    )


def _head(place: Place, sync: str) -> Head | None:
    """None where it was moved before."""
    try:
        return place.states.head(sync)
    except RunFailed:
        return None
