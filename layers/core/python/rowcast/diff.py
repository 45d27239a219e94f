"""diff: compare one partition with its baseline and write the changes as chunks.

Rows without a debt are compared inside DuckDB by their fingerprints; rows that are owed are compared one by one with
the row that the destination last accepted, which their debt holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain, compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rowcast import compare
from rowcast.changetext import Naming
from rowcast.chunks import Batch, WrittenChunk, cut, row_decoder
from rowcast.compare import Sides
from rowcast.definition import Definition, LambdaDestination, Triggers
from rowcast.engine import engine
from rowcast.errors import RunFailed
from rowcast.lock import held
from rowcast.models import (
    Change,
    Chunk,
    ColumnType,
    Counts,
    Debt,
    Manifest,
    Operation,
    PartitionResult,
    Row,
    Run,
    to_json,
)
from rowcast.owing import owed_change
from rowcast.ports import ChangeStore, DebtStore, DefinitionStore, SnapshotStore, StateStore
from rowcast.replay import Past, Replaying, replay_partition

if TYPE_CHECKING:
    import duckdb

CHUNK_CHANGES = 200
CHUNK_BYTES = 2_000_000
EXACT_FLOATS = 2**53
"""Below it every whole number has a float of its own."""


class Diffing(msgspec.Struct, kw_only=True, frozen=True):
    """What diff needs."""

    states: StateStore
    definitions: DefinitionStore
    snapshots: SnapshotStore
    changes: ChangeStore
    debts: DebtStore
    scratch: Path
    engine_mb: int


class PartitionDiff(msgspec.Struct, kw_only=True, frozen=True):
    """What the diff of one partition needs."""

    definition: Definition
    run: Run
    sides: Sides
    changes: ChangeStore
    debts: DebtStore


def diff_run(sync: str, run: str, token: int, number: int, needs: Diffing) -> PartitionResult:
    """Diffs one partition of the run's snapshot."""
    head, record = held(needs.states, sync, run, token)
    if record.manifest is None:
        raise RunFailed(f"Run {run} has no snapshot to compare.")
    sides = Sides(
        manifest=needs.snapshots.manifest(record.manifest),
        baseline=needs.snapshots.manifest(head.manifest) if head.manifest else None,
        snapshots=needs.snapshots,
        scratch=needs.scratch,
    )
    definition = needs.definitions.pinned(sync, record.definition)
    if record.replays is not None:
        return replay_partition(number, _replaying(record, definition, sides.manifest, needs))
    if record.mode == "rebaseline":  # no trigger asks for any change
        definition = msgspec.structs.replace(definition, triggers=Triggers())
    partition = PartitionDiff(
        definition=definition,
        run=record,
        sides=sides,
        changes=needs.changes,
        debts=needs.debts,
    )
    with engine(needs.scratch, needs.engine_mb) as connection:
        return diff_partition(number, partition, connection)


def _replaying(run: Run, definition: Definition, manifest: Manifest, needs: Diffing) -> Replaying:
    return Replaying(
        definition=definition,
        run=run,
        past=msgspec.convert(needs.snapshots.work(run.past), list[Past]),
        partitions=len(manifest.partitions),
        changes=needs.changes,
        debts=needs.debts,
    )


def diff_partition(number: int, needs: PartitionDiff, connection: duckdb.DuckDBPyConnection) -> PartitionResult:
    """Writes the partition's chunks, then its result. The same inputs give the same chunks, so a repeat is harmless."""
    owed = _owed(number, needs)
    compare.prepare(number, needs.sides, owed, connection, whole=needs.run.mode == "resync")
    found = compare.counts(connection)
    counts = Counts()
    only = needs.run.only
    about = [debt for debt in owed if only is None or only.has(debt)]
    left = [debt.first_run for debt in owed if only is not None and not only.has(debt)]
    changes, settled = _owed_changes(about, counts, needs, connection)
    sending = found
    if needs.run.mode == "resync":
        compare.add_equal(_resent_as(needs.definition), connection)
        sending = compare.counts(connection)
    _leave_out_untriggered(sending, counts, needs.definition, connection)
    retyped: dict[str, int] = {}
    every = _noting_retyped(chain(changes, _fresh_changes(counts, needs, connection)), retyped, needs.sides)
    result = PartitionResult(
        partition=number,
        chunks=_write_chunks(number, every, counts, needs),
        counts=counts,
        settled_chunks=_write_settled(number, settled, needs),
        settled=len(settled),
        changed_rows=found.get("changed", 0),
        removed_rows=found.get("removed", 0),
        retyped=retyped,
        left_since=min(left, default=""),
    )
    needs.changes.put_result(needs.run.sync, needs.run.run, result)
    return result


