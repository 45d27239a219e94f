"""Two states of one table, made anew from a seed: as plain files for peers, and as snapshots in the product's format.

The table has ten columns, about 155 bytes a row in memory; `id` is its key. Of "scattered" changes half are changed
rows (two columns each), a quarter added, a quarter removed; "all" changes every row.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from rowcast.checksums import NAME as CHECKSUMS
from rowcast.checksums import Checksum
from rowcast.definition import Definition, EventBridgeDestination, FilesSource, Limits, Trigger, Triggers
from rowcast.engine import engine, run
from rowcast.errors import SnapshotDamaged
from rowcast.hashes import RECIPE
from rowcast.models import Column, Manifest
from rowcast.ports import SourceResult

if TYPE_CHECKING:
    import duckdb

Changes = Literal["scattered", "none", "all"]
State = Literal["before", "after"]
SHARE = 0.02
ENGINE_MB = 1000
COLUMNS = (
    Column("id", "integer"),
    Column("customer", "integer"),
    Column("status", "text"),
    Column("country", "text"),
    Column("email", "text"),
    Column("amount", "decimal"),
    Column("quantity", "integer"),
    Column("created_at", "timestamp"),
    Column("updated_at", "timestamptz"),
    Column("note", "text"),
)
_STATUSES = "['new', 'paid', 'packed', 'shipped', 'delivered', 'returned', 'cancelled']"
_COUNTRIES = "['DE', 'FR', 'GB', 'US', 'JP', 'BR', 'IN', 'ZA', 'AU', 'CA', 'ES', 'IT', 'NL', 'PL', 'SE', 'NO']"
_WHOLE = 2**32
_PIECE = 1 << 18


def rows_sql(rows: int, state: State, changes: Changes = "scattered", share: float = SHARE, seed: int = 1) -> str:
    """A SELECT of the table in one of its two states; `rows` is the number of the first, exactly only without added
    rows. The same arguments give the same rows."""
    share = share if changes == "scattered" else 0.0
    mark = f"((i * 2654435761 + {seed * 97}) % {_WHOLE})"
    removed, added, changed = (int(part * share * _WHOLE) for part in (0.25, 0.5, 1.0))
    absent = f"{mark} < {removed}" if state == "after" else f"{mark} >= {removed} AND {mark} < {added}"
    renewed = "true" if changes == "all" else f"{mark} >= {added} AND {mark} < {changed}"
    turn = f"CASE WHEN {renewed} THEN 1 ELSE 0 END" if state == "after" else "0"
    return f"""
