"""plan: what a run would send, written down for a person to see before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from rowcast.definition import Definition, LambdaDestination
from rowcast.errors import MessageInvalid
from rowcast.masking import masked_body, masked_change
from rowcast.models import OPERATIONS, Change, Operation, PartitionResult, Run, from_json, to_json
from rowcast.ports import ChangeStore, Documents, Render

SHOWN = 10
"""Messages of each operation."""
CHUNKS_READ = 50
EVENTS_PER_CALL = 10


class PlannedChange(msgspec.Struct, kw_only=True):
    """One change as it would go out. `columns`: (old, new) by name, for changed rows. `problem`: why it has no message;
    it would be rejected."""

    operation: Operation
    key: list[Any]
    columns: dict[str, tuple[Any, Any]] = {}
    message: Any = None
    problem: str = ""


class Plan(msgspec.Struct, kw_only=True):
    """`held`: why the guard would hold the run; empty when it would not. `calls`: at least so many. `left_out`: by
    reason, past changes that a replay would not send."""

    version: Literal[1] = 1
    sync: str
    run: str
    rows: int
    added: int
    changed: int
    removed: int
    skipped: int
    owed: int
    held: str
    left_out: dict[str, int] = {}
    columns_added: list[str]
    columns_dropped: list[str]
    calls: int
    messages: list[PlannedChange]

    @property
    def total(self) -> int:
        return self.added + self.changed + self.removed


class Planning(msgspec.Struct, kw_only=True):
    """What planning needs."""

    definition: Definition
    changes: ChangeStore
    documents: Documents
    render: Render


def plan_key(sync: str, run: str) -> str:
    return f"plans/{sync}/{run}.json"


def put_plan(run: Run, results: list[PartitionResult], objection: str, needs: Planning) -> None:
    """Writes the plan's document. It holds rows, as the change set does, and like that it is not kept for long."""
    plan = Plan(
        sync=run.sync,
        run=run.run,
        rows=run.rows,
        added=run.added,
        changed=run.changed,
        removed=run.removed,
        skipped=run.skipped,
        owed=run.owed_before,
        held=objection,
        left_out=run.left_out,
        columns_added=run.columns_added,
        columns_dropped=run.columns_dropped,
        calls=calls(run, needs.definition),
        messages=[_planned(change, needs) for change in _first(run, results, needs.changes)],
    )
    needs.documents.put(plan_key(run.sync, run.run), to_json(plan))


def calls(run: Run, definition: Definition) -> int:
    """The fewest calls that carry the run's changes: bytes and the ends of chunks can only add some."""
    destination = definition.destination
    size = destination.batch_size if isinstance(destination, LambdaDestination) else EVENTS_PER_CALL
    return sum(-(-count // size) for count in (run.added, run.changed, run.removed))


def _first(run: Run, results: list[PartitionResult], changes: ChangeStore) -> Iterator[Change]:
    """The first changes of each operation, as far as the first chunks hold them."""
    left = {operation: min(SHOWN, getattr(run, operation)) for operation in OPERATIONS}
    names = [name for result in results for name in result.chunks]
    found: list[Change] = []
    for name in names[:CHUNKS_READ]:
        if not any(left.values()):
            break
        for change in changes.chunk(run.sync, run.run, name).changes:
            if left[change.operation]:
                left[change.operation] -= 1
                found.append(change)
    yield from sorted(found, key=lambda change: OPERATIONS.index(change.operation))


def _planned(change: Change, needs: Planning) -> PlannedChange:
    mask = needs.definition.mask
    shown = masked_change(change, mask)
    before, after = shown.before or {}, shown.after or {}
    columns = {name: (before.get(name), after.get(name)) for name in change.columns}
    planned = PlannedChange(operation=change.operation, key=change.key, columns=columns)
    try:
        message = from_json(needs.render(change))
        planned.message = masked_body(change, mask, needs.render) if mask else message
    except MessageInvalid as error:
        planned.problem = str(error)
    return planned