def chunk_changes(definition: Definition) -> int:
    """Changes per chunk: a whole number of batches, so that cutting chunks cuts no batch short."""
    if isinstance(definition.destination, LambdaDestination):
        size = definition.destination.batch_size
        return size * max(1, CHUNK_CHANGES // size)
    return CHUNK_CHANGES


def _owed(number: int, needs: PartitionDiff) -> list[Debt]:
    if not needs.run.owed_before:
        return []
    width = 128 - needs.sides.bits
    first, last = number << width, ((number + 1) << width) - 1
    return list(needs.debts.debts(needs.run.sync, f"{first:032x}", f"{last:032x}"))


def _resent_as(definition: Definition) -> Operation:
    """What a row that the destination knows is sent as, when all are: where changes are not wanted, as added."""
    return "changed" if definition.triggers.changed is not None or definition.triggers.added is None else "added"


def _resent(debt: Debt, now: Row | None, change: Change | None, needs: PartitionDiff) -> Change | None:
    """The change of a row that is owed, when all are sent: also one for which nothing is owed any more."""
    if change is None and now is not None:
        common = [column.name for column in needs.sides.common]
        doubted = msgspec.structs.replace(debt, in_doubt=True)
        destination = needs.definition.destination.identity
        change = owed_change(doubted, now, common, destination, needs.run.generation)
    if change is not None and change.operation == "changed" and _resent_as(needs.definition) == "added":
        change = msgspec.structs.replace(change, operation="added", before=None, columns=[])
    return change


def _wanted(change: Change, needs: PartitionDiff) -> bool:
    """Whether a trigger asks for the change. A row in doubt may have arrived, so its `columns` filter doesn't hold; nor
    does it when every row is sent."""
    trigger = needs.definition.triggers.of(change.operation)
    if trigger is None or trigger.columns is None or change.operation != "changed" or needs.run.mode == "resync":
        return trigger is not None
    in_doubt = change.debt is not None and change.debt.in_doubt
    return in_doubt or not set(trigger.columns).isdisjoint(change.columns)


def _owed_changes(
    owed: Sequence[Debt], counts: Counts, needs: PartitionDiff, connection: duckdb.DuckDBPyConnection
) -> tuple[list[Batch], list[str]]:
    """The changes that debts still ask for, and the key hashes of those for which nothing is owed any more."""
    current = compare.current_rows(needs.sides, connection) if owed else {}
    common = [column.name for column in needs.sides.common]
    destination = needs.definition.destination.identity
    changes: list[Batch] = []
    settled: list[str] = []
    for debt in owed:
        now = current.get(debt.key_hash)
        change = owed_change(debt, now, common, destination, needs.run.generation)
        if needs.run.mode == "resync":
            change = _resent(debt, now, change, needs)
        if change is not None and needs.run.mode != "discard" and _wanted(change, needs):
            changes.append(_owed_alone(change))
        else:
            settled.append(debt.key_hash)
            counts.skipped += change is not None
    return changes, settled


def _owed_alone(change: Change) -> Batch:
    size = len(to_json([change.before, change.after]))
    return Batch(operation=change.operation, texts=[to_json(change).decode()], sizes=[size], owed=True)


def _leave_out_untriggered(
    found: dict[str, int], counts: Counts, definition: Definition, connection: duckdb.DuckDBPyConnection
) -> None:
    for operation, rows in found.items():
        if definition.triggers.of(operation) is None:
            compare.leave_out(operation, connection)
            counts.skipped += rows


def _fresh_changes(counts: Counts, needs: PartitionDiff, connection: duckdb.DuckDBPyConnection) -> Iterator[Batch]:
    naming = Naming(
        sync=needs.run.sync, destination=needs.definition.destination.identity, generation=needs.run.generation
    )
    changed = needs.definition.triggers.changed
    every = changed is None or changed.columns is None or needs.run.mode == "resync"
    for batch in compare.differences(needs.sides, naming, connection):
        if every or batch.operation != "changed":
            yield batch
            continue
        wanted = [_wanted(change, needs) for change in _changes(batch, needs.sides)]
        counts.skipped += wanted.count(False)
        texts, sizes = list(compress(batch.texts, wanted)), list(compress(batch.sizes, wanted))
        yield Batch(operation=batch.operation, texts=texts, sizes=sizes)


def _changes(batch: Batch, sides: Sides) -> Iterator[Change]:
    if batch.owed:
        return map(_change, batch.texts)
    layout = compare.layout(sides)
    return (layout.change(batch.operation, row_decoder.decode(text)) for text in batch.texts)


_change = msgspec.json.Decoder(Change, float_hook=Decimal).decode


def _noting_retyped(batches: Iterator[Batch], retyped: dict[str, int], sides: Sides) -> Iterator[Batch]:
    """Counts, by column, the rows in which a column differs between two types whose values don't compare."""
    before = {column.name: column.type for column in sides.old_common}
    types = {column.name: (before[column.name], column.type) for column in sides.common}
    suspects = {name for name, (old, new) in types.items() if old != new}
    for batch in batches:
        if suspects and batch.operation == "changed":
            for change in _changes(batch, sides):
                _note_retyped(change, suspects, types, retyped)
        yield batch


def _note_retyped(
    change: Change, suspects: set[str], types: dict[str, tuple[ColumnType, ColumnType]], retyped: dict[str, int]
) -> None:
    old, new = change.before or {}, change.after or {}
    for name in suspects.intersection(change.columns):
        if None not in (old.get(name), new.get(name)) and not _comparable(*types[name], old[name]):
            retyped[name] = retyped.get(name, 0) + 1


def _comparable(before: ColumnType, after: ColumnType, value: Any) -> bool:
    """Whether a value of one type compares with one of the other by what it is: numbers do while they are exact."""
    if {before, after} <= {"integer", "decimal"}:
        return True
    return (before, after) == ("integer", "float") and abs(value) < EXACT_FLOATS


def _write_chunks(number: int, batches: Iterator[Batch], counts: Counts, needs: PartitionDiff) -> list[str]:
    ids: list[str] = []
    layout = compare.layout(needs.sides)
    for filling in cut(batches, chunk_changes(needs.definition), CHUNK_BYTES):
        chunk = WrittenChunk(
            sync=needs.run.sync,
            run=needs.run.run,
            id=f"{number:05d}-{len(ids):06d}",
            operation=filling.operation,
            layout=layout,
            changes=[msgspec.Raw(text.encode()) for text in filling.owed],
            rows=msgspec.Raw(f"[{','.join(filling.rows)}]".encode()),
        )
        needs.changes.put_chunk(chunk)
        ids.append(chunk.id)
        setattr(counts, filling.operation, getattr(counts, filling.operation) + filling.count)
    return ids


def _write_settled(number: int, settled: Sequence[str], needs: PartitionDiff) -> list[str]:
    ids: list[str] = []
    for start in range(0, len(settled), 1000):
        chunk = Chunk(
            sync=needs.run.sync,
            run=needs.run.run,
            id=f"{number:05d}-settled-{len(ids):04d}",
            changes=[],
            settled=list(settled[start : start + 1000]),
        )
        needs.changes.put_chunk(chunk)
        ids.append(chunk.id)
    return ids
