"""AWS requests of whole runs: counted with the real handlers and adapters over moto, held against the formula of
`rowcast cost`, and priced for large runs by that formula. Counts do not vary, so one round is enough.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from bench.case import Case, Side, Size, Topic
from rowcast.definition import Definition, Limits

TOPIC = Topic(
    title="Calls to AWS",
    about="""
Counted at the clients of the real handlers: a table of 8 and of 32 partitions, quiet, with 1 % of the rows changed, and
backfilled. The formula (`workbench/usage.py`, that of [`rowcast cost`](explanation/cost.md)) stands beside each count.
Below them the same formula for a table of ten million rows, with list prices. Nothing is asked per row but what carries
rows to the destination; nothing is polled; a quiet run makes 35 requests whatever the rows
(`tests/model/test_calls.py`).
The formula takes changes to spread over the partitions as hashes do on average; of seven changes it may miss by one.
""",
    remains="""
Per chunk of 200 changes: 20 PutEvents, which the API's ten entries a call dictate; three consistent reads (lock, run,
chunk), a claim and its outcomes, and one object of call records. A chunk is an item of some 20 KB, so its write units
cost more than its requests. The reads of lock and run before each chunk are the fence that keeps a worker that lost its
lock from sending; they cost 0.013 USD in a backfill of ten million rows. Head and run are read anew in every step for
the same reason.

What grew with the changes for no reason was a child execution, an invocation and a template compiled for each chunk. Up
to 100 chunks share one now, which took Step Functions' part of that backfill from 5 USD to 0.05
([why not Express](decisions/0013-a-fan-out-task-sends-a-share.md)).
""",
)
PER_PARTITION = 100
LARGE_ROWS = 10_000_000
LARGE_CHANGES = (0, 100_000, LARGE_ROWS)


def cases(size: Size) -> list[Case]:
    if size == "full":
        return []
    counted = [
        _case(f"counted-{rows}", f"Counted at {rows:,} rows", "counted", {"rows": rows}) for rows in (750, 3_000)
    ]
    priced = _case("priced", "By the formula at 10,000,000 rows, default limits, 200 bytes a row, USD", "priced", {})
    return [*counted, priced]


def _case(name: str, title: str, function: str, arguments: dict[str, Any]) -> Case:
    side = Side(name="Rowcast", call=f"bench.calls:{function}", role="ours")
    return Case(name=name, title=title, sides=(side,), reference="Rowcast", rounds=1, arguments=arguments)


def _sync(limits: Limits) -> Definition:
    from tests.model.aws_world import MESSAGE
    from tests.world import sync_definition

    return sync_definition(message=MESSAGE, limits=limits)


def counted(rows: int) -> dict[str, Any]:
    """A backfill, a quiet run, and one with 1 % changed, each beside the formula."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    from tests.model.aws_world import aws_world
    from tests.model.counting import Counting

    found: list[tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]] = []
    definition = _sync(Limits(concurrency=1, rows_per_partition=PER_PARTITION))
    with aws_world(definition) as world:
        counting = Counting(world, rows)
        for changes in (rows, 0, rows // 100):
            first = changes == rows
            if not first:
                counting.change(changes)
            counting.run()
            found.append((counting.calls.copy(), _expected(rows, changes, first, definition)))
    backfill, quiet, some = found
    columns = ["service", "operation", "quiet", "formula", "1 % changed", "formula", "backfill", "formula"]
    names = sorted({name for pair in found for name in pair[0]})
    table: list[list[Any]] = [
        [*name, *(each[name] for pair in (quiet, some, backfill) for each in pair)] for name in names
    ]
    known = _known()
    for row in table:
        if (row[0], row[1]) not in known:  # free, or of no weight
            row[3] = row[5] = row[7] = "–"
    return {"table": {"columns": columns, "rows": table}}


def _known() -> set[tuple[str, str]]:
    from workbench.usage import Workload, usage

    used = usage(Workload(rows=10, changed=1), _sync(Limits()), _seconds())
    return {*used.requests, ("s3", "HeadObject")}


def _expected(rows: int, changes: int, first: bool, definition: Definition) -> Counter[tuple[str, str]]:
    """Without what only Step Functions and a source of files ask of S3, which the counted world does not have."""
    from workbench.usage import Workload, usage

    work = Workload(rows=rows, first=first, **{"added" if first else "changed": changes})
    used = usage(work, definition, _seconds())
    maps = (used.shape.differing > 0) + (used.shape.chunks > 0)
    beside = Counter({("s3", "PutObject"): 3 * maps, ("s3", "GetObject"): maps + 1})
    beside += Counter({("s3", "HeadObject"): 1, ("s3", "ListObjectsV2"): 1})
    return Counter(used.requests) - beside


def _seconds() -> dict[str, float]:
    from workbench.cost import TABLE, read_prices

    return read_prices(TABLE.parent).assumptions


def priced() -> dict[str, Any]:
    """Requests and prices of runs that no emulator bears."""
    from workbench.cost import TABLE, bill, by_service, read_prices
    from workbench.usage import Workload

    prices = read_prices(Path(TABLE).parent)
    definition = _sync(Limits())
    bills = []
    for changes in LARGE_CHANGES:
        first = changes == LARGE_ROWS
        work = Workload(rows=LARGE_ROWS, first=first, **{"added" if first else "changed": changes})
        bills.append(bill(work, definition, prices, None))
    columns = ["", "quiet", "100,000 changed", "backfill"]
    shapes = [each.usage.shape for each in bills]
    rows: list[list[Any]] = [
        [title, *(getattr(shape, name) for shape in shapes)]
        for name, title in (
            ("differing", "partitions compared"),
            ("chunks", "chunks"),
            ("shares", "fan-out tasks"),
            ("calls", "calls to the destination"),
        )
    ]
    rows.append(["invocations", *(sum(each.usage.invocations.values()) for each in bills)])
    for service in sorted({name for each in bills for name, _ in each.usage.requests}):
        counts = [sum(n for (name, _), n in each.usage.requests.items() if name == service) for each in bills]
        rows.append([f"requests to {service}", *counts])
    costs = [by_service(each.run) for each in bills]
    for service in sorted({name for cost in costs for name in cost}):
        rows.append([f"{service}, USD", *(f"{cost.get(service, 0.0):.4f}" for cost in costs)])
    rows.append(["**all, USD**", *(f"{sum(cost.values()):.4f}" for cost in costs)])
    return {"table": {"columns": columns, "rows": rows}}
