"""The diff against what others have for it: each compares two states of one table, in full, and answers the same counts
and the same digest of keys.

A side gets what it would have in use: Rowcast two of its snapshots, libraries Parquet or CSV files, a database both
tables, loaded and analyzed beforehand. Reading them and comparing is timed; starting a server is not.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from isal import isal_zlib

from bench.case import Case, Goal, Side, Size, Topic
from bench.data import COLUMNS, definition, plain_files, rows_sql, snapshots
from bench.side import timed
from rowcast.models import to_json

TOPIC = Topic(
    title="Diff: peers",
    about="""
Two states of a table of ten columns, 1 % of the rows changed, 0.5 % added, 0.5 % removed, scattered. Each side finds
which keys were added, changed and removed; databases and Spark answer the rows before and after, and Rowcast writes
them to chunks as JSON. All counts and keys were found equal. Files are read from the page cache; databases hold both
tables already.
""",
    remains="""
At 200,000 rows Rowcast works with one of two processors, since the table is a single partition, and DuckDB's full join
is as quick; but that stops at the rows, while Rowcast verifies its files and makes and compresses chunks of JSON. What
a database would still pay is the way of the rows into it, which is not counted; Rowcast pays for its snapshot once, in
the step before.
""",
)
DATA = Path(os.environ.get("ROWCAST_BENCH_DATA", tempfile.gettempdir())) / "rowcast-bench"
NAMES = tuple(column.name for column in COLUMNS)
VALUES = NAMES[1:]
SPARK_MEMORY = "8g"
ENGINE_MB = 160
WORKERS = min(2, os.cpu_count() or 1)


def cases(size: Size) -> list[Case]:
    """Each peer at the largest size that it bears: what holds Python objects for every cell bears 200,000 rows. Two
    that take more than ten times as long as most run once: a further round would cost more than all the others do."""
    sizes = {"small": (200_000, 1_000_000), "full": (5_000_000,)}[size]
    return [_case(rows, size) for rows in sizes]


def _case(rows: int, size: Size) -> Case:
    slow = 1 if rows > 1_000_000 else 2
    side = "bench.diff_peers:side_"
    behind = Goal(at_least=1)
    sides = [
        Side(name="Rowcast", call=f"{side}rowcast", role="ours", goal=Goal(peak_mb=300)),
        Side(name="DuckDB, full join", call=f"{side}duckdb", goal=behind),
        Side(name="pandas, outer merge", call=f"{side}pandas", goal=behind, rounds=slow, timeout=1200),
        Side(name="PostgreSQL, full join", call=f"{side}postgres", goal=behind, rounds=slow, timeout=1200),
        Side(name="reladiff, in PostgreSQL", call=f"{side}reladiff", goal=behind, rounds=slow, timeout=1200),
        Side(name="Spark, local", call=f"{side}spark", goal=behind, rounds=1, timeout=1200),
    ]
    if rows <= 1_000_000:
        sides.append(Side(name="datacompy (pandas)", call=f"{side}datacompy", goal=behind, rounds=1, timeout=600))
    if rows <= 200_000:
        sides.append(Side(name="csv-diff", call=f"{side}csv_diff", goal=behind, rounds=1, timeout=600))
    return Case(
        name=f"peers-{rows}",
        title=f"{rows:,} rows × 10",
        sides=tuple(sides),
        reference="Rowcast",
        size=size,
        rounds=3,
        serve="bench.diff_peers:serve",
        prepare="bench.diff_peers:prepare",
        arguments={"rows": rows, "seed": 1},
    )


def prepare(rows: int, seed: int) -> dict[str, Any]:
    """Both states as snapshots and as plain files."""
    folder = DATA / f"{rows}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    files = plain_files(folder, rows, csv=rows <= 200_000, seed=seed)
    taken = snapshots(folder, rows, seed=seed)
    return {
        "folder": str(folder),
        "before": files.before,
        "after": files.after,
        "before_csv": files.before_csv,
        "after_csv": files.after_csv,
        "manifests": [taken["before"], taken["after"]],
        "warm": [str(folder)],
    }


def found(added: Iterable[int], changed: Iterable[int], removed: Iterable[int]) -> dict[str, Any]:
    """The answer of every side: counts, and a digest of the sorted keys of each operation."""
    parts = [sorted(map(int, keys)) for keys in (added, changed, removed)]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    return {"digest": digest, "added": len(parts[0]), "changed": len(parts[1]), "removed": len(parts[2])}


# --- ours -------------------------------------------------------------------------------------------------------------


def side_rowcast(folder: str, manifests: Sequence[str], **_: Any) -> dict[str, Any]:
    """The handlers' own step over every partition that differs, in as many processes as the machine has cores."""
    from bench.data import FolderSnapshots, import_once
    from rowcast.snapshot import partitions_to_diff

    import_once()
    with timed():
        store = FolderSnapshots(Path(folder))
        before, after = (store.manifest(key) for key in manifests)
        numbers = partitions_to_diff(after, before)
        shares = [(folder, list(manifests), numbers[start::WORKERS]) for start in range(WORKERS)]
        with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
            parts = pool.starmap(_diffed, shares, chunksize=1)
            pool.close()
            pool.join()
        keys = {name: [key for part in parts for key in part[name]] for name in ("added", "changed", "removed")}
        return found(**keys)


