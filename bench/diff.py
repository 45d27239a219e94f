"""The diff of a snapshot against its baseline, against the limit "decode all columns of both".

Our sides run the product's own `diff_partition` over every partition that `partitions_to_diff` names, in two processes,
each of which takes the next partition when it is done with one. Files are verified as in production; nothing is
downloaded. Chunks are encoded and compressed as they are stored, and then dropped.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import data
from bench.case import Case, Goal, Profile, Side, Size, Topic
from bench.side import timed

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    import duckdb

    from rowcast.diff import PartitionDiff

FOLDER = Path("build/bench/data/diff")
PROCESSES = 2
PEAK_MB = PROCESSES * 300
ENGINE_MB = 1061
"""What the diff function gives the engine: infra.constructs.functions."""
MILLION = 1_000_000

TOPIC = Topic(
    title="Diff",
    about=(
        "The rows of a table with ten columns, before and after; of scattered changes 1 % of the rows are changed, "
        "0.5 % added, 0.5 % removed. The limit decodes all columns of both states from plain Parquet files (zstd 1). "
        "Ours ends with chunks that hold the full rows before and after, compressed as they are stored. Peak memory is "
        "that of both working processes together, each of which may take 300 MB."
    ),
    remains="""A partition of 312,000 rows of which 6,300 changed takes 90 ms of a processor, where the limit's decoding
takes 72: 36 to decode and pick the rows (our files decode faster than plain ones), 12 to parse and plan the statement,
16 for its text, 10 to verify four files, 7 to merge fingerprints, 5 to put chunks together and compress them. Of which
keys changed alone half goes into verifying and half into merging. Statements prepared once for all partitions would
save some of the planning, at the price of a copy of the rows.

