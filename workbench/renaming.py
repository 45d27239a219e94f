"""Takes what is known of a sync along to another name: its baseline and its debts."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from rowcast.models import Debt
from workbench.deployment import Place

_FIRST, _LAST = "0" * 32, "f" * 32
_AT_ONCE = 500


def rename(place: Place, sync: str, name: str) -> dict[str, Any]:
    """The old name is locked first and for good, the new one until all debts are there. Repeating it goes on."""
    token = place.states.rename(sync, name)
    moved = 0
    batch: list[Debt] = []
    for debt in place.debts.debts(sync, _FIRST, _LAST):
        batch.append(replace(debt, sync=name))
        moved += 1
        if len(batch) == _AT_ONCE:
            place.debts.book(name, token, batch, [])
            batch = []
    place.debts.book(name, token, batch, [])
    place.states.release_lock(name, token)
    return {"sync": sync, "name": name, "debts": moved, "generation": place.states.head(name).generation}
