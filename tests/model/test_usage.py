"""The estimate of `rowcast cost` against the calls that real runs make: real handlers and adapters, over moto."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest

from rowcast.definition import Definition, LambdaDestination, Limits, Rate, Trigger, Triggers
from tests.model.aws_world import MESSAGE, aws_world
from tests.model.counting import Counting
from tests.world import ALL_ON, sync_definition
from workbench import usage
from workbench.cost import TABLE, read_prices

ROWS = 260
TOLERANCE = 0.05
SECONDS = read_prices(TABLE.parent).assumptions
ESTIMATED = {
    ("dynamodb", "GetItem"), ("dynamodb", "Query"), ("dynamodb", "PutItem"), ("dynamodb", "UpdateItem"),
    ("dynamodb", "TransactWriteItems"), ("s3", "PutObject"), ("s3", "GetObject"), ("s3", "HeadObject"),
    ("s3", "ListObjectsV2"), ("events", "PutEvents"), ("lambda", "Invoke"), ("sqs", "ReceiveMessage"),
}  # fmt: skip
TO_LAMBDA = Triggers(added=Trigger(), changed=Trigger(), removed=Trigger())
SYNCS = {
    "events": sync_definition(message=MESSAGE, limits=Limits(concurrency=1, rows_per_partition=70)),
    "rated": sync_definition(
        message=MESSAGE, triggers=ALL_ON, limits=Limits(concurrency=1, rate=Rate(count=10_000, seconds=1))
    ),
    "function": sync_definition(
        message=MESSAGE,
        triggers=TO_LAMBDA,
        destination=LambdaDestination(function="welcome", batch_size=7),
        limits=Limits(concurrency=1, rows_per_partition=150),
    ),
}


@pytest.fixture(params=sorted(SYNCS))
def counting(request: pytest.FixtureRequest) -> Iterator[Counting]:
    with aws_world(SYNCS[request.param], short=True) as world:
        yield Counting(world, ROWS)


def expected(work: usage.Workload, definition: Definition) -> tuple[usage.Usage, Counter[tuple[str, str]]]:
    """Without what only Step Functions and a source of files ask of S3, which the world does not have."""
    used = usage.usage(work, definition, SECONDS)
    maps = (used.shape.differing > 0) + (used.shape.chunks > 0)
    beside = Counter({("s3", "PutObject"): 3 * maps, ("s3", "GetObject"): maps + 1})
    beside += Counter({("s3", "HeadObject"): 1, ("s3", "ListObjectsV2"): 1})
    return used, Counter(used.requests) - beside


def agrees(counting: Counting, **work: Any) -> None:
    used, calls = expected(
        usage.Workload(rows=ROWS, row_bytes=120, message_bytes=250, **work), counting.world.definition
    )
    assert dict(counting.invocations) == {name: count for name, count in used.invocations.items() if count}
    for name in ESTIMATED:
        slack = used.shape.partitions if name[0] in ("events", "lambda") else 1  # keys do not spread quite evenly
        assert calls[name] == pytest.approx(counting.calls[name], rel=TOLERANCE, abs=slack), name


def test_a_first_and_a_quiet_run_make_the_calls_that_are_estimated(counting: Counting) -> None:
    summary = counting.run()
    agrees(counting, added=summary["added"], first=True)
    counting.run()
    agrees(counting)


def test_later_runs_make_the_calls_that_are_estimated() -> None:
    with aws_world(SYNCS["events"], short=True) as world:
        counting = Counting(world, ROWS)
        for _ in range(usage.KEPT_SNAPSHOTS + 1):
            counting.run()
            counting.change(120)
        summary = counting.run()
        agrees(counting, changed=summary["changed"])


def test_the_chunks_of_a_run_take_the_write_units_that_are_estimated() -> None:
    """Chunks are what grows with the changes. Their bytes hang on how well rows compress: within a third."""
    with aws_world(SYNCS["events"], short=True) as world:
        counting = Counting(world, ROWS)
        counting.run()
        items = world.client("dynamodb").scan(TableName="changes")["Items"]
    units = sum(ceil(len(item["body"]["B"]) / 1024) for item in items if item["sk"]["S"].startswith("chunk#"))
    row_bytes = len(str(world.source.rows[0]))
    shape = usage.shape(usage.Workload(rows=ROWS, added=ROWS, row_bytes=row_bytes, first=True), SYNCS["events"])
    assert shape.chunks * shape.chunk_bytes / 1024 == pytest.approx(units, rel=1 / 3)
