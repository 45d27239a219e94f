"""A query's result on local disk: partitioned, each row with its hashes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import columns as sql
from rowcast.definition import Definition
from rowcast.engine import run
from rowcast.errors import SourceFailed
from rowcast.keys import key_columns
from rowcast.models import Column
from rowcast.ports import Source
from rowcast.sqltext import own, place

if TYPE_CHECKING:
    import duckdb

PARQUET = (
    "FORMAT parquet, PARQUET_VERSION v2, COMPRESSION lz4_raw, ROW_GROUP_SIZE 65536,"
    " DICTIONARY_SIZE_LIMIT 4096, WRITE_BLOOM_FILTER false"
)
"""Read twice as fast as zstd of version 1, and a tenth larger: docs/benchmarks.md. A column of more than some thousand
values in a row group is seldom smaller with a dictionary, and making one until then costs a sixth of the writing."""

_KEY, _UPPER, _LOWER, _PARTITION = "_key_hash", "_fingerprint_upper", "_fingerprint_lower", "_key_hash_partition"
HASHES = (_KEY, _UPPER, _LOWER)
"""Columns of a staged file that are not stored. No column of a source may be called like them."""

LEAST_ROWS = 16_384
"""Of a row group: reading files of smaller ones costs more."""

MOST_BITS = 6
"""log2 of the partitions among which rows are divided at once. Each has buffers of its own, and of more than 100 files
DuckDB closes those that got no row for a while: with 256 each row group had 4,000 rows, and files were 1.4 times as
large."""

BUFFERED_ROWS = 5_000
"""Of a partition, that a thread holds before it hands them on: 64 partitions take 250 MB, with 20,000 rows 600 MB."""


def first_bits(bits: int) -> int:
    """log2 of the partitions in which rows that end in 2^bits are set aside."""
    return bits if bits <= MOST_BITS else (bits + 1) // 2


class StagedFile(msgspec.Struct, frozen=True):
    """A partition's rows, file after file, each with its key's hash and its fingerprint."""

    paths: tuple[Path, ...]
    rows: int

    def give_up(self) -> None:
        for path in self.paths:
            path.unlink()


def stage(
    definition: Definition, source: Source, connection: duckdb.DuckDBPyConnection, scratch: Path, bits: int
) -> tuple[tuple[Column, ...], dict[int, StagedFile]]:
    import duckdb

    # before a source locks the engine's settings
    run(connection, f"SET partitioned_write_flush_threshold = {BUFFERED_ROWS}")
    try:
        with source.query(definition.query, connection) as result:
            keys = key_columns(definition, result.columns)
            key_hash, fingerprint = sql.key_hash(keys), sql.fingerprint(result.columns)
            names = ", ".join(sql.quote(column.name) for column in result.columns)
            key, whole = own("key_hash"), own("fingerprint")
            relation = (
                f"(SELECT {names}, ({key} >> 64)::UBIGINT AS {_KEY}, ({whole} >> 64)::UBIGINT AS {_UPPER},"
                f" ({whole} & {2**64 - 1}::UHUGEINT)::UBIGINT AS {_LOWER} FROM (SELECT *,"
                f" {key_hash}::UHUGEINT AS {key}, {fingerprint}::UHUGEINT AS {whole} FROM {result.relation}))"
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
        copy = f"COPY (FROM {relation}) TO {place(folder / f'{_PARTITION}=0')} ({PARQUET}, PER_THREAD_OUTPUT)"
    else:
        # a row with a null in its key has no hash
        partition = f"CASE WHEN {sql.not_null(keys)} THEN ({_KEY} >> {64 - bits})::INTEGER ELSE 0 END"
        copy = (
            f"COPY (SELECT *, {partition} AS {_PARTITION} FROM {relation}) TO {place(folder)} "
            f"({PARQUET}, PARTITION_BY ({_PARTITION}))"
        )
    with room():
        run(connection, copy)
    return _written(connection, folder)


@contextmanager
def room() -> Iterator[None]:
    """Around what writes to the disk: says so where that is full."""
    import duckdb

    try:
        yield
    except (duckdb.IOException, OSError) as error:
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise SourceFailed(
            "The query's result does not fit on the disk of the snapshot's function; nothing was sent. "
            "Select fewer columns, or split the sync."
        ) from None


def _written(connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[int, StagedFile]:
    if not any(folder.iterdir()):
        return {}
    found: dict[int, StagedFile] = {}
    counted = (
        f"SELECT file_name, num_rows FROM parquet_file_metadata({place(folder / '*' / '*.parquet')}) ORDER BY file_name"
    )
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
    groups or a partition is to be split, written anew. Of what is split the disk holds one partition twice."""
    current, wanted = bits
    keys = key_columns(definition, columns)
    if sum(file.rows for file in files.values()) < LEAST_ROWS << current and wanted <= MOST_BITS:
        # in one order, so that a small table's changes are told in the same one each time
        return _anew([_united(files.values())], keys, scratch, wanted, connection, order=f" ORDER BY {_KEY}")
    while current < wanted:
        current = min(wanted, current + MOST_BITS)
        files = _anew(files.values(), keys, scratch, current, connection)
    united: dict[int, list[StagedFile]] = {}
    for number, file in sorted(files.items()):
        united.setdefault(number >> current - wanted, []).append(file)
    return {number: _united(some) for number, some in united.items()}


def _united(files: Iterable[StagedFile]) -> StagedFile:
    several = list(files)
    return StagedFile(tuple(path for file in several for path in file.paths), sum(file.rows for file in several))


def _anew(
    files: Iterable[StagedFile],
    keys: Sequence[Column],
    scratch: Path,
    bits: int,
    connection: duckdb.DuckDBPyConnection,
    order: str = "",
) -> dict[int, StagedFile]:
    """`files`: no two with rows for the same one of the 2^bits partitions."""
    folder = scratch / f"staged-{bits}"
    folder.mkdir()
    found: dict[int, StagedFile] = {}
    for number, file in enumerate(files):
        paths = ", ".join(map(place, file.paths))
        relation = f"(FROM read_parquet([{paths}], hive_partitioning = false){order})"
        found |= _write(connection, relation, keys, folder / str(number), bits)
        file.give_up()
    return found
