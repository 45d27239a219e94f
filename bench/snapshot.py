"""How fast a query's result becomes a snapshot: from PostgreSQL, and from files."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.case import Case, Goal, Profile, Side, Size, Topic
from bench.data import COLUMNS, ENGINE_MB, FolderSnapshots, definition, import_once, plain_files, rows_sql
from bench.postgres import environment, psql
from bench.side import timed
from bench.standins import Asking, FolderClient, Sink, disk_use
from rowcast.models import Manifest
from rowcast.ports import Source

if TYPE_CHECKING:
    import duckdb

QUERY = "SELECT * FROM orders"
SLOW_MB = 10
PARTITIONS = 64
WAIT = 0.05
FUNCTION_MB = 1804
"""Of 3,008 MB, what the engine may take: rowcast.wiring."""
FLOOR = "the engine alone, hash(), divided"
FORMATS = {"csv": "FORMAT csv, HEADER", "json": "FORMAT json", "parquet": "FORMAT parquet"}

TOPIC = Topic(
    title="Snapshot",
    about="""Ten columns, 155 bytes a row in memory, `SELECT * FROM orders`. The limit reads what PostgreSQL sends and
throws it away: `psql`, `COPY (…) TO STDOUT (FORMAT binary)`. Ours is the whole step: reading, types, keys,
fingerprints, partitions in Parquet, all checks, and the files put into a store (a folder). The server runs on the same
cores, and its processor time is not counted. A "later run" knows the partition count from its baseline, as every run
but the first does. For files the limit is DuckDB's own `COPY (SELECT * FROM 'orders.csv') TO 'orders.parquet'`.
No side's imports count, which a function makes once: see "Cold start".""",
    profiles=(
        Profile(
            stage="PostgreSQL, 1 M rows, by step",
            unit="CPU s",
            before={"read and types": 0.57, "keys and fingerprints": 2.5, "partitioned Parquet": 1.0, "index": 0.3},
            after={"read and types": 0.57, "keys and fingerprints": 1.3, "partitioned Parquet": 0.8, "index": 0.2},
            note="""Each step alone, on cores shared with eight other processes; before and after fingerprints were
made over bytes. One partition is not partitioned: its Parquet takes 0.5.""",
        ),
        Profile(
            stage="The whole step, 1 M rows",
            unit="CPU s",
            before={"PostgreSQL": 4.51, "PostgreSQL, first run": 4.62, "CSV": 6.32, "Parquet": 3.76},
            after={"PostgreSQL": 3.29, "PostgreSQL, first run": 3.57, "CSV": 4.77, "Parquet": 2.59},
            note="""Processes of their own, before and after in turns, medians of three rounds, with imports and the
start of the engine, on the same busy cores. DuckDB's COPY: CSV 0.97, Parquet 0.64.""",
        ),
        Profile(
            stage="CSV file, 1 M rows",
            unit="CPU s",
            before={"dialect and types": 1.15, "fractions": 0.28, "rows": 0.4},
            after={"dialect and types": 0.15, "proof and fractions": 0.58, "rows": 0.4},
            note="""What comes before keys and fingerprints; before and after the first rows were asked, and proven
right for all. DuckDB's look at the whole file was one thread's, the proof is shared by all.""",
        ),
        Profile(
            stage="JSON file, 1 M rows",
            unit="CPU s",
            before={"types": 4.3, "rows": 0.55},
            after={"types": 0.2, "proof": 1.1, "rows": 0.55},
            note="The same. Each of three statements that name the file looked at all of it, by one thread.",
        ),
        Profile(
            stage="The whole step from files, 1 M rows",
            unit="CPU s",
            before={"CSV": 4.02, "JSON": 6.95, "Parquet": 2.36},
            after={"CSV": 3.34, "JSON": 4.10, "Parquet": 2.30},
            note="The same change. Of the seconds before it, CSV spent 1.2 and JSON 4.3 on one thread, now 0.2 each.",
        ),
        Profile(
            stage="20 M rows of a Parquet file",
            unit="CPU s",
            before={"first run, 64 partitions": 69, "later run, 256 partitions": 77},
            after={"first run, 64 partitions": 57, "later run, 256 partitions": 63},
            note="""Before and after rows were divided among at most 64 partitions at once, one run each. Memory: 308 to
264 MB, and 461 to 301 MB. Disk: 4.8 to 1.8 GB, and 2.4 to 1.9 GB, since what is divided or stored is given up at once,
and since row groups of 4,000 rows have become some of full size.""",
        ),
        Profile(
            stage="Waiting for a store that answers after 50 ms, 64 partitions",
            unit="s",
            before={"128 files": 6.4},
            after={"128 files": 0.8},
            note="Before and after eight files were put at once: reckoned; the case shows the whole step.",
        ),
    ),
    remains="""What the engine takes alone stands in the tables: the same rows read, given its own `hash()` twice,
divided among the same partitions and written, and nothing more. At a million rows that is 1.65 times the limit from
PostgreSQL, 1.45 from Parquet, 1.3 from CSV and 1.2 from JSON. So where rows are divided, 1.5 and 1.3 are passed before
anything is hashed that cannot be forged, proven, made into a file of fingerprints, verified or stored; none of what was
tried brings these goals near ([the engine makes the hashes](decisions/0024-the-engine-hashes.md)).

Of a row of 113 bytes, SHA-256 takes 0.5 CPU s a million, of its key 0.25, by the engine's own code at
about 200 MB/s. A hash of a row that came from outside must not be forged: DuckDB's `hash()` gave two texts of 26
characters that differ in the 8th and the 16th (`1` there, or `q`) the same number in every second case. MD5 would save
half of SHA-256, and collides by intent. A key's hash could be a weaker one where it only sorts, if debts and partitions
were not ranges of it. Reading takes 0.55 in the driver, which turns the server's rows into columns and numerics
into text. Dividing rows among partitions takes 0.3, since each is appended to a buffer of its partition.

So from PostgreSQL our own 2.4 CPU s a million rows and the server's 0.5 have two cores to share: 1.5 s at the best,
where 1.5 times the limit is 0.8. More readers help where the server or the network holds one reader up (see "slow
connections"), not here. A first run sets its rows aside in eight partitions, and so writes them twice above 4 M rows.
Of more than 64 partitions every run does: each takes buffers, and more than 100 files are not kept open.

From files the limit has no hashes to make: for 1 M rows it takes 0.6 (Parquet) to 1.0 CPU s (CSV), hashes and
fingerprints alone 1.5. 1.3 times that limit is out of reach while rows are hashed by SHA-256. Of a
Parquet file's 2.1 CPU s reading takes 0.1, dividing rows between two partitions 0.2, writing 0.45, the hash of the key
0.35, of the row 0.8 (of which SHA-256 0.2 and 0.4, its input 0.1 and 0.3, the rest the way from its hex digits to
numbers), the index 0.15. The tail after the rows is reading hashes back, sorting, checksums and the store: 0.3 s. Of
one partition it is one thread's; of several, processors share it, and eight files at once wait for the store.

A CSV file is read three times: its first rows for its dialect and types; all of it for the proof that the whole file
would give the same, together with the digits of its fractions, so that decimals stay exact, and with the form of its
days and instants, so that only ISO 8601 is one; and for its rows. DuckDB's
own look at the whole file is left for files of which the proof says nothing: with comments or backslashes beside
quotes, values that begin with a single quote, exponents, a last column with empty values beside quotes, a column of
text that begins empty, several files, compressed ones. In JSON the proof is for flat records: a column of objects or
lists, days and instants of other forms than ISO, or of several, need the whole look, by one thread and for each of two
statements. To leave the proof out, a guess would have to be checked while rows are written, and all be done anew where
it fails; and a query's own filter would hide rows from it.""",
)


