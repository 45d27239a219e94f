"""How a run grows with its rows and with its changes: the product's own snapshot and diff, point by point, each in a
process of its own; requests and prices by the formula of `rowcast cost`, which `bench.calls` holds against counts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.case import Case, Side, Size, Topic

TOPIC = Topic(
    title="Growth",
    about="""
Snapshot (the query's result to partitioned, fingerprinted Parquet; making the rows is part of it) and diff (every
partition that differs, one after the other, to chunks), in one process with the functions' own limits of memory.
""",
    remains="""
The snapshot and the reading of fingerprints grow with the rows, everything else with the changes. A start that differs
from zero is what a partition costs however few rows it has.
""",
)
SIZES: dict[Size, tuple[tuple[int, ...], int, int, tuple[int, ...]]] = {
    "small": ((100_000, 300_000, 1_000_000), 2_000, 500_000, (1_000, 10_000, 100_000)),
    "full": ((1_000_000, 5_000_000, 20_000_000), 10_000, 5_000_000, (10_000, 100_000, 1_000_000)),
}
"""Rows with so many changes each; so many rows with each of these changes."""
SNAPSHOT_MB, DIFF_MB = 1000, 160


def cases(size: Size) -> list[Case]:
    rows, changes, fixed, several = SIZES[size]
    return [
        _case("rows", f"By rows, {changes:,} changes each", size, [[count, changes] for count in rows]),
        _case("changes", f"By changes, of {fixed:,} rows", size, [[fixed, count] for count in several]),
    ]


def _case(by: str, title: str, size: Size, points: list[list[int]]) -> Case:
    side = Side(name="Rowcast", call="bench.growth:points", role="ours", timeout=7200)
    name = f"by-{by}-{size}"
    arguments = {"by": by, "at": points, "seed": 1}
    return Case(name=name, title=title, sides=(side,), reference="Rowcast", size=size, rounds=1, arguments=arguments)


def points(by: str, at: list[list[int]], seed: int) -> dict[str, Any]:
    """Measures each point, and answers a table and plots over what grows."""
    from bench.harness import run_side

    rows: list[list[Any]] = []
    for count, changes in at:
        one = Side(name="point", call="bench.growth:point", role="ours", timeout=7200)
        measured = run_side(one, {"rows": count, "changes": changes, "seed": seed})
        took = measured.result
        requests, cost = _priced(count, took["changes"])
        rows.append(
            [count, took["changes"], took["snapshot"], took["diff"], measured.cpu, measured.peak_mb, requests, cost]
        )
    columns = ["rows", "changes", "snapshot s", "diff s", "CPU s", "peak MB", "requests", "USD a run"]
    across = columns.index(by)
    drawn = (
        ("Seconds", "s", {"snapshot": 2, "diff": 3}),
        ("Peak memory", "MB", {"snapshot and diff": 5}),
        ("Requests to AWS", "requests", {"all services": 6}),
        ("Price of a run", "USD", {"list price": 7}),
    )
    plots = []
    for title, y, series in drawn:
        lines = {name: [[row[across], row[n]] for row in rows] for name, n in series.items()}
        plots.append({"title": f"{title} by {by}", "x": by, "y": y, "series": lines, "fit": True})
    return {"table": {"columns": columns, "rows": [[*row[:7], f"{row[7]:.4f}"] for row in rows]}, "plots": plots}


def point(rows: int, changes: int, seed: int) -> dict[str, Any]:
    """A baseline, and then timed: the snapshot of the table with so many changes, and its diff."""
    import time

    from bench import data
    from bench.side import timed
    from rowcast.snapshot import partitions_to_diff

    with tempfile.TemporaryDirectory(prefix="rowcast-growth-") as folder:
        store = data.FolderSnapshots(Path(folder))
        before, after = (
            data.TableSource(data.rows_sql(rows, state, share=changes / rows, seed=seed))
            for state in ("before", "after")
        )
        data._take(store, "before", before, None, None)
        key = "snapshots/orders/before/manifest.json"
        with timed():
            began = time.perf_counter()
            data._take(store, "after", after, key, None)
            taken = time.perf_counter()
            old, new = store.manifest(key), store.manifest("snapshots/orders/after/manifest.json")
            found = sum(_diff(number, old, new, store) for number in partitions_to_diff(new, old))
            ended = time.perf_counter()
    return {"snapshot": taken - began, "diff": ended - taken, "changes": found}


def _diff(number: int, old: Any, new: Any, store: Any) -> int:
    from bench import data
    from bench.diff_peers import Noting
    from rowcast.compare import Sides
    from rowcast.diff import PartitionDiff, diff_partition
    from rowcast.engine import engine
    from rowcast.models import Run
    from tests import fakes

    run = Run(sync="orders", run="r", generation=1, execution="e", definition="d", started_at=0.0)
    with tempfile.TemporaryDirectory(dir=store.folder) as scratch, engine(Path(scratch), DIFF_MB) as connection:
        needs = PartitionDiff(
            definition=data.definition(),
            run=run,
            sides=Sides(manifest=new, baseline=old, snapshots=store, scratch=Path(scratch)),
            changes=Noting(),  # type: ignore[arg-type]
            debts=fakes.FakeDebtStore(fakes.FakeStateStore()),
        )
        counts = diff_partition(number, needs, connection).counts
    return counts.added + counts.changed + counts.removed


def _priced(rows: int, changes: int) -> tuple[int, float]:
    from bench.data import definition
    from workbench.cost import TABLE, bill, read_prices
    from workbench.usage import Workload

    work = Workload(rows=rows, changed=changes)
    made = bill(work, definition(), read_prices(TABLE.parent), None)
    return sum(made.usage.requests.values()), sum(line.cost for line in made.run)
