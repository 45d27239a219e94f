"""diff: compare one partition with its baseline and write the changes as chunks.

Rows without a debt are compared by their fingerprints; rows that are owed are compared one by one with
the row that the destination last accepted, which their debt holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import columnar, pairing, retyping
from rowcast.bounds import read_row
from rowcast.chunks import Batch, Filling, WrittenChunk, cut
from rowcast.compare import Sides
from rowcast.definition import Definition, LambdaDestination, Triggers
from rowcast.engine import kept_engine, run
from rowcast.errors import RunFailed
from rowcast.lock import held
from rowcast.matching import Found, find
from rowcast.models import (
    Change,
    Chunk,
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
from rowcast.pairing import Pairs
from rowcast.picking import LEAST_ROWS, OtherKeys, current_rows, differences, layout, rows_at_once, slice_rows
from rowcast.ports import ChangeStore, DebtStore, DefinitionStore, SnapshotStore, StateStore
from rowcast.replay import Past, Replaying, replay_partition

if TYPE_CHECKING:
    import duckdb

CHUNK_CHANGES = 200
CHUNK_BYTES = 2_000_000
SETTLED = 1000


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
    with kept_engine(needs.scratch, needs.engine_mb) as connection:
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
    try:
        return _diff_partition(number, needs, connection, assumes=_assumes(needs))
    except OtherKeys:  # only chunks of debts are written, and come out the same again
        return _diff_partition(number, needs, connection, assumes=0)


def _assumes(needs: PartitionDiff) -> int:
    """Up to how many rows are all read before a chunk of them is written, so that keys need not be read before."""
    changed = needs.definition.triggers.changed
    same_key = needs.sides.old.primary_key == needs.sides.manifest.primary_key
    return slice_rows(needs.sides) if same_key and changed is not None and _wanted_columns(needs) is None else 0


def _diff_partition(
    number: int, needs: PartitionDiff, connection: duckdb.DuckDBPyConnection, *, assumes: int
) -> PartitionResult:
    run(connection, "SET preserve_insertion_order = true")
    run(connection, "SET disabled_optimizers = 'join_order'")  # rows after are looked up, not those before
    owed = _owed(number, needs)
    resync = needs.run.sends_all
    found = find(number, needs.sides, owed, connection, whole=resync, assumes=assumes)
    counts = Counts()
    unsent = _Unsent(number=number, needs=needs)
    changes = _owed_changes(owed, found.owed, unsent, counts, needs, connection)
    sending = _resent_too(found, needs.definition) if resync else found.differing
    sending = _without_untriggered(sending, counts, needs.definition)
    fresh = _fresh_changes(sending, counts, needs, connection, assumed=found.assumed)
    written = _write_chunks(number, chain(changes, fresh), counts, needs)
    differing = found.differing.counts()
    result = PartitionResult(
        partition=number,
        chunks=written.ids,
        counts=counts,
        settled_chunks=unsent.written(),
        settled=unsent.settled,
        changed_rows=differing.get("changed", 0),
        removed_rows=differing.get("removed", 0),
        retyped=written.retyped,
        left_since=unsent.left_since,
    )
    needs.changes.put_result(needs.run.sync, needs.run.run, result)
    return result


def chunk_changes(definition: Definition) -> int:
    """Changes per chunk: a whole number of batches, so that cutting chunks cuts no batch short."""
    if isinstance(definition.destination, LambdaDestination):
        size = definition.destination.batch_size
        return size * max(1, CHUNK_CHANGES // size)
    return CHUNK_CHANGES


def _owed(number: int, needs: PartitionDiff) -> list[str]:
    """The key hashes of the partition's debts. They alone are held all at once: rows and debts are read in slices."""
    if not needs.run.owed_before:
        return []
    width = 128 - needs.sides.bits
    first, last = number << width, ((number + 1) << width) - 1
    return list(needs.debts.key_hashes(needs.run.sync, f"{first:032x}", f"{last:032x}"))


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
    if trigger is None or trigger.columns is None or change.operation != "changed" or needs.run.sends_all:
        return trigger is not None
    in_doubt = change.debt is not None and change.debt.in_doubt
    return in_doubt or not set(trigger.columns).isdisjoint(change.columns)


def _owed_changes(
    owed: Sequence[str],
    places: Mapping[str, int],
    unsent: _Unsent,
    counts: Counts,
    needs: PartitionDiff,
    connection: duckdb.DuckDBPyConnection,
) -> Iterator[Batch]:
    """The changes that debts still ask for. `owed`: their key hashes, in order; `places`: of the rows that are there
    now."""
    common = [column.name for column in needs.sides.common]
    destination = needs.definition.destination.identity
    only = needs.run.only
    for debt, now in _owed_rows(owed, places, needs, connection):
        if only is not None and not only.has(debt):
            unsent.leave(debt)
            continue
        change = owed_change(debt, now, common, destination, needs.run.generation)
        if needs.run.sends_all:
            change = _resent(debt, now, change, needs)
        if change is not None and needs.run.mode != "discard" and _wanted(change, needs):
            yield _owed_alone(change)
        else:
            unsent.settle(debt)
            counts.skipped += change is not None