def cases(size: Size) -> list[Case]:
    if size == "small":
        return [
            _postgres(1_000_000, size),
            _readers(500_000, size),
            *(_files(kind, 1_000_000, size) for kind in FORMATS),
            _store(1_000_000, size),
        ]
    return [
        _postgres(5_000_000, size),
        _postgres(20_000_000, size),
        _files("csv", 5_000_000, size),
        _large(100_000_000, size),
    ]


def _ours(call: str, name: str, goal: Goal | None = None, **arguments: Any) -> Side:
    return Side(name=name, call=f"bench.snapshot:{call}", role="ours", goal=goal, arguments=arguments)


def _postgres(rows: int, size: Size) -> Case:
    goal = Goal(at_most=1.5, peak_mb=400)
    return Case(
        name=f"postgres-{rows}",
        title=f"PostgreSQL, {rows // 1_000_000} M rows",
        size=size,
        rounds=3,
        reference="COPY binary into nothing",
        serve="bench.postgres:serve",
        arguments={"rows": rows},
        sides=(
            Side(name="COPY binary into nothing", call="bench.snapshot:copy_binary", role="limit"),
            _ours("postgres", "rowcast, later run", goal),
            _ours("postgres", "rowcast, 2 readers", goal, readers=2),
            _ours("postgres", "rowcast, 4 readers", goal, readers=4),
            _ours("postgres", "rowcast, first run", first=True),
            Side(name=FLOOR, call="bench.snapshot:postgres_divided", rounds=2),
            Side(name="COPY csv, then DuckDB to Parquet", call="bench.snapshot:copy_csv", rounds=2),
            Side(name="psycopg2, server-side cursor", call="bench.snapshot:cursor", rounds=2),
        ),
    )


