"""snapshot: run the query and keep its result as immutable, hash-partitioned, fingerprinted Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from rowcast import columns as sql
from rowcast.definition import Definition
from rowcast.engine import engine
from rowcast.keys import check_key_types, check_same_key
from rowcast.lock import held
from rowcast.models import Column, Manifest, Run
from rowcast.ports import Clock, DebtStore, DefinitionStore, SnapshotStore, Source, StateStore
from rowcast.replay import Past, past_runs
from rowcast.staging import first_bits, repartition, stage
from rowcast.storing import EMPTY, Making, make_partitions, put_partitions

MAX_PARTITIONS = 4096
FIRST_BITS = 3
"""log2 of the partitions in which a first run, which knows no number of rows, sets rows aside."""
MOST_RUNS = 50_000
"""More than a sync that runs each minute has in the time for which changes are kept."""


class Taking(msgspec.Struct, kw_only=True):
    """What snapshot needs. `source` makes the definition's source, which may use the scratch folder."""

    states: StateStore
    definitions: DefinitionStore
    snapshots: SnapshotStore
    debts: DebtStore
    source: Callable[[Definition, Path], Source]
    clock: Clock
    scratch: Path
    attempt: str
    engine_mb: int


class Taken(msgspec.Struct, kw_only=True):
    """Where the state machine goes on, with pointers only. `partitions`: how many there are to diff."""

    partitions: int
    work_bucket: str = ""
    work_key: str = ""


def snapshot_run(sync: str, run: str, token: int, needs: Taking) -> Taken:
    """Takes the run's snapshot and lists the partitions to diff. Repeating it answers the same snapshot."""
    head, record = held(needs.states, sync, run, token)
    definition = needs.definitions.pinned(sync, record.definition)
    baseline = needs.snapshots.manifest(head.manifest) if head.manifest else None
    if record.manifest is not None:
        snapshot = Snapshot(key=record.manifest, manifest=needs.snapshots.manifest(record.manifest))
    else:
        source = needs.source(definition, needs.scratch)
        rekeys = record.mode == "rebaseline"
        if baseline is not None and (baseline.rows or record.owed_before) and not rekeys:
            check_same_key(definition, baseline)
        snapshot = take_snapshot(definition, run, baseline, head.manifest, source, needs, rekeys=rekeys)
    skip = baseline is None and definition.initial_sync == "skip" and not record.sends_all
    numbers = [] if skip else partitions_to_diff(snapshot.manifest, baseline, _owed(record, needs.debts))
    if record.sends_all:
        partitions = enumerate(snapshot.manifest.partitions)
        numbers = sorted({*numbers, *(number for number, partition in partitions if partition.rows)})
    past = ""
    if record.replays is not None:
        numbers = list(range(len(snapshot.manifest.partitions)))
        past = needs.snapshots.put_work(sync, run, "past", _past(record, needs))
    key = needs.snapshots.put_work(sync, run, "partitions", numbers) if numbers else ""
    again = Taken(partitions=len(numbers), work_bucket=needs.snapshots.bucket_name(), work_key=key)
    if record.phase == "sealed":  # its chunks are made anew: see `open`
        return again
    old, new = _names(baseline or snapshot.manifest), _names(snapshot.manifest)
    taken = msgspec.structs.replace(
        record,
        phase="snapshot",
        manifest=snapshot.key,
        snapshot_at=needs.clock.now(),
        rows=snapshot.manifest.rows,
        past=past,
        partitions=len(snapshot.manifest.partitions),
        partitions_to_diff=len(numbers),
        skipped=snapshot.manifest.rows if skip else 0,
        columns_added=[name for name in new if name not in old],
        columns_dropped=[name for name in old if name not in new],
    )
    needs.states.save(taken, token)
    return again


def _past(record: Run, needs: Taking) -> list[Past]:
    def identity(digest: str) -> str:
        return needs.definitions.pinned(record.sync, digest).destination.identity

    return past_runs(record, needs.states.runs(record.sync, MOST_RUNS), needs.clock.now(), identity)


def _names(manifest: Manifest) -> list[str]:
    return [column.name for column in manifest.columns]


def _owed(run: Run, debts: DebtStore) -> Iterator[str]:
    if run.owed_before:
        yield from debts.key_hashes(run.sync, "0" * 32, "f" * 32)


