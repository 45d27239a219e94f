"""A query's result on local disk: partitioned, fingerprinted, and from there to the snapshot store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import columns as sql
from rowcast import fingerprints
from rowcast.definition import Definition
from rowcast.engine import columns as engine_columns
from rowcast.engine import run
from rowcast.errors import SourceFailed
from rowcast.fingerprints import Fingerprints
from rowcast.keys import check_keys, key_columns
from rowcast.models import Column, Partition
from rowcast.parquet import without_columns
from rowcast.ports import SnapshotStore, Source

if TYPE_CHECKING:
    import duckdb

PARQUET = (
    "FORMAT parquet, PARQUET_VERSION v2, COMPRESSION lz4_raw, ROW_GROUP_SIZE 65536,"
    " DICTIONARY_SIZE_LIMIT 4096, WRITE_BLOOM_FILTER false"
)
"""Read twice as fast as zstd of version 1, and a tenth larger: docs/benchmarks.md. A column of more than some thousand
values in a row group is seldom smaller with a dictionary, and making one until then costs a sixth of the writing."""

_KEY, _UPPER, _LOWER, _PARTITION = "_key_hash", "_fingerprint_upper", "_fingerprint_lower", "_key_hash_partition"
_HASHES = (_KEY, _UPPER, _LOWER)
"""Columns of a staged file that are not stored. No column of a source may be called like them."""

LEAST_ROWS = 16_384
"""Of a row group: reading files of smaller ones costs more."""


ROWS_INDEXED = 2_000_000
"""At the same time: each takes about 110 bytes of memory."""


class StagedFile(msgspec.Struct, frozen=True):
    """A partition's rows, file after file, each with its key's hash and its fingerprint."""

    paths: tuple[Path, ...]
    rows: int


def bound_buffers(connection: duckdb.DuckDBPyConnection, bits: int) -> None:
    """Bounds how many rows a thread divides among 2^bits partitions before they are written. What it holds meanwhile
    grows with the partitions, since each has buffers of its own: with 20,000 rows and 64 partitions 600 MB. Fewer rows
    take a little longer. A source may lock the engine's settings, so it comes before."""
    run(connection, f"SET partitioned_write_flush_threshold = {max(500, min(5_000, 480_000 >> bits))}")


def stage(
    definition: Definition, source: Source, connection: duckdb.DuckDBPyConnection, scratch: Path, bits: int
) -> tuple[tuple[Column, ...], dict[int, StagedFile]]:
    import duckdb

    try:
        with source.query(definition.query, connection) as result:
            keys = key_columns(definition, result.columns)
            key_hash, fingerprint = sql.key_hash(keys), sql.fingerprint(result.columns)
            names = ", ".join(sql.quote(column.name) for column in result.columns)
            relation = (
                f"(SELECT {names}, (k >> 64)::UBIGINT AS {_KEY}, (f >> 64)::UBIGINT AS {_UPPER},"
                f" (f & {2**64 - 1}::UHUGEINT)::UBIGINT AS {_LOWER} FROM"
                f" (SELECT *, {key_hash}::UHUGEINT AS k, {fingerprint}::UHUGEINT AS f FROM {result.relation}))"
            )
            return result.columns, _write(connection, relation, keys, scratch / "staged", bits)
    except duckdb.Error as error:
        raise SourceFailed(
            f"The query of {definition.sync} failed while its result was read ({type(error).__name__}); "
            "nothing was sent. Run the query in the source itself to see where."
        ) from None


def _write(
    connection: duckdb.DuckDBPyConnection, relation: str, keys: Sequence[Column], folder: Path, bits: int
) -> dict[int, StagedFile]:
    folder.mkdir()
    if not bits:  # even into one partition PARTITION_BY copies every row once more
        whole = folder / f"{_PARTITION}=0"
        run(connection, f"COPY (FROM {relation}) TO '{whole}' ({PARQUET}, PER_THREAD_OUTPUT)")
        return _written(connection, folder)
    # a row with a null in its key has no hash
    partition = f"CASE WHEN {sql.not_null(keys)} THEN ({_KEY} >> {64 - bits})::INTEGER ELSE 0 END"
    run(
        connection,
        f"COPY (SELECT *, {partition} AS {_PARTITION} FROM {relation}) TO '{folder}' "
        f"({PARQUET}, PARTITION_BY ({_PARTITION}))",
    )
    return _written(connection, folder)