Where every row changed, a change takes 2.9 µs: 0.4 to read and join its rows, 1.4 for the JSON of the values, 40 to
100 ns each, 0.4 for compressing, 0.3 for the rest of a chunk, 0.4 for pairing rows and comparing keys. The limit's
decoding takes 0.12 µs for a row of either side, half of what it took on the machine for which the goal was set: five
times both is less than text alone. Values as binary columns would move that text into the worker that sends.""",
    profiles=(
        Profile(
            stage="1 M rows, 2 % changed",
            unit="processor seconds",
            before={
                "engine started": 0.17,
                "files verified": 0.27,
                "fingerprints joined in DuckDB": 0.28,
                "rows read, joined and made to changes": 0.81,
                "chunks compressed": 0.06,
            },
            after={
                "files verified": 0.03,
                "fingerprints merged": 0.02,
                "rows read, joined and made to columns": 0.21,
                "chunks put together and compressed": 0.02,
                "the rest": 0.01,
            },
            note="Before: on shared cores, taken once. After: alone, a twentieth of 20 M rows; the engine stays.",
        ),
        Profile(
            stage="1 M rows, all changed",
            unit="processor seconds",
            before={
                "fingerprints, keys and pairing": 2.9,
                "rows joined and made to changes": 9.5,
                "changes put together in Python": 2.9,
                "chunks compressed": 3.3,
            },
            after={
                "fingerprints, keys and pairing": 0.4,
                "rows read, joined and made to columns": 1.8,
                "chunks put together in Python": 0.3,
                "chunks compressed": 0.4,
            },
            note="Before: on shared cores, taken once, in one partition, 630 MB. After: alone, of 5 M rows in 16"
            " partitions, 208 MB.",
        ),
    ),
)


def cases(size: Size) -> list[Case]:
    if size == "small":
        return [*_cases(1, "small"), _all_changed(1, "small")]
    hundred = _case("scattered-100m", "100 M rows, 2 % changed", 100, "scattered", "full", (_ours(goal=1.4),), rounds=1)
    return [*_cases(5, "full"), *_cases(20, "full"), _all_changed(5, "full"), hundred]


def _cases(millions: int, size: Size) -> list[Case]:
    told = f"{millions} M rows"
    return [
        _case(
            f"scattered-{millions}m",
            f"{told}, 2 % changed",
            millions,
            "scattered",
            size,
            (_ours(goal=1.4), Side(name="rowcast, which keys alone", call="bench.diff:keys_alone", role="ours",
             goal=Goal(at_most=0.2, peak_mb=PEAK_MB))),
        ),
        _case(f"none-{millions}m", f"{told}, nothing changed", millions, "none", size, (_ours(goal=0.15),)),
    ]  # fmt: skip


def _all_changed(millions: int, size: Size) -> Case:
    title = f"{millions} M rows, all changed"
    return _case(f"all-{millions}m", title, millions, "all", size, (_ours(goal=5.0),), rounds=3)


def _ours(*, goal: float) -> Side:
    return Side(
        name="rowcast", call="bench.diff:ours", role="ours", goal=Goal(at_most=goal, peak_mb=PEAK_MB), timeout=7200
    )


def _case(
    name: str, title: str, millions: int, changes: data.Changes, size: Size, ours: tuple[Side, ...], rounds: int = 5
) -> Case:
    arguments = {"rows": millions * MILLION, "changes": changes}
    return Case(
        name=name,
        title=title,
        size=size,
        rounds=rounds,
        reference="limit: decode",
        prepare="bench.diff:prepare",
        arguments=arguments,
        sides=(
            *ours,
            Side(name="limit: decode", call="bench.diff:decode_plain", role="limit"),
            Side(name="decode our own files", call="bench.diff:decode_ours", role="limit"),
        ),
    )


def prepare(rows: int, changes: data.Changes) -> dict[str, Any]:
    """The keys of both manifests, and the plain files."""
    keys = data.snapshots(FOLDER / "snapshots", rows, changes)
    plain = data.plain_files(FOLDER / "plain", rows, changes)
    paths = [plain.before, plain.after]
    warm = [*paths, *(str((FOLDER / "snapshots" / key).parent) for key in keys.values())]
    return {"before": keys["before"], "after": keys["after"], "plain": paths, "warm": warm}


def decode_plain(plain: list[str], **_: Any) -> None:
    _decode([[path] for path in plain])


def decode_ours(before: str, after: str, **_: Any) -> None:
    store = data.FolderSnapshots(FOLDER / "snapshots")
    manifests = [store.manifest(key) for key in (before, after)]
    _decode([[str(store.folder / part.key) for part in each.partitions if part.key] for each in manifests])


def _decode(files: list[list[str]]) -> None:
    """`any_value` reads every value of a column and keeps one."""
    import duckdb

    connection = duckdb.connect(config={"threads": PROCESSES})
    read = ", ".join(f"any_value({column.name}) IS NULL" for column in data.COLUMNS)
    with timed():
        for each in files:
            connection.execute(f"SELECT {read} FROM read_parquet({each})").fetchall()


def ours(before: str, after: str, **_: Any) -> dict[str, Any]:
    return _all_partitions(before, after, _whole_diff)


def keys_alone(before: str, after: str, **_: Any) -> dict[str, Any]:
    found = _all_partitions(before, after, _keys_of)
    return {"rows_without_an_equal": [found["removed"], found["added"]]}


def _all_partitions(before: str, after: str, work: Any) -> dict[str, Any]:
    data.import_once()
    from rowcast.snapshot import partitions_to_diff

    context = multiprocessing.get_context("fork")
    started = context.Barrier(PROCESSES + 1)
    with context.Pool(PROCESSES, _start, (started,)) as pool:
        started.wait()
        with timed():
            store = data.FolderSnapshots(FOLDER / "snapshots")
            numbers = partitions_to_diff(store.manifest(after), store.manifest(before))
            counts = pool.starmap(work, [(before, after, number) for number in numbers], chunksize=1)
            pool.close()
            pool.join()
    return _told(counts)


def _start(started: Barrier) -> None:
    """The process of a function that has been invoked before; the limit has its engine before it is timed, too."""
    with _scratch():
        started.wait()


def _told(counts: list[dict[str, int]]) -> dict[str, Any]:
    summed = {name: sum(each[name] for each in counts) for name in ("added", "changed", "removed")}
    return {**summed, "digest": "/".join(str(value) for value in summed.values())}


def _whole_diff(before: str, after: str, number: int) -> dict[str, int]:
    from rowcast.diff import diff_partition

    with _partition(before, after) as (needs, connection):
        counts = diff_partition(number, needs, connection).counts
    return {name: getattr(counts, name) for name in ("added", "changed", "removed")}


def _keys_of(before: str, after: str, number: int) -> dict[str, int]:
    from rowcast import fingerprints
    from rowcast.compare import both_fingerprints

    with _partition(before, after) as (needs, connection):
        found = fingerprints.differing(*both_fingerprints(number, needs.sides, connection))
    removed, added = (sum(len(part.keys) for part in side) for side in found)
    return {"removed": removed, "changed": 0, "added": added}


@contextmanager
def _partition(before: str, after: str) -> Iterator[tuple[PartitionDiff, duckdb.DuckDBPyConnection]]:
    with _scratch() as (folder, connection):
        yield _needs(before, after, folder), connection


@contextmanager
def _scratch() -> Iterator[tuple[Path, duckdb.DuckDBPyConnection]]:
    """As for one invocation of the function: a folder of its own, and the engine that the process keeps."""
    from rowcast.engine import kept_engine, run

    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, kept_engine(Path(folder), ENGINE_MB) as connection:
        run(connection, "SET threads = 1")
        yield Path(folder), connection


def _needs(before: str, after: str, scratch: Path) -> PartitionDiff:
    from rowcast.compare import Sides
    from rowcast.diff import PartitionDiff
    from rowcast.models import Run
    from tests import fakes

    store = data.FolderSnapshots(FOLDER / "snapshots")
    return PartitionDiff(
        definition=data.definition(),
        run=Run(sync="orders", run="bench", generation=1, execution="bench", definition="bench", started_at=0),
        sides=Sides(manifest=store.manifest(after), baseline=store.manifest(before), snapshots=store, scratch=scratch),
        changes=_sink(),
        debts=fakes.FakeDebtStore(fakes.FakeStateStore()),
    )


def _sink() -> Any:
    """A ChangeStore that encodes and compresses chunks as the one over DynamoDB does, and keeps none."""
    from rowcast.models import to_json
    from rowcast.stores.bodies import Bodies
    from tests import fakes

    class Sink(fakes.FakeChangeStore):
        def put_chunk(self, chunk: Any) -> None:
            Bodies(objects=None, inline_bytes=2**40).pack(to_json(chunk), "")  # type: ignore[arg-type]

    return Sink()
