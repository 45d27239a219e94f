"""A query's result on local disk: partitioned, fingerprinted, and from there to the snapshot store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import columns as sql
from rowcast.definition import Definition
from rowcast.engine import run
from rowcast.errors import SourceFailed
from rowcast.keys import key_columns
from rowcast.models import Column, Partition
from rowcast.ports import SnapshotStore, Source

if TYPE_CHECKING:
    import duckdb

PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 65536"


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
            key_hash, fingerprint = sql.key_hash(keys), sql.fingerprint(result.columns)
            names = ", ".join(sql.quote(column.name) for column in result.columns)
            whole = " AND ".join(f"{sql.quote(column.name)} IS NOT NULL" for column in keys)
            rows = (
                f"SELECT CASE WHEN {whole} THEN {key_hash} END AS _key_hash, {fingerprint} AS _fingerprint, {names}"
                f" FROM {result.relation}"
            )
            return result.columns, _write(connection, rows, scratch / "staged", bits)
    except duckdb.Error as error:
        raise SourceFailed(
            f"The query of {definition.sync} failed while its result was read ({type(error).__name__}); "
            "nothing was sent. Run the query in the source itself to see where."
        ) from None


def _write(connection: duckdb.DuckDBPyConnection, rows: str, folder: Path, bits: int) -> dict[int, StagedFile]:
    partition = f"coalesce({sql.partition_of('_key_hash', bits)}, 0)"  # a row with a null key has no hash
    folder.mkdir()
    run(
        connection,
        f"COPY (SELECT *, {partition} AS _partition FROM ({rows})) TO '{folder}' "
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


def restage(connection: duckdb.DuckDBPyConnection, scratch: Path, bits: int) -> dict[int, StagedFile]:
    rows = f"SELECT * FROM read_parquet('{scratch}/staged/*/*.parquet', hive_partitioning = false)"
    return _write(connection, rows, scratch / "restaged", bits)


EMPTY = Partition(key=None, rows=0, digest=hashlib.sha256().hexdigest(), sha256="", bytes=0)


def store_partition(
    key: str,
    file: StagedFile | None,
    same: Partition | None,
    store: SnapshotStore,
    connection: duckdb.DuckDBPyConnection,
) -> Partition:
    if file is None or not file.rows:
        return EMPTY
    [(digest_of_pairs,)] = run(
        connection,
        f"SELECT sha256(string_agg(_key_hash::VARCHAR || _fingerprint::VARCHAR, '' ORDER BY _key_hash))"
        f" FROM read_parquet('{file.path}')",
    )
    if same is not None and same.digest == digest_of_pairs:
        return same
    with file.path.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    store.put_file(key, file.path)
    size = file.path.stat().st_size
    return Partition(key=key, rows=file.rows, digest=digest_of_pairs, sha256=digest, bytes=size)