def _readers(rows: int, size: Size) -> Case:
    return Case(
        name=f"readers-{rows}",
        title=f"PostgreSQL, {rows:,} rows over slow connections",
        size=size,
        rounds=2,
        reference="rowcast, 1 reader",
        serve="bench.postgres:serve",
        arguments={"rows": rows, "slowed_to": SLOW_MB},
        note=f"""Each connection brings {SLOW_MB} MB a second, so that the way and not the processor holds a reader up.
Several readers share one snapshot of the server's.""",
        sides=(
            _ours("postgres", "rowcast, 1 reader", readers=1),
            _ours("postgres", "rowcast, 2 readers", Goal(at_most=0.6, peak_mb=400), readers=2),
            _ours("postgres", "rowcast, 4 readers", Goal(at_most=0.35, peak_mb=400), readers=4),
        ),
    )


def _files(kind: str, rows: int, size: Size) -> Case:
    return Case(
        name=f"{kind}-{rows}",
        title=f"{kind.upper() if kind != 'parquet' else 'Parquet'} file, {rows // 1_000_000} M rows",
        size=size,
        rounds=3,
        reference="DuckDB COPY to Parquet",
        prepare="bench.snapshot:write_file",
        arguments={"rows": rows, "kind": kind},
        sides=(
            Side(name="DuckDB COPY to Parquet", call="bench.snapshot:duckdb_copy", role="limit"),
            _ours("files", "rowcast", Goal(at_most=1.3, peak_mb=1300)),
            Side(name=FLOOR, call="bench.snapshot:duckdb_divided"),
        ),
    )


def _store(rows: int, size: Size) -> Case:
    return Case(
        name=f"store-{rows}",
        title=f"{rows // 1_000_000} M rows in {PARTITIONS} partitions, into a store that answers late",
        size=size,
        rounds=3,
        reference="rowcast, no wait",
        prepare="bench.snapshot:write_file",
        arguments={"rows": rows, "kind": "parquet", "partitions": PARTITIONS, "keep": False},
        note=f"""The Parquet file again, as a later run. The store answers {WAIT * 1000:.0f} ms after it has got a file,
as one over a network does. One after the other the {2 * PARTITIONS} files would wait {2 * PARTITIONS * WAIT:.1f} s.""",
        sides=(
            _ours("files", "rowcast, no wait"),
            _ours("files", f"rowcast, {WAIT * 1000:.0f} ms a file", wait=WAIT),
        ),
    )


