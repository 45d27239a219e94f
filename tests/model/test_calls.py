"""How many AWS calls runs make: real handlers and adapters over moto. Counts never vary, so they are exact."""

from __future__ import annotations

import pytest

from rowcast.definition import Limits
from tests.model.aws_world import MESSAGE, aws_world
from tests.model.counting import Counting
from tests.world import sync_definition

SYNC = sync_definition(message=MESSAGE, limits=Limits(concurrency=1, rows_per_partition=100))
QUIET = {
    ("ssm", "GetParameter"): 1,
    ("events", "DescribeEventBus"): 1,
    ("dynamodb", "GetItem"): 15,
    ("dynamodb", "UpdateItem"): 2,
    ("dynamodb", "TransactWriteItems"): 5,
    ("s3", "GetObject"): 6,
    ("s3", "HeadObject"): 1,
    ("s3", "PutObject"): 1,
    ("sqs", "ReceiveMessage"): 3,
}


@pytest.mark.parametrize("rows", [300, 1500])
def test_a_run_without_changes_makes_the_same_few_calls_however_many_rows_there_are(rows: int) -> None:
    with aws_world(SYNC, short=True) as world:
        counting = Counting(world, rows)
        counting.run()
        counting.run()
        assert dict(counting.calls) == QUIET
        assert dict(counting.invocations) == {"open": 1, "snapshot": 1, "seal": 1, "commit": 1}


def test_what_a_run_writes_grows_with_chunks_and_partitions_and_not_with_rows() -> None:
    """A chunk: the item and its overflow, its claim and its outcomes. A partition: its file and its result."""
    limits = Limits(concurrency=1, rows_per_partition=1000)
    with aws_world(sync_definition(message=MESSAGE, limits=limits), short=True) as world:
        counting = Counting(world, 900)
        counting.run()
        chunks, partitions, calls = 5, 1, 90
        assert counting.calls["events", "PutEvents"] == calls
        assert counting.calls["dynamodb", "PutItem"] == chunks + partitions
        assert counting.calls["dynamodb", "UpdateItem"] == 2 * chunks + 2
        assert counting.calls["s3", "PutObject"] == chunks + 2 * partitions + 4  # pin, manifest, two lists of work


def test_a_fan_out_task_sends_several_chunks_where_there_are_many() -> None:
    with aws_world(SYNC, short=True) as world:
        counting = Counting(world, 1600)
        counting.run()
        assert counting.calls["dynamodb", "PutItem"] == 16 + 16  # chunks and results
        assert counting.invocations["publish"] == 4
        assert counting.calls["sts", "AssumeRole"] == 1
