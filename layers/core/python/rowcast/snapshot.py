"""snapshot: run the query and keep its result as immutable, hash-partitioned, fingerprinted Parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import columns as sql
from rowcast.definition import Definition
from rowcast.engine import engine
from rowcast.errors import SourceFailed
from rowcast.lock import held
from rowcast.models import Column, Manifest, Partition, Run
from rowcast.ports import Clock, DebtStore, DefinitionStore, SnapshotStore, Source, StateStore

if TYPE_CHECKING:
    import duckdb

MAX_PARTITIONS = 4096
KEY_EXAMPLES = 3


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
        snapshot = take_snapshot(definition, run, baseline, head.manifest, source, needs)
    skip = baseline is None and definition.initial_sync == "skip"
    numbers = [] if skip else partitions_to_diff(snapshot.manifest, baseline, _owed(record, needs.debts))
    key = needs.snapshots.put_work(sync, run, "partitions", numbers) if numbers else ""
    old, new = _names(baseline or snapshot.manifest), _names(snapshot.manifest)
    taken = msgspec.structs.replace(
        record,
        phase="snapshot",
        manifest=snapshot.key,
        snapshot_at=needs.clock.now(),
        rows=snapshot.manifest.rows,
        partitions_to_diff=len(numbers),
        skipped=snapshot.manifest.rows if skip else 0,
        columns_added=[name for name in new if name not in old],
        columns_dropped=[name for name in old if name not in new],
    )
    needs.states.save(taken, token)
    return Taken(partitions=len(numbers), work_bucket=needs.snapshots.bucket_name(), work_key=key)


def _names(manifest: Manifest) -> list[str]:
    return [column.name for column in manifest.columns]


def _owed(run: Run, debts: DebtStore) -> Iterator[str]:
    if run.owed_before:
        yield from (debt.key_hash for debt in debts.debts(run.sync, "0" * 32, "f" * 32))


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
) -> Snapshot:
    """Reads the source once, in bounded memory, and stores what differs from the baseline's partitions.

    Raises SourceFailed, with nothing stored under a manifest, when the query fails, the result has no usable primary
    key or the type of a key column changed. `needs.attempt` keeps the files of repeated attempts apart.
    """
    scratch = needs.scratch
    with engine(scratch, needs.engine_mb) as connection:
        bits = _bits(len(baseline.partitions)) if baseline else 0
        columns, files = _stage(definition, source, connection, scratch, bits)
        _check_key_types(definition, columns, baseline)
        rows = sum(file.rows for file in files.values())
        wanted = partition_bits(rows, bits, definition.limits.rows_per_partition)
        if wanted != bits:
            files = _restage(connection, scratch, wanted)
        _check_keys(definition, connection, files)
        prefix = f"snapshots/{definition.sync}/{run}/{needs.attempt}"
        same = baseline if baseline is not None and comparable(columns, 2**wanted, baseline) else None
        partitions = tuple(
            _store_partition(
                f"{prefix}/{number:05d}.parquet",
                files.get(number),
                columns,
                same.partitions[number] if same is not None else None,
                needs.snapshots,
                connection,
            )
            for number in range(2**wanted)
        )
    if same is not None and baseline_key and (partitions, columns) == (same.partitions, same.columns):
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


def comparable(columns: Sequence[Column], count: int, baseline: Manifest) -> bool:
    """Whether partitions of `count` over `columns` can be compared with the baseline's by their digests."""
    return baseline.fingerprint_schema == sql.fingerprint_schema(columns) and len(baseline.partitions) == count