def _large(rows: int, size: Size) -> Case:
    ours = _ours("files", "rowcast, later run", Goal(at_most=1.3, peak_mb=1300), keep=False, watch=True)
    copied = Side(name="DuckDB COPY to Parquet", call="bench.snapshot:duckdb_copy", role="limit")
    return Case(
        name=f"parquet-{rows}",
        title=f"Parquet file, {rows // 1_000_000} M rows",
        size=size,
        rounds=1,
        reference="DuckDB COPY to Parquet",
        prepare="bench.snapshot:plain_file",
        arguments={"rows": rows, "memory": FUNCTION_MB},
        note="""The same rows as in the diff's case. The engine has the memory that it has in the deployed function,
whose disk has 10,737 MB, and the store keeps no file.""",
        sides=tuple(msgspec.structs.replace(side, timeout=3600) for side in (copied, ours)),
    )


def copy_binary(server: dict[str, Any], **_: Any) -> None:
    _copy(server, "binary", Path("/dev/null"))


def _copy(server: dict[str, Any], form: str, target: Path) -> None:
    command = [psql(), "-qX", "-c", "SET TimeZone = 'UTC'", "-c", f"COPY ({QUERY}) TO STDOUT (FORMAT {form})"]
    with target.open("wb") as out:
        subprocess.run(command, env=environment(server), stdout=out, check=True)


def copy_csv(server: dict[str, Any], **_: Any) -> dict[str, Any]:
    import duckdb

    with _folder() as folder:
        _copy(server, "csv", folder / "orders.csv")
        with duckdb.connect() as connection:
            done = connection.execute(f"COPY (FROM read_csv('{folder}/orders.csv')) TO '{folder}/orders.parquet'")
            return {"digest": done.fetchall()[0][0]}


def cursor(server: dict[str, Any], **_: Any) -> dict[str, Any]:
    import psycopg2

    names = {"database": "dbname"}
    settings = {names.get(name, name): value for name, value in server.items()}
    with psycopg2.connect(**settings) as connection, connection.cursor(name="reading") as reading:
        reading.itersize = 10_000
        reading.execute(QUERY)
        return {"digest": sum(1 for _ in reading)}


def postgres(
    server: dict[str, Any], rows: int, readers: int = 1, first: bool = False, memory: int = ENGINE_MB, **_: Any
) -> dict[str, Any]:
    with _folder() as folder:
        store = FolderSnapshots(folder / "store")
        manifest = _take(_source(server, readers), folder, 0 if first else rows, memory, store)
    return {"digest": manifest.rows}


def _source(server: dict[str, Any], readers: int = 1) -> Source:
    from rowcast.definition import PostgresSource
    from rowcast.sources.postgres import PostgresQuerySource

    place = {name: server[name] for name in ("host", "port", "user", "database")}
    source = PostgresSource(name="warehouse", tls="off", readers=readers, **place)
    return PostgresQuerySource(source, server["password"])


def postgres_divided(server: dict[str, Any], rows: int, **_: Any) -> None:
    from rowcast.engine import engine

    import_once("adbc_driver_manager", "adbc_driver_postgresql")
    with (
        _folder() as folder,
        engine(folder, ENGINE_MB) as connection,
        timed(),
        _source(server).query(QUERY, connection) as result,
    ):
        _divide(result.relation, rows, connection, folder)


