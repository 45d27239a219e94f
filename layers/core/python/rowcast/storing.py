"""What was set aside of each partition becomes its two files, which go to the snapshot store."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rowcast import fingerprints, threads
from rowcast.definition import Definition
from rowcast.engine import columns as engine_columns
from rowcast.fingerprints import Fingerprints
from rowcast.keys import check_keys
from rowcast.models import Column, Partition
from rowcast.parquet import without_columns
from rowcast.ports import SnapshotStore
from rowcast.sqltext import place
from rowcast.staging import HASHES, StagedFile, room

if TYPE_CHECKING:
    import duckdb

ROWS_SORTED = 2_000_000
"""At the same time: each takes about 110 bytes of memory."""

EMPTY = Partition(key=None, rows=0, digest=hashlib.sha256().hexdigest(), bytes=0)


class Made(msgspec.Struct, frozen=True):
    """A partition as the manifest names it, and where its files lie, in the order of theirs; nowhere if it is the
    baseline's. `has_twins`: two of its rows may have one key."""

    partition: Partition
    paths: tuple[Path, ...] = ()
    has_twins: bool = False


class Making(msgspec.Struct, kw_only=True, frozen=True):
    """`prefix`: of the files' keys. `same`: the baseline's partitions if they can stand for equal ones."""

    definition: Definition
    columns: Sequence[Column]
    prefix: str
    same: Sequence[Partition] | None
    scratch: Path
    connection: duckdb.DuckDBPyConnection


def make_partitions(staged: Mapping[int, StagedFile], needs: Making) -> dict[int, Made]:
    """The files of each partition, for which what was staged is given up: the disk holds each row once.

    Raises SourceFailed unless each row has a key of its own. Several partitions are made at the same time, each by one
    processor.
    """
    largest = max((file.rows for file in staged.values()), default=1)
    most = max(1, min(os.cpu_count() or 1, ROWS_SORTED // largest))
    (needs.scratch / "made").mkdir()
    asking = threading.Lock()  # the engine answers one at a time, by itself with all processors

    def make(number: int) -> Made:
        with asking:
            unsorted = _hashes(staged[number], needs.connection)
        with room():
            return _made(number, staged[number], unsorted, needs)

    made = dict(zip(staged, threads.each(make, staged, most), strict=True))
    new = {number: each for number, each in made.items() if each.paths}  # what equals the baseline's has its keys
    check_keys(
        needs.definition,
        needs.columns,
        needs.connection,
        nulls_in=[each.paths[:1] for number, each in new.items() if not number],  # where rows without a key hash lie
        shared_in=[each.paths[:1] for each in new.values() if each.has_twins],
    )
    return made


def _hashes(file: StagedFile, connection: duckdb.DuckDBPyConnection) -> Fingerprints:
    parts, start = [], 0
    for path in file.paths:
        select = f"SELECT {', '.join(HASHES)}, file_row_number::UBIGINT + {start} FROM"
        keys, upper, lower, rows = engine_columns(
            connection, f"{select} read_parquet({place(path)}, file_row_number = true)"
        )
        parts.append(Fingerprints(keys=keys, upper=upper, lower=lower, rows=rows))
        start += len(keys)
    return fingerprints.joined(parts)


def _made(number: int, file: StagedFile, unsorted: Fingerprints, needs: Making) -> Made:
    rows, prints = (needs.scratch / "made" / f"{number:05d}.{kind}" for kind in ("parquet", "fingerprints"))
    found = fingerprints.in_order(unsorted)
    written, has_twins = found.write(prints), found.has_twins
    same = needs.same[number] if needs.same is not None else None
    if same is not None and same.digest == written.digest:
        file.give_up()
        return Made(same)
    checksum = without_columns(file.paths, rows, HASHES)
    file.give_up()
    partition = Partition(
        key=f"{needs.prefix}/{rows.name}",
        rows=file.rows,
        digest=written.digest,
        bytes=rows.stat().st_size,
        checksum=checksum,
        fingerprints=f"{needs.prefix}/{prints.name}",
        fingerprints_checksum=written.checksum,
    )
    return Made(partition, (rows, prints), has_twins)


def put_partitions(made: Iterable[Made], store: SnapshotStore) -> None:
    """Several files at once. After the first error no other is begun, and it is raised when those that were have
    ended."""
    files = [file for each in made if each.paths for file in zip(each.partition.files, each.paths, strict=True)]
    threads.each(lambda file: store.put_file(*file), files, threads.FILES)
