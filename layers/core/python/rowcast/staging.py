"""A query's result on local disk: partitioned, fingerprinted, and from there to the snapshot store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import columns as sql
from rowcast import fingerprints
from rowcast.definition import Definition
from rowcast.engine import run
from rowcast.errors import SourceFailed
from rowcast.keys import check_keys, key_columns
from rowcast.models import Column, Partition
from rowcast.ports import SnapshotStore, Source

if TYPE_CHECKING:
    import duckdb

PARQUET = "FORMAT parquet, PARQUET_VERSION v2, COMPRESSION lz4_raw, ROW_GROUP_SIZE 65536"
"""Read twice as fast as zstd of version 1, and a tenth larger: docs/benchmarks.md."""


class StagedFile(msgspec.Struct, frozen=True):
    path: Path
    rows: int


def stage(
    definition: Definition, source: Source, connection: duckdb.DuckDBPyConnection, scratch: Path, bits: int
) -> tuple[tuple[Column, ...], dict[int, StagedFile]]:
    import duckdb

    try:
        with source.query(definition.query, connection) as result:
            keys = key_columns(definition, result.columns)
            return result.columns, _write(connection, result.relation, result.columns, keys, scratch / "staged", bits)
    except duckdb.Error as error:
        raise SourceFailed(
            f"The query of {definition.sync} failed while its result was read ({type(error).__name__}); "
            "nothing was sent. Run the query in the source itself to see where."
        ) from None


def _write(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[Column],
    keys: Sequence[Column],
    folder: Path,
    bits: int,
) -> dict[int, StagedFile]:
    names = ", ".join(sql.quote(column.name) for column in columns)
    # a row with a null in its key has no hash
    partition = f"CASE WHEN {sql.not_null(keys)} THEN {sql.partition_of(sql.key_hash(keys), bits)} ELSE 0 END"
    folder.mkdir()
    run(
        connection,
        f"COPY (SELECT {names}, {partition} AS _partition FROM {relation}) TO '{folder}' "
        f"({PARQUET}, PARTITION_BY (_partition))",
    )
    return {number: _single(connection, path) for number, path in _folders(folder)}


def _folders(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in sorted(folder.glob("_partition=*")):
        yield int(path.name.removeprefix("_partition=")), path


def _single(connection: duckdb.DuckDBPyConnection, folder: Path) -> StagedFile:
    files = sorted(folder.glob("*.parquet"))
    path = files[0]
    if len(files) > 1:
        path = folder.with_suffix(".parquet")
        run(
            connection,
            f"COPY (SELECT * FROM read_parquet('{folder}/*.parquet', hive_partitioning = false)) TO '{path}' "
            f"({PARQUET})",
        )
    [(count,)] = run(connection, f"SELECT count(*) FROM read_parquet('{path}')")
    return StagedFile(path, count)


def restage(
    definition: Definition,
    columns: Sequence[Column],
    connection: duckdb.DuckDBPyConnection,
    scratch: Path,
    bits: int,
) -> dict[int, StagedFile]:
    relation = f"read_parquet('{scratch}/staged/*/*.parquet', hive_partitioning = false)"
    keys = key_columns(definition, columns)
    return _write(connection, relation, columns, keys, scratch / "restaged", bits)


class StagedIndex(msgspec.Struct, frozen=True):
    """The fingerprints of a staged file, in a file beside it."""

    path: Path
    digest: str
    sha256: str
    bytes: int


def index(
    definition: Definition,
    columns: Sequence[Column],
    files: dict[int, StagedFile],
    connection: duckdb.DuckDBPyConnection,
) -> dict[int, StagedIndex]:
    """Raises SourceFailed unless each row has a key of its own."""
    keys = key_columns(definition, columns)
    key_hash, fingerprint = sql.key_hash(keys), sql.fingerprint(columns)
    made: dict[int, StagedIndex] = {}
    suspects: list[Path] = []
    for number, file in files.items():
        found = fingerprints.compute(connection, file.path, key_hash, fingerprint)
        if found.has_twins:
            suspects.append(file.path)
        path = file.path.with_suffix(".fingerprints")
        written = found.write(path)
        made[number] = StagedIndex(path, written.digest, written.sha256, written.bytes)
    nulls = [file.path for number, file in files.items() if not number]  # where rows without a key hash lie
    check_keys(definition, columns, connection, nulls_in=nulls, shared_in=suspects)
    return made


EMPTY = Partition(key=None, rows=0, digest=hashlib.sha256().hexdigest(), sha256="", bytes=0)


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
    with file.path.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    store.put_file(f"{key}.parquet", file.path)
    store.put_file(f"{key}.fingerprints", prints.path)
    return Partition(
        key=f"{key}.parquet",
        rows=file.rows,
        digest=prints.digest,
        sha256=digest,
        bytes=file.path.stat().st_size,
        fingerprints=f"{key}.fingerprints",
        fingerprints_sha256=prints.sha256,
    )