def _divide(relation: str, rows: int, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Writes rows as a snapshot has them, with hashes that can be forged, and makes nothing else of them: what the
    engine takes by itself, without proofs, a file of fingerprints, checksums or a store."""
    from rowcast.definition import Limits
    from rowcast.engine import run
    from rowcast.snapshot import partition_bits
    from rowcast.staging import BUFFERED_ROWS, PARQUET

    bits = partition_bits(rows, None, Limits().rows_per_partition)
    columns = ", ".join(column.name for column in COLUMNS)
    hashes = f"hash(id) AS k, hash({columns}) AS f, (hash(id) >> {64 - bits})::INTEGER AS p"
    run(connection, f"SET partitioned_write_flush_threshold = {BUFFERED_ROWS}")
    run(connection, f"COPY (SELECT *, {hashes} FROM {relation}) TO '{folder}/out' ({PARQUET}, PARTITION_BY (p))")


def _take(
    source: Source, folder: Path, rows_before: int, memory: int, store: FolderSnapshots, partitions: int = 0
) -> Manifest:
    """The manifest of a snapshot after a baseline of so many rows that were all different; 0: without a baseline.
    `partitions`: as many as that baseline has, where it is not for the rows to say."""
    from rowcast.definition import Limits
    from rowcast.models import Column
    from rowcast.snapshot import Taking, partition_bits, take_snapshot
    from rowcast.storing import EMPTY
    from tests import fakes

    states = fakes.FakeStateStore()
    needs = Taking(
        states=states,
        definitions=fakes.FakeDefinitionStore(),
        snapshots=store,
        debts=fakes.FakeDebtStore(states),
        source=lambda *_: source,
        clock=fakes.FakeClock(),
        scratch=folder,
        attempt="bench",
        engine_mb=memory,
    )
    wanted = rows_before // partitions if partitions else Limits().rows_per_partition
    baseline = Manifest(
        sync="orders",
        run="before",
        primary_key=("id",),
        columns=(Column("id", "integer"),),
        fingerprint_schema="none",
        rows=rows_before,
        partitions=(EMPTY,) * 2 ** partition_bits(rows_before, None, wanted),
    )
    import_once("adbc_driver_manager", "adbc_driver_postgresql")
    with timed():
        return take_snapshot(definition(wanted), "now", baseline if rows_before else None, None, source, needs).manifest


def write_file(rows: int, kind: str, **_: Any) -> dict[str, Any]:
    """The table as a file under build/bench, written once."""
    import duckdb

    folder = Path(__file__).resolve().parents[1] / "build" / "bench" / "files"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"orders-{rows}.{kind}"
    if not file.exists():
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"COPY ({rows_sql(rows, 'before')}) TO '{file}.part' ({FORMATS[kind]})")
        file.with_name(f"{file.name}.part").rename(file)
    return {"file": str(file), "warm": [str(file)]}


def plain_file(rows: int, **_: Any) -> dict[str, Any]:
    """The table as the diff's cases have it, written once."""
    from bench.diff import FOLDER

    return {"file": str(Path(plain_files(FOLDER / "plain", rows).before).resolve())}


def duckdb_copy(file: str, **_: Any) -> None:
    from rowcast.engine import engine, run

    with _folder() as folder:
        copied = folder / Path(file).name
        shutil.copyfile(file, copied)
        with engine(folder, ENGINE_MB) as connection, timed():
            run(connection, f"COPY (SELECT * FROM '{copied}') TO '{folder}/out.parquet' (FORMAT parquet)")


def duckdb_divided(file: str, rows: int, **_: Any) -> None:
    from rowcast.engine import engine

    with _folder() as folder:
        copied = folder / Path(file).name
        shutil.copyfile(file, copied)
        with engine(folder, ENGINE_MB) as connection, timed():
            _divide(f"'{copied}'", rows, connection, folder)


def files(
    file: str,
    rows: int,
    first: bool = False,
    memory: int = ENGINE_MB,
    partitions: int = 0,
    keep: bool = True,
    wait: float = 0.0,
    watch: bool = False,
    **_: Any,
) -> dict[str, Any]:
    """`keep`: whether the store keeps what it gets, which it answers after `wait` seconds if not. `watch`: the disk."""
    from rowcast.sources.files import S3FilesSource

    client = FolderClient(Path(file).parent)
    with _folder() as folder, disk_use(folder) if watch else nullcontext([0]) as used:
        source = S3FilesSource(client=client, bucket="bench", prefix="", scratch=folder)
        asking = Asking(source, f"SELECT * FROM '{Path(file).name}'")
        store = FolderSnapshots(folder / "store") if keep else Sink(folder / "store", wait)
        manifest = _take(asking, folder, 0 if first else rows, memory, store, partitions)
    told = [["partitions", len(manifest.partitions)], ["most on disk, MB", used[0] // 1_000_000]]
    return {"digest": manifest.rows, **({"table": {"columns": ["", "number"], "rows": told}} if watch else {})}


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rowcast-bench-") as folder:
        yield Path(folder)