def _diffed(folder: str, manifests: Sequence[str], numbers: Sequence[int]) -> dict[str, list[int]]:
    """The keys in the chunks of some partitions, by operation; chunks are encoded and compressed as they are stored."""
    from bench.data import FolderSnapshots
    from rowcast.compare import Sides
    from rowcast.diff import PartitionDiff, diff_partition
    from rowcast.engine import kept_engine, run
    from rowcast.models import Run
    from tests import fakes

    store = FolderSnapshots(Path(folder))
    after, before = store.manifest(manifests[1]), store.manifest(manifests[0])
    changes, states = Noting(), fakes.FakeStateStore()
    opened = Run(sync="orders", run="r", generation=1, execution="e", definition="d", started_at=0.0)
    for number in numbers:
        with tempfile.TemporaryDirectory(dir=folder) as scratch, kept_engine(Path(scratch), ENGINE_MB) as connection:
            run(connection, "SET threads = 1")
            needs = PartitionDiff(
                definition=definition(),
                run=opened,
                sides=Sides(manifest=after, baseline=before, snapshots=store, scratch=Path(scratch)),
                changes=changes,  # type: ignore[arg-type]
                debts=fakes.FakeDebtStore(states),
            )
            diff_partition(number, needs, connection)
    return changes.keys


class _Table(msgspec.Struct):
    keys: list[str]


class _Chunk(msgspec.Struct):
    operation: str
    table: _Table


_named = msgspec.json.Decoder(_Chunk)


class Noting:
    """A ChangeStore that makes a chunk ready to be stored, and keeps its keys alone."""

    def __init__(self) -> None:
        self.keys: dict[str, list[int]] = {"added": [], "changed": [], "removed": []}

    def put_chunk(self, chunk: Any) -> None:
        data = to_json(chunk)
        isal_zlib.compress(data, 1)
        found = _named.decode(data)
        self.keys[found.operation] += [int(key.partition(":n")[2]) for key in found.table.keys]

    def put_result(self, *_: Any) -> None:
        """The counts are those of the keys."""


# --- on files ---------------------------------------------------------------------------------------------------------


def _operation_sql(left: str, right: str) -> str:
    rows = ", ".join(f"{side}.{name} AS {side}_{name}" for side in "ba" for name in NAMES)
    differs = " OR ".join(f"b.{name} IS DISTINCT FROM a.{name}" for name in VALUES)
    return f"""
SELECT coalesce(b.id, a.id) AS key,
  CASE WHEN b.id IS NULL THEN 'added' WHEN a.id IS NULL THEN 'removed' ELSE 'changed' END AS operation, {rows}
FROM {left} b FULL JOIN {right} a ON b.id = a.id WHERE b.id IS NULL OR a.id IS NULL OR {differs}"""