def _written(connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[int, StagedFile]:
    if not any(folder.iterdir()):
        return {}
    found: dict[int, StagedFile] = {}
    counted = f"SELECT file_name, num_rows FROM parquet_file_metadata('{folder}/*/*.parquet') ORDER BY file_name"
    for name, rows in run(connection, counted):
        if not rows:
            continue
        path = folder.joinpath(*Path(name).parts[-2:])
        number = int(path.parent.name.removeprefix(f"{_PARTITION}="))
        before = found.get(number, StagedFile((), 0))
        found[number] = StagedFile((*before.paths, path), before.rows + rows)
    return found


def repartition(
    definition: Definition,
    columns: Sequence[Column],
    files: dict[int, StagedFile],
    connection: duckdb.DuckDBPyConnection,
    scratch: Path,
    bits: tuple[int, int],
) -> dict[int, StagedFile]:
    """The same rows in 2^bits[1] partitions instead of 2^bits[0]: as they lie, or, where that would make small row
    groups or a partition is to be split, written anew."""
    current, wanted = bits
    if wanted > current or sum(file.rows for file in files.values()) < LEAST_ROWS << current:
        relation = f"read_parquet('{scratch}/staged/*/*.parquet', hive_partitioning = false)"
        return _write(connection, relation, key_columns(definition, columns), scratch / "restaged", wanted)
    united: dict[int, StagedFile] = {}
    for number, file in sorted(files.items()):
        before = united.get(number >> current - wanted, StagedFile((), 0))
        united[number >> current - wanted] = StagedFile((*before.paths, *file.paths), before.rows + file.rows)
    return united


class StagedIndex(msgspec.Struct, frozen=True):
    """The fingerprints of a staged file, in a file beside it."""

    path: Path
    digest: str
    checksum: str
    bytes: int
    has_twins: bool


def index(
    definition: Definition,
    columns: Sequence[Column],
    files: dict[int, StagedFile],
    connection: duckdb.DuckDBPyConnection,
) -> dict[int, StagedIndex]:
    """Raises SourceFailed unless each row has a key of its own.

    Several partitions are sorted and hashed at the same time, each by one processor.
    """
    largest = max((file.rows for file in files.values()), default=1)
    at_once = max(1, min(os.cpu_count() or 1, ROWS_INDEXED // largest))
    made: dict[int, StagedIndex] = {}
    listed = list(files.items())
    with ThreadPoolExecutor(at_once) as workers:
        for start in range(0, len(listed), at_once):
            some = dict(listed[start : start + at_once])
            read = [_read(file, connection) for file in some.values()]
            made |= zip(some, workers.map(_index, some.values(), read), strict=True)
    suspects = [file.paths for number, file in files.items() if made[number].has_twins]
    nulls = [file.paths for number, file in files.items() if not number]  # where rows without a key hash lie
    check_keys(definition, columns, connection, nulls_in=nulls, shared_in=suspects)
    return made


def _read(file: StagedFile, connection: duckdb.DuckDBPyConnection) -> Fingerprints:
    parts, start = [], 0
    for path in file.paths:
        select = f"SELECT {', '.join(_HASHES)}, file_row_number::UBIGINT + {start} FROM"
        keys, upper, lower, rows = engine_columns(
            connection, f"{select} read_parquet('{path}', file_row_number = true)"
        )
        parts.append(Fingerprints(keys=keys, upper=upper, lower=lower, rows=rows))
        start += len(keys)
    return fingerprints.joined(parts)


def _index(file: StagedFile, unsorted: Fingerprints) -> StagedIndex:
    found = fingerprints.in_order(unsorted)
    path = file.paths[0].with_suffix(".fingerprints")
    written = found.write(path)
    return StagedIndex(path, written.digest, written.checksum, written.bytes, found.has_twins)


EMPTY = Partition(key=None, rows=0, digest=hashlib.sha256().hexdigest(), bytes=0)


def store_partition(
    key: str,
    file: StagedFile | None,
    prints: StagedIndex | None,
    same: Partition | None,
    store: SnapshotStore,
) -> Partition:
    """`same`: the baseline's partition, which stands for an equal one. `key`: without the files' suffixes."""
    if file is None or prints is None or not file.rows:
        return EMPTY
    if same is not None and same.digest == prints.digest:
        return same
    path = file.paths[0].with_suffix(".stored")
    checksum = without_columns(file.paths, path, _HASHES)
    store.put_file(f"{key}.parquet", path)
    store.put_file(f"{key}.fingerprints", prints.path)
    return Partition(
        key=f"{key}.parquet",
        rows=file.rows,
        digest=prints.digest,
        bytes=path.stat().st_size,
        checksum=checksum,
        fingerprints=f"{key}.fingerprints",
        fingerprints_checksum=prints.checksum,
    )
