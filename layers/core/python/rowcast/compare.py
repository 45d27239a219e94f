"""The two sides of a partition: their files, and which rows have no equal on the other, by fingerprints alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from rowcast import columns as sql
from rowcast import fingerprints, threads
from rowcast.fingerprints import Fingerprints
from rowcast.models import Column, Manifest
from rowcast.ports import SnapshotStore

if TYPE_CHECKING:
    import duckdb

TYPES = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "decimal": "VARCHAR",
    "float": "DOUBLE",
    "text": "VARCHAR",
    "bytes": "BLOB",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "uuid": "UUID",
    "json": "VARCHAR",
}


class Sides(msgspec.Struct, kw_only=True, frozen=True):
    """A snapshot and its baseline (None before the first commit), and where their files are fetched to."""

    manifest: Manifest
    baseline: Manifest | None
    snapshots: SnapshotStore
    scratch: Path

    @property
    def bits(self) -> int:
        """log2 of the snapshot's partition count."""
        return len(self.manifest.partitions).bit_length() - 1

    @property
    def common(self) -> list[Column]:
        """The snapshot's columns that the baseline has too: what rows are compared over."""
        names = {column.name for column in (self.baseline or self.manifest).columns}
        return [column for column in self.manifest.columns if column.name in names]

    @property
    def old_common(self) -> list[Column]:
        """The same columns as the baseline has them, perhaps of other types."""
        names = {column.name for column in self.common}
        return [column for column in (self.baseline or self.manifest).columns if column.name in names]

    @property
    def same_recipe(self) -> bool:
        """Whether the fingerprints of both sides compare as they are stored."""
        return self.baseline is None or self.baseline.fingerprint_schema == self.manifest.fingerprint_schema

    def fingerprint(self, over: Sequence[Column]) -> str:
        """SQL that computes fingerprints anew, over the common columns of one side."""
        recipe = sql.shared_recipe(self.manifest.fingerprint_schema, self.old_common, self.common)
        return sql.fingerprint(over, recipe=recipe)

    @property
    def old(self) -> Manifest:
        """The baseline; before the first commit, when it has no rows, the snapshot in its place."""
        return self.baseline or self.manifest


def both_fingerprints(
    number: int, sides: Sides, connection: duckdb.DuckDBPyConnection
) -> tuple[list[Fingerprints], list[Fingerprints]]:
    """File by file, old and new, those of the keys that the snapshot has in partition `number`."""
    old: list[int] = []
    if sides.baseline is not None:
        old = _overlapping(number, sides.bits, len(sides.baseline.partitions).bit_length() - 1)
    _fetch([*(_needed(sides.old, each, sides) for each in old), _needed(sides.manifest, number, sides)], sides)
    over, old_over = (None, None) if sides.same_recipe else (sides.common, sides.old_common)
    before = [_fingerprints(sides.old, each, old_over, sides, connection).within(number, sides.bits) for each in old]
    return before, [_fingerprints(sides.manifest, number, over, sides, connection)]


def _overlapping(number: int, bits: int, old_bits: int) -> list[int]:
    """The partitions of 2^old_bits that hold the keys of partition `number` of 2^bits: both are ranges of the hash."""
    if old_bits <= bits:
        return [number >> (bits - old_bits)]
    width = old_bits - bits
    return list(range(number << width, (number + 1) << width))


def _fingerprints(
    manifest: Manifest,
    number: int,
    over: list[Column] | None,
    sides: Sides,
    connection: duckdb.DuckDBPyConnection,
) -> Fingerprints:
    """`over`: compute them anew over these columns, since the stored ones cover others."""
    file = _needed(manifest, number, sides)
    if file is None:
        return fingerprints.none(number)
    if file.path.suffix == ".fingerprints":
        return fingerprints.read(file.path, number)
    stored = "_fingerprint" if over is None else sides.fingerprint(over)
    return fingerprints.compute(connection, file.path, sql.key_hash(key_columns(manifest)), stored, number)


def key_columns(manifest: Manifest) -> list[Column]:
    by_name = {column.name: column for column in manifest.columns}
    return [by_name[name] for name in manifest.primary_key]


class _File(NamedTuple):
    """What is stored under a key, and where it is fetched to."""

    key: str
    checksum: str
    path: Path


def _needed(manifest: Manifest, number: int, sides: Sides) -> _File | None:
    """The file that tells a partition's fingerprints: that of its rows where those that are stored do not compare or
    are no file of their own. None for an empty partition."""
    partition = manifest.partitions[number]
    if partition.key is None or not (sides.same_recipe and partition.fingerprints):
        return _rows_file(manifest, number, sides)
    path = sides.scratch / f"{manifest.run}-{number:05d}.fingerprints"
    return _File(partition.fingerprints, partition.checksums[1], path)


def _rows_file(manifest: Manifest, number: int, sides: Sides) -> _File | None:
    partition = manifest.partitions[number]
    if partition.key is None:
        return None
    return _File(partition.key, partition.checksums[0], sides.scratch / f"{manifest.run}-{number:05d}.parquet")


def fetch_rows(wanted: Iterable[tuple[Manifest, int]], sides: Sides) -> None:
    """The files of these partitions' rows, at once, before each is asked for."""
    _fetch((_rows_file(manifest, number, sides) for manifest, number in wanted), sides)


def fetched(manifest: Manifest, number: int, sides: Sides) -> Path:
    """The file of a partition's rows, which is fetched once."""
    file = _rows_file(manifest, number, sides)
    assert file is not None, "an empty partition has no rows to fetch"
    _fetch([file], sides)
    return file.path


def _fetch(files: Iterable[_File | None], sides: Sides) -> None:
    """Each that is not there yet, several at once."""
    missing = {file for file in files if file is not None and not file.path.exists()}
    threads.each(lambda file: sides.snapshots.fetch(*file), sorted(missing), threads.FILES)