class Snapshot(msgspec.Struct, kw_only=True):
    """`key` names the manifest that describes the source now: the baseline's own when nothing differs from it."""

    key: str
    manifest: Manifest


def take_snapshot(
    definition: Definition,
    run: str,
    baseline: Manifest | None,
    baseline_key: str | None,
    source: Source,
    needs: Taking,
    *,
    rekeys: bool = False,
) -> Snapshot:
    """Reads the source once, in bounded memory, and stores what differs from the baseline's partitions.

    Raises SourceFailed, with nothing stored under a manifest, when the query fails, the result has no usable primary
    key or, unless the run `rekeys`, a column of the key changed its type. `needs.attempt` keeps the files of repeated
    attempts apart.
    """
    scratch = needs.scratch
    with engine(scratch, needs.engine_mb) as connection:
        bits = _bits(len(baseline.partitions)) if baseline else None
        staged = FIRST_BITS if bits is None else first_bits(bits)
        columns, files = stage(definition, source, connection, scratch, staged)
        rows = sum(file.rows for file in files.values())
        if rows and baseline is not None and baseline.rows and not rekeys:  # a CSV without rows has only text columns
            check_key_types(definition, columns, baseline)
        wanted = partition_bits(rows, bits, definition.limits.rows_per_partition)
        if files and wanted != staged:
            files = repartition(definition, columns, files, connection, scratch, (staged, wanted))
        same = baseline if baseline is not None and _same_form(columns, 2**wanted, baseline) else None
        making = Making(
            definition=definition,
            columns=columns,
            prefix=f"snapshots/{definition.sync}/{run}/{needs.attempt}",
            same=same.partitions if same is not None else None,
            scratch=scratch,
            connection=connection,
        )
        made = make_partitions(files, making)
    put_partitions(made.values(), needs.snapshots)
    partitions = tuple(made[number].partition if number in made else EMPTY for number in range(2**wanted))
    if same is not None and baseline_key and partitions == same.partitions:
        return Snapshot(key=baseline_key, manifest=same)
    manifest = Manifest(
        sync=definition.sync,
        run=run,
        primary_key=definition.primary_key,
        columns=columns,
        fingerprint_schema=sql.fingerprint_schema(columns),
        rows=sum(partition.rows for partition in partitions),
        partitions=partitions,
    )
    key, standing = needs.snapshots.put_manifest(manifest)
    return Snapshot(key=key, manifest=standing)


def _same_form(columns: Sequence[Column], count: int, baseline: Manifest) -> bool:
    """Whether a partition of the baseline can stand for an equal one: it has the same columns, types included."""
    return len(baseline.partitions) == count and set(baseline.columns) == set(columns)


def _comparable(manifest: Manifest, baseline: Manifest) -> bool:
    """Whether their partitions compare by their digests."""
    same_count = len(baseline.partitions) == len(manifest.partitions)
    return same_count and baseline.fingerprint_schema == manifest.fingerprint_schema


def partition_bits(rows: int, current: int | None, rows_per_partition: int) -> int:
    """log2 of the partition count. The `current` one, if there is one, is kept while partitions hold between a quarter
    and twice the wanted rows, so that a table that grows slowly is not partitioned anew at every run."""
    if current is not None:
        least = rows_per_partition << current >> 2 if current else 0
        if least <= rows <= 2 * rows_per_partition << current:
            return current
    wanted = max(1, -(-rows // rows_per_partition))
    return min((wanted - 1).bit_length(), _bits(MAX_PARTITIONS))


def _bits(count: int) -> int:
    return count.bit_length() - 1


def partitions_to_diff(
    manifest: Manifest, baseline: Manifest | None, owed: Iterator[str] | Sequence[str] = ()
) -> list[int]:
    """The partitions that may hold a change: those whose digest differs, and those in which a row is owed.

    `owed`: the key hashes of debts.
    """
    bits = _bits(len(manifest.partitions))
    same = baseline if baseline and _comparable(manifest, baseline) else None
    differing = {
        number
        for number, partition in enumerate(manifest.partitions)
        if same is None or same.partitions[number].digest != partition.digest
    }
    return sorted(differing | {int(key_hash, 16) >> (128 - bits) for key_hash in owed})