def partition_bits(rows: int, current: int, rows_per_partition: int) -> int:
    """log2 of the partition count: kept while partitions hold between a quarter and twice the wanted rows, so that a
    table that grows slowly is not partitioned anew at every run."""
    if rows <= 2 * rows_per_partition << current and (current == 0 or rows >= rows_per_partition << current >> 2):
        return current
    wanted = max(1, -(-rows // rows_per_partition))
    return min((wanted - 1).bit_length(), _bits(MAX_PARTITIONS))


def _bits(count: int) -> int:
    return count.bit_length() - 1


class _File(msgspec.Struct, frozen=True):
    path: Path
    rows: int


def _stage(
    definition: Definition, source: Source, connection: duckdb.DuckDBPyConnection, scratch: Path, bits: int
) -> tuple[tuple[Column, ...], dict[int, _File]]:
    import duckdb

    try:
        with source.query(definition.query, connection) as result:
            keys = _key_columns(definition, result.columns)
            key_hash, fingerprint = sql.key_hash(keys), sql.fingerprint(result.columns)
            names = ", ".join(sql.quote(column.name) for column in result.columns)
            nulls = " OR ".join(f"{sql.quote(column.name)} IS NULL" for column in keys)
            rows = (
                f"SELECT {key_hash} AS _key_hash, {fingerprint} AS _fingerprint, ({nulls}) AS _key_null, {names}"
                f" FROM {result.relation}"
            )
            return result.columns, _write(connection, rows, scratch / "staged", bits)
    except duckdb.Error as error:
        raise SourceFailed(
            f"The query of {definition.sync} failed while its result was read ({type(error).__name__}); "
            "nothing was sent. Run the query in the source itself to see where."
        ) from None


def _write(connection: duckdb.DuckDBPyConnection, rows: str, folder: Path, bits: int) -> dict[int, _File]:
    partition = sql.partition_of("_key_hash", bits)
    folder.mkdir()
    connection.execute(
        f"COPY (SELECT *, {partition} AS _partition FROM ({rows})) TO '{folder}' "
        "(FORMAT parquet, PARTITION_BY (_partition), COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 65536)"
    )
    return {number: _single(connection, path) for number, path in _folders(folder)}


def _folders(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in sorted(folder.glob("_partition=*")):
        yield int(path.name.removeprefix("_partition=")), path


def _single(connection: duckdb.DuckDBPyConnection, folder: Path) -> _File:
    files = sorted(folder.glob("*.parquet"))
    path = files[0]
    if len(files) > 1:
        path = folder.with_suffix(".parquet")
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{folder}/*.parquet', hive_partitioning = false)) TO '{path}' "
            "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 65536)"
        )
    count = connection.execute(f"SELECT count(*) FROM read_parquet('{path}')").fetchone()
    assert count is not None
    return _File(path, count[0])


def _restage(connection: duckdb.DuckDBPyConnection, scratch: Path, bits: int) -> dict[int, _File]:
    rows = f"SELECT * FROM read_parquet('{scratch}/staged/*/*.parquet', hive_partitioning = false)"
    return _write(connection, rows, scratch / "restaged", bits)


def _key_columns(definition: Definition, columns: Sequence[Column]) -> list[Column]:
    by_name = {column.name: column for column in columns}
    missing = [name for name in definition.primary_key if name not in by_name]
    if missing:
        raise SourceFailed(
            f"The primary key of {definition.sync} names {', '.join(missing)}, which the query's result does not have; "
            f"its columns are {', '.join(by_name)}. Correct `model.primary_key` or select the column."
        )
    return [by_name[name] for name in definition.primary_key]


_NUMBERS = {"integer", "decimal", "float"}


def _check_key_types(definition: Definition, columns: Sequence[Column], baseline: Manifest | None) -> None:
    if baseline is None:
        return
    if tuple(baseline.primary_key) != tuple(definition.primary_key):
        raise SourceFailed(
            f"The primary key of {definition.sync} changed from {', '.join(baseline.primary_key)} to "
            f"{', '.join(definition.primary_key)}; rows can't be followed across that. Give the sync a new name."
        )
    before = {column.name: column.type for column in baseline.columns}
    for column in _key_columns(definition, columns):
        old = before[column.name]
        if old != column.type and not {old, column.type} <= _NUMBERS:
            raise SourceFailed(
                f"Key column {column.name} of {definition.sync} changed its type from {old} to {column.type}; every "
                f"row would look removed and added. Cast it back to {old} in the query, or give the sync a new name."
            )


def _check_keys(definition: Definition, connection: duckdb.DuckDBPyConnection, files: dict[int, _File]) -> None:
    nulls = duplicates = 0
    examples: list[str] = []
    for file in files.values():
        found = connection.execute(
            f"SELECT coalesce(sum(n) FILTER (empty), 0)::BIGINT, coalesce(sum(n) FILTER (NOT empty), 0)::BIGINT,"
            f" list(k ORDER BY k)[1:{KEY_EXAMPLES}] FROM (SELECT _key_hash::VARCHAR AS k, bool_or(_key_null) AS empty,"
            f" count(*) AS n FROM read_parquet('{file.path}') GROUP BY _key_hash HAVING n > 1 OR empty)"
        ).fetchone()
        assert found is not None
        nulls, duplicates = nulls + found[0], duplicates + found[1]
        examples += [key.replace("-", "") for key in found[2] or ()]
    if nulls or duplicates:
        names = ", ".join(definition.primary_key)
        what = [f"{nulls} with a null"] * bool(nulls) + [f"{duplicates} that share a key"] * bool(duplicates)
        raise SourceFailed(
            f"{definition.sync} has rows without a key of their own in ({names}): {' and '.join(what)}; "
            f"for example the key hashes {', '.join(examples[:KEY_EXAMPLES])}. Nothing was sent. Make the query give "
            "each key once."
        )


EMPTY = Partition(key=None, rows=0, digest=hashlib.sha256().hexdigest(), sha256="", bytes=0)


def _store_partition(
    key: str,
    file: _File | None,
    columns: Sequence[Column],
    same: Partition | None,
    store: SnapshotStore,
    connection: duckdb.DuckDBPyConnection,
) -> Partition:
    if file is None or not file.rows:
        return EMPTY
    pairs = connection.execute(
        f"SELECT sha256(string_agg(_key_hash::VARCHAR || _fingerprint::VARCHAR, '' ORDER BY _key_hash))"
        f" FROM read_parquet('{file.path}')"
    ).fetchone()
    assert pairs is not None
    if same is not None and same.digest == pairs[0]:
        return same
    final = _without_marks(connection, file, columns)
    with final.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    store.put_file(key, final)
    size = final.stat().st_size
    final.unlink()
    return Partition(key=key, rows=file.rows, digest=pairs[0], sha256=digest, bytes=size)


def _without_marks(connection: duckdb.DuckDBPyConnection, file: _File, columns: Sequence[Column]) -> Path:
    """The file as it is kept: in order of the key hash, without what only this step needs."""
    path = file.path.with_suffix(".kept.parquet")
    names = ", ".join(sql.quote(column.name) for column in columns)
    connection.execute(
        f"COPY (SELECT _key_hash, _fingerprint, {names} FROM read_parquet('{file.path}') ORDER BY _key_hash)"
        f" TO '{path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 65536)"
    )
    return path


def partitions_to_diff(
    manifest: Manifest, baseline: Manifest | None, owed: Iterator[str] | Sequence[str] = ()
) -> list[int]:
    """The partitions that may hold a change: those whose digest differs, and those in which a row is owed.

    `owed`: the key hashes of debts.
    """
    bits = _bits(len(manifest.partitions))
    same = baseline if baseline and comparable(manifest.columns, len(manifest.partitions), baseline) else None
    differing = {
        number
        for number, partition in enumerate(manifest.partitions)
        if same is None or same.partitions[number].digest != partition.digest
    }
    return sorted(differing | {int(key_hash, 16) >> (128 - bits) for key_hash in owed})