SELECT i AS id, (h % 5000000)::BIGINT AS customer,
  {_STATUSES}[1 + ((h // 7 + turn) % 7)::INTEGER] AS status, {_COUNTRIES}[1 + (h // 11 % 16)::INTEGER] AS country,
  'user' || (h // 13 % 3000000)::VARCHAR || '@example.com' AS email,
  ((h // 17 % 10000000)::BIGINT / 100.0)::DECIMAL(12, 2) AS amount, (1 + h // 19 % 20)::BIGINT AS quantity,
  make_timestamp(1600000000000000 + (h // 23 % 100000000)::BIGINT * 1000000) AS created_at,
  make_timestamp(1700000000000000 + (h // 29 % 50000000 + turn)::BIGINT * 1000000)::TIMESTAMPTZ AS updated_at,
  'Note ' || (h // 31 % 1000)::VARCHAR || ' of order ' || i::VARCHAR AS note
FROM (SELECT i, hash(i + {seed}) AS h, {turn} AS turn FROM range({rows}) AS t(i) WHERE NOT ({absent}))"""


class Files(msgspec.Struct, kw_only=True, frozen=True):
    """The two states as plain files of the same rows. `csv` only if they were asked for."""

    before: str
    after: str
    before_csv: str = ""
    after_csv: str = ""


def plain_files(folder: Path, rows: int, changes: Changes = "scattered", *, csv: bool = False, seed: int = 1) -> Files:
    """Writes, or finds, the two states as Parquet (zstd 1) and as CSV with a header; in order of `id`."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, str] = {}
    with engine(folder, ENGINE_MB) as connection:
        run(connection, "SET preserve_insertion_order = true")
        for state in ("before", "after"):
            query = rows_sql(rows, state, changes, seed=seed)
            parquet = folder / f"{state}-{changes}-{rows}-{seed}.parquet"
            _copy(connection, query, parquet, "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1")
            made[state] = str(parquet)
            if csv:
                text = parquet.with_suffix(".csv")
                _copy(connection, f"SELECT * FROM read_parquet('{parquet}')", text, "FORMAT csv, HEADER")
                made[f"{state}_csv"] = str(text)
    return Files(**made)


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path, options: str) -> None:
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        run(connection, f"COPY ({query}) TO '{part}' ({options})")
        part.rename(path)


class FolderSnapshots:
    """A SnapshotStore over a folder: `fetch` verifies the checksum as the one over S3 does, and downloads nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_file(self, key: str, path: Path) -> None:
        place = self._place(key)
        assert not place.exists(), "snapshots are never overwritten"
        shutil.copyfile(path, place)

    def put_manifest(self, manifest: Manifest) -> tuple[str, Manifest]:
        key = f"snapshots/{manifest.sync}/{manifest.run}/manifest.json"
        self._place(key).write_bytes(msgspec.json.encode(manifest))
        return key, manifest

    def manifest(self, key: str) -> Manifest:
        return msgspec.json.decode((self.folder / key).read_bytes(), type=Manifest)

    def fetch(self, partition_key: str, checksum: str, path: Path) -> None:
        found, piece = Checksum(checksum), memoryview(bytearray(_PIECE))
        with (self.folder / partition_key).open("rb", buffering=0) as stored:
            while size := stored.readinto(piece):
                found.update(piece[:size])
        if found.text() != checksum:
            raise SnapshotDamaged(f"{partition_key} differs from the checksum in its manifest.")
        path.unlink(missing_ok=True)
        path.hardlink_to(self.folder / partition_key)

    def put_work(self, sync: str, run: str, name: str, items: Sequence[Any]) -> str:
        key = f"worklists/{sync}/{run}/{name}.json"
        self._place(key).write_bytes(msgspec.json.encode(list(items)))
        return key

    def work(self, key: str) -> list[Any]:
        return list(msgspec.json.decode((self.folder / key).read_bytes()))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.folder / key).unlink(missing_ok=True)

    def delete_run(self, sync: str, run: str) -> None:
        shutil.rmtree(self.folder / "snapshots" / sync / run, ignore_errors=True)

    def bucket_name(self) -> str:
        return "bench"

    def _place(self, key: str) -> Path:
        place = self.folder / key
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


class TableSource:
    """A Source that computes a state of the table."""

    def __init__(self, rows: str) -> None:
        self._rows = rows

    @contextmanager
    def query(self, _query: str, _connection: duckdb.DuckDBPyConnection) -> Iterator[SourceResult]:
        yield SourceResult(relation=f"({self._rows})", columns=COLUMNS)


def import_once(*more: str) -> None:
    """What a snapshot or a diff imports when it begins, so that it is there before a side is timed or workers are
    forked."""
    modules = ("duckdb", "numpy.ctypeslib", "numpy.ma", "isal.isal_zlib", "xxhash")
    for module in (*modules, "rowcast.diff", "rowcast.stores.bodies", "tests.fakes", *more):
        importlib.import_module(module)


def definition(rows_per_partition: int | None = None) -> Definition:
    """A sync of the table that wants every change."""
    wanted = Trigger(bus="bus", source="com.shop", detail_type="Order")
    return Definition(
        sync="orders",
        source=FilesSource(name="shop", prefix=""),
        query="SELECT * FROM orders",
        primary_key=("id",),
        destination=EventBridgeDestination(),
        triggers=Triggers(added=wanted, changed=wanted, removed=wanted),
        initial_sync="backfill",
        limits=Limits() if rows_per_partition is None else Limits(rows_per_partition=rows_per_partition),
    )


def snapshots(
    folder: Path, rows: int, changes: Changes = "scattered", *, rows_per_partition: int | None = None, seed: int = 1
) -> dict[str, str]:
    """Takes, or finds, the two states as snapshots in a `FolderSnapshots(folder)`; the manifests' keys by state."""
    store = FolderSnapshots(folder)
    taken: dict[str, str] = {}
    for state in ("before", "after"):
        name = f"{state}-{changes}-{rows}-{seed}-{rows_per_partition or 'default'}-{RECIPE}-{CHECKSUMS.strip(':')}"
        if changes == "none" and state == "after":
            taken[state] = taken["before"]
            continue
        key = f"snapshots/orders/{name}/manifest.json"
        if not (folder / key).exists():
            source = TableSource(rows_sql(rows, state, changes, seed=seed))
            _take(store, name, source, taken.get("before"), rows_per_partition)
        taken[state] = key
    return taken


def _take(
    store: FolderSnapshots, name: str, source: TableSource, baseline: str | None, rows_per_partition: int | None
) -> None:
    from rowcast.snapshot import Taking, take_snapshot
    from tests import fakes

    states = fakes.FakeStateStore()
    scratch = store.folder / f"scratch-{os.getpid()}-{name}"
    scratch.mkdir(parents=True)
    try:
        needs = Taking(
            states=states,
            definitions=fakes.FakeDefinitionStore(),
            snapshots=store,
            debts=fakes.FakeDebtStore(states),
            source=lambda *_: source,
            clock=fakes.FakeClock(),
            scratch=scratch,
            attempt="bench",
            engine_mb=ENGINE_MB,
        )
        manifest = store.manifest(baseline) if baseline else None
        take_snapshot(definition(rows_per_partition), name, manifest, baseline, source, needs)
    finally:
        shutil.rmtree(scratch)