def _by_operation(rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    keys: dict[str, list[int]] = {"added": [], "changed": [], "removed": []}
    for key, operation, *_ in rows:
        keys[operation].append(key)
    return found(keys["added"], keys["changed"], keys["removed"])


def side_duckdb(before: str, after: str, **_: Any) -> dict[str, Any]:
    import duckdb

    with timed(), duckdb.connect() as connection:
        query = _operation_sql(f"read_parquet('{before}')", f"read_parquet('{after}')")
        return _by_operation(connection.execute(query).fetchall())


def side_pandas(before: str, after: str, **_: Any) -> dict[str, Any]:
    import pandas as pd

    with timed():
        both = pd.read_parquet(before).merge(
            pd.read_parquet(after), on="id", how="outer", suffixes=("_b", "_a"), indicator=True
        )
        changed = both["_merge"] == "both"
        differs = pd.Series(False, index=both.index)
        for name in VALUES:
            left, right = both[f"{name}_b"], both[f"{name}_a"]
            differs |= (left != right) & ~(left.isna() & right.isna())
        added, removed = both["_merge"] == "right_only", both["_merge"] == "left_only"
        return found(both.loc[added, "id"], both.loc[changed & differs, "id"], both.loc[removed, "id"])


def side_datacompy(before: str, after: str, **_: Any) -> dict[str, Any]:
    import datacompy
    import pandas as pd

    with timed():
        compared = datacompy.PandasCompare(pd.read_parquet(before), pd.read_parquet(after), join_columns="id")
        changed = compared.all_mismatch(ignore_matching_cols=True)
        return found(compared.df2_unq_rows["id"], changed["id"], compared.df1_unq_rows["id"])


def side_csv_diff(before_csv: str, after_csv: str, **_: Any) -> dict[str, Any]:
    from csv_diff import compare, load_csv

    with timed(), Path(before_csv).open() as left, Path(after_csv).open() as right:
        told = compare(load_csv(left, key="id"), load_csv(right, key="id"))
        rows = [[row["id"] for row in told[name]] for name in ("added", "removed")]
        return found(rows[0], [row["key"] for row in told["changed"]], rows[1])


def side_spark(before: str, after: str, **_: Any) -> dict[str, Any]:
    if shutil.which("java") is None:
        raise RuntimeError("Spark needs a Java, and this machine has none")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.driver.memory", SPARK_MEMORY)
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "8",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.log.level": "ERROR",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        with timed(os.getpid()):
            session.read.parquet(before).createOrReplaceTempView("before")
            session.read.parquet(after).createOrReplaceTempView("after")
            query = _operation_sql("before", "after").replace("IS DISTINCT FROM", "<=>")
            for name in VALUES:
                query = query.replace(f"b.{name} <=> a.{name}", f"NOT (b.{name} <=> a.{name})")
            return _by_operation(session.sql(query).collect())
    finally:
        session.stop()


# --- in a database ----------------------------------------------------------------------------------------------------


def serve(rows: int, seed: int) -> None:
    """A PostgreSQL server with both states, loaded and analyzed."""
    from tests.postgres_server import running_server

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        Path(folder).chmod(0o755)
        with running_server(Path(folder)) as server:
            tuned = (
                "shared_buffers = '512MB'",
                "work_mem = '256MB'",
                "max_wal_size = '4GB'",
                "synchronous_commit = off",
            )
            server.execute(*(f"ALTER SYSTEM SET {setting}" for setting in tuned[1:]), "SELECT pg_reload_conf()")
            for state in ("before", "after"):
                _load(server.uri(), state, rows, seed)
            print(json.dumps({"uri": server.uri(), "server_pid": _postmaster(server.port)}), flush=True)
            signal.pause()


def _load(uri: str, state: str, rows: int, seed: int) -> None:
    """By COPY, as CSV from DuckDB."""
    import duckdb
    import psycopg2

    columns = """id bigint PRIMARY KEY, customer bigint, status text, country text, email text, amount numeric(12, 2),
        quantity bigint, created_at timestamp, updated_at timestamptz, note text"""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")  # stdout is the harness's
            query = rows_sql(rows, state, seed=seed)  # type: ignore[arg-type]
            connection.execute(f"COPY ({query}) TO '{file.name}' (FORMAT csv, HEADER false)").fetchall()
        with psycopg2.connect(uri) as database, database.cursor() as cursor, Path(file.name).open() as stream:
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute(f"CREATE TABLE {state} ({columns})")
            cursor.copy_expert(f"COPY {state} FROM STDIN (FORMAT csv)", stream)
    connection_ = psycopg2.connect(uri)
    connection_.autocommit = True
    with connection_.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {state}")
    connection_.close()


def _postmaster(port: int) -> int:
    """The server's first process, which is a child of this one."""
    import psutil

    children = psutil.Process().children()
    assert len(children) == 1, f"one server is expected on port {port}"
    return int(children[0].pid)


def side_postgres(uri: str, server_pid: int, **_: Any) -> dict[str, Any]:
    import psycopg2

    with timed(server_pid), psycopg2.connect(uri) as database, database.cursor() as cursor:
        cursor.execute("SET work_mem = '256MB'")
        cursor.execute(_operation_sql('"before"', '"after"'))
        return _by_operation(cursor.fetchall())


def side_reladiff(uri: str, server_pid: int, **_: Any) -> dict[str, Any]:
    from reladiff import connect_to_table, diff_tables

    with timed(server_pid):
        left, right = (connect_to_table(uri, name, "id", thread_count=2) for name in ("before", "after"))
        signs: dict[int, set[str]] = {}
        with diff_tables(left, right, extra_columns=VALUES, key_columns=("id",)) as rows:
            for sign, row in rows:
                signs.setdefault(int(row[0]), set()).add(sign)
        by = {name: [key for key, seen in signs.items() if seen == set(name)] for name in ("+", "-", "+-")}
        return found(by["+"], by["+-"], by["-"])