def _owed_rows(
    owed: Sequence[str], places: Mapping[str, int], needs: PartitionDiff, connection: duckdb.DuckDBPyConnection
) -> Iterator[tuple[Debt, Row | None]]:
    """Each debt with its row now. Rows are read in slices, each as large as the rows of the one before let it be."""
    start, step = 0, LEAST_ROWS
    while start < len(owed):
        some = owed[start : start + step]
        there = {key_hash: places[key_hash] for key_hash in some if key_hash in places}
        current = current_rows(there, needs.sides, connection)
        for debt in needs.debts.debts(needs.run.sync, some[0], some[-1]):
            row = current.get(debt.key_hash)
            yield debt, read_row(row) if row is not None else None
        start, step = start + step, rows_at_once(sum(map(len, current.values())) // (len(current) or 1))


class _Unsent(msgspec.Struct, kw_only=True):
    """The partition's debts of which nothing is sent. `settled`: those for which nothing is owed any more; they are
    written in chunks of their own. `left_since`: the first run of the oldest that the run is not about."""

    number: int
    needs: PartitionDiff
    settled: int = 0
    left_since: str = ""
    chunks: list[str] = []
    filling: list[str] = []

    def leave(self, debt: Debt) -> None:
        self.left_since = min(self.left_since or debt.first_run, debt.first_run)

    def settle(self, debt: Debt) -> None:
        self.settled += 1
        self.filling.append(debt.key_hash)
        if len(self.filling) == SETTLED:
            self._write()

    def written(self) -> list[str]:
        """All chunks, now that no more debts come."""
        if self.filling:
            self._write()
        return self.chunks

    def _write(self) -> None:
        name = f"{self.number:05d}-settled-{len(self.chunks):04d}"
        run = self.needs.run
        self.needs.changes.put_chunk(Chunk(sync=run.sync, run=run.run, id=name, changes=[], settled=self.filling))
        self.chunks.append(name)
        self.filling = []


def _owed_alone(change: Change) -> Batch:
    size = len(to_json([change.before, change.after]))
    return Batch(operation=change.operation, sizes=[size], part=lambda *_: msgspec.Raw(to_json(change)), owed=True)


def _resent_too(found: Found, definition: Definition) -> Pairs:
    """The rows that are equal, too; they and those that changed are told as `_resent_as` says."""
    changed = found.differing.at(found.differing.of("changed"))
    others = found.differing.without("changed")
    return pairing.united([others, *(each.told_as(_resent_as(definition)) for each in (changed, found.equal))])


def _without_untriggered(sending: Pairs, counts: Counts, definition: Definition) -> Pairs:
    for operation, rows in sending.counts().items():
        if definition.triggers.of(operation) is None:
            sending = sending.without(operation)
            counts.skipped += rows
    return sending


def _wanted_columns(needs: PartitionDiff) -> Sequence[str] | None:
    """Of changed rows only those that differ in one of these columns are sent; None: all."""
    changed = needs.definition.triggers.changed
    return None if changed is None or needs.run.sends_all else changed.columns


def _fresh_changes(
    sending: Pairs, counts: Counts, needs: PartitionDiff, connection: duckdb.DuckDBPyConnection, *, assumed: bool
) -> Iterator[Batch]:
    found = 0
    for batch in differences(sending, needs.sides, _wanted_columns(needs), connection, assumed=assumed):
        found += len(batch.sizes)
        yield batch
    counts.skipped += len(sending) - found


class Written(msgspec.Struct):
    """What was written of a partition."""

    ids: list[str] = []
    retyped: dict[str, int] = {}


def _write_chunks(number: int, batches: Iterator[Batch], counts: Counts, needs: PartitionDiff) -> Written:
    written = Written()
    suspects = retyping.suspects(needs.sides)
    for filling in cut(batches, chunk_changes(needs.definition), CHUNK_BYTES):
        chunk = _chunk(f"{number:05d}-{len(written.ids):06d}", filling, needs)
        needs.changes.put_chunk(chunk)
        written.ids.append(chunk.id)
        setattr(counts, filling.operation, getattr(counts, filling.operation) + filling.count)
        if suspects and filling.operation == "changed":
            retyping.note(chunk, suspects, written.retyped)
    return written


def _chunk(name: str, filling: Filling, needs: PartitionDiff) -> WrittenChunk:
    return WrittenChunk(
        sync=needs.run.sync,
        run=needs.run.run,
        id=name,
        operation=filling.operation,
        layout=layout(needs.sides),
        destination=needs.definition.destination.identity,
        generation=needs.run.generation,
        changes=filling.owed,
        table=columnar.table(filling.operation, filling.rows) if filling.rows else None,
    )
