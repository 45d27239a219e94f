from __future__ import annotations

import random
import zlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from rowcast.chunks import Layout, WrittenChunk
from rowcast.errors import LockLost, RunFailed
from rowcast.models import Change, Chunk, ChunkState, Counts, DebtOrigin, Outcome, PartitionResult, to_json
from tests import aws_faults
from tests.contract.conftest import BUCKET, Stores

ROW = {
    "id": 12345678901234567,
    "big": 10**30,
    "price": Decimal("1.10"),
    "tiny": Decimal("1E-40"),
    "text": 'Ünïcode "quoted"\n\x00',
    "none": None,
    "flag": True,
    "nested": {"a": [1, Decimal("2.50"), None], "": "empty"},
}


def a_chunk(chunk: str = "c1", run: str = "r1", sync: str = "orders", **row: object) -> Chunk:
    debt = DebtOrigin(in_doubt=True, attempts=2, first_run="r0")
    change = Change(
        operation="changed", key=[1], key_hash="0" * 32, id="x", columns=["price"], before=ROW, after={**ROW, **row}
    )
    return Chunk(sync=sync, run=run, id=chunk, changes=[change, replace(change, debt=debt)], settled=["f" * 32])


def outcome(name: str = "accepted", reason: str = "") -> Outcome:
    return Outcome(outcome=name, reason=reason, attempts=1)  # type: ignore[arg-type]


def incompressible(size: int) -> str:
    return random.Random(1).randbytes(size // 2).hex()


def claim(stores: Stores, name: str, token: int = 1, deadline: float = 100.5) -> ChunkState | None:
    return stores.changes.claim("orders", "r1", "c1", token, name, deadline)


def state(claim: str, token: int = 1, deadline: float = 100.5, **fields: object) -> ChunkState:
    return ChunkState(chunk="c1", token=token, claim=claim, deadline=deadline, **fields)  # type: ignore[arg-type]


def test_a_chunk_comes_back_exactly(stores: Stores) -> None:
    stores.changes.put_chunk(a_chunk())
    assert stores.changes.chunk("orders", "r1", "c1") == a_chunk()


@pytest.mark.parametrize("number", ["1e1000000000000000000", "9" * 5000, "-1.5E-99999999999999999999"])
def test_a_number_that_nothing_can_read_comes_back_as_its_text(stores: Stores, number: str) -> None:
    whole = a_chunk(odd=None)
    change = to_json(a_chunk(odd=[None, "1e9999999999999999999", Decimal("1.10")]).changes[0])
    odd = change.replace(b'"odd":[null,', b'"odd":[' + number.encode() + b",")
    layout = Layout(key=[], before=[], after=[])
    stores.changes.put_chunk(
        WrittenChunk(
            sync="orders",
            run="r1",
            id="c1",
            operation="changed",
            layout=layout,
            destination="d",
            generation=0,
            changes=[msgspec.Raw(odd), msgspec.Raw(to_json(whole.changes[1]))],
            table=None,
        )
    )
    first, second = stores.changes.chunk("orders", "r1", "c1").changes
    assert first.row == {**ROW, "odd": [number, "1e9999999999999999999", Decimal("1.10")]}
    assert second == whole.changes[1]


def test_numbers_keep_their_digits(stores: Stores) -> None:
    stores.changes.put_chunk(a_chunk())
    row = stores.changes.chunk("orders", "r1", "c1").changes[0].row
    assert [str(row[name]) for name in ("id", "big", "price", "tiny")] == [
        "12345678901234567",
        str(10**30),
        "1.10",
        "1E-40",
    ]


def test_the_first_of_two_chunks_with_one_id_stands(stores: Stores) -> None:
    stores.changes.put_chunk(a_chunk(text="first"))
    stores.changes.put_chunk(a_chunk(text="second"))
    assert stores.changes.chunk("orders", "r1", "c1").changes[0].row["text"] == "first"


def test_chunks_of_other_runs_and_syncs_are_others(stores: Stores) -> None:
    stores.changes.put_chunk(a_chunk(text="here"))
    stores.changes.put_chunk(a_chunk(run="r2", text="there"))
    stores.changes.put_chunk(a_chunk(sync="orders-2", text="elsewhere"))
    assert stores.changes.chunk("orders", "r1", "c1").changes[0].row["text"] == "here"


def test_a_chunk_that_is_gone_fails_the_run(stores: Stores) -> None:
    with pytest.raises(RunFailed, match="c9"):
        stores.changes.chunk("orders", "r1", "c9")


def test_a_chunk_of_more_than_an_items_size_comes_back(stores: Stores) -> None:
    chunk = a_chunk(text=incompressible(2_000_000))
    stores.changes.put_chunk(chunk)
    stores.changes.put_chunk(chunk)
    assert stores.changes.chunk("orders", "r1", "c1") == chunk


def test_the_first_of_two_results_of_a_partition_stands(stores: Stores) -> None:
    first = PartitionResult(partition=0, chunks=["a"], counts=Counts(added=1))
    stores.changes.put_result("orders", "r1", first)
    stores.changes.put_result("orders", "r1", PartitionResult(partition=0, chunks=["b"], counts=Counts()))
    assert stores.changes.results("orders", "r1") == [first]


def test_results_come_in_order_of_their_partitions(stores: Stores) -> None:
    results = [
        PartitionResult(partition=i, chunks=[f"c{i}"], counts=Counts(added=i), changed_rows=1, settled=2)
        for i in (10, 2, 0)
    ]
    for result in [*results, results[0]]:
        stores.changes.put_result("orders", "r1", result)
    assert stores.changes.results("orders", "r1") == list(reversed(results))
    assert stores.changes.results("orders", "r") == []


def test_the_first_claim_finds_nothing_before_it(stores: Stores) -> None:
    assert claim(stores, "a") is None
    assert list(stores.changes.states("orders", "r1")) == [state("a")]


def test_a_later_claim_takes_over_and_answers_what_was_recorded(stores: Stores) -> None:
    claim(stores, "a")
    recorded = state("a", outcomes=[outcome(), None], doubted=[False, True], attempts={1: 3}, owed=1)
    stores.changes.record("orders", "r1", recorded)
    assert claim(stores, "b", token=2, deadline=200.0) == recorded
    taken_over = replace(recorded, token=2, claim="b", deadline=200.0)
    assert list(stores.changes.states("orders", "r1")) == [taken_over]


def test_a_claim_that_is_repeated_answers_the_same(stores: Stores) -> None:
    assert claim(stores, "a") is None
    assert claim(stores, "a") is None
    stores.changes.record("orders", "r1", state("a", paused=True, outcomes=[None]))
    first = claim(stores, "b", token=2)
    assert first == state("a", paused=True, outcomes=[None])
    assert claim(stores, "b", token=2) == first


def test_a_pause_ends_with_the_next_claim(stores: Stores) -> None:
    claim(stores, "a")
    stores.changes.record("orders", "r1", state("a", paused=True, outcomes=[None]))
    claim(stores, "b")
    third = claim(stores, "c")
    assert third is not None
    assert not third.paused


def test_a_chunk_that_is_done_is_not_claimed(stores: Stores) -> None:
    claim(stores, "a")
    done = state("a", done=True, outcomes=[outcome("rejected", "no such customer")])
    stores.changes.record("orders", "r1", done)
    assert claim(stores, "b", token=2) == done
    assert list(stores.changes.states("orders", "r1")) == [done]


def test_an_older_token_claims_nothing(stores: Stores) -> None:
    claim(stores, "a", token=2)
    with pytest.raises(LockLost):
        claim(stores, "b", token=1)
    stores.changes.record("orders", "r1", state("a", token=2, done=True))
    with pytest.raises(LockLost):
        claim(stores, "b", token=1)


def test_a_worker_whose_claim_was_taken_records_nothing(stores: Stores) -> None:
    claim(stores, "a")
    claim(stores, "b")
    with pytest.raises(LockLost):
        stores.changes.record("orders", "r1", state("a", done=True))
    with pytest.raises(LockLost):
        stores.changes.record("orders", "r2", state("a", done=True))
    assert [found.done for found in stores.changes.states("orders", "r1")] == [False]


def test_progress_is_recorded_over_and_over(stores: Stores) -> None:
    claim(stores, "a")
    for recorded in (state("a", outcomes=[None, None]), state("a", outcomes=[outcome(), None], paid=1)):
        stores.changes.record("orders", "r1", recorded)
        assert list(stores.changes.states("orders", "r1")) == [recorded]


def test_progress_of_more_than_an_items_size_is_recorded(stores: Stores) -> None:
    claim(stores, "a")
    for reason in (incompressible(1_000_000), "short", incompressible(900_000)):
        recorded = state("a", outcomes=[outcome("rejected", reason)])
        stores.changes.record("orders", "r1", recorded)
        assert list(stores.changes.states("orders", "r1")) == [recorded]


def test_a_booked_chunk_stays_booked(stores: Stores) -> None:
    claim(stores, "a")
    stores.changes.record("orders", "r1", state("a", done=True, outcomes=[outcome()]))
    stores.changes.mark_booked("orders", "r1", "c1")
    stores.changes.record("orders", "r1", state("a", done=True, outcomes=[outcome()]))
    assert [found.booked for found in stores.changes.states("orders", "r1")] == [True]


def test_states_come_in_order_of_their_chunks(stores: Stores) -> None:
    for chunk in ("c2", "c1", "c3"):
        stores.changes.claim("orders", "r1", chunk, 1, "a", 1.0)
        stores.changes.put_chunk(a_chunk(chunk))
    assert [found.chunk for found in stores.changes.states("orders", "r1")] == ["c1", "c2", "c3"]
    assert [found.chunk for found in stores.changes.states("orders", "r1", "c2")] == ["c2"]


def test_many_states_and_results_come_over_several_pages(stores: Stores) -> None:
    reason = incompressible(150_000)
    for index in range(12):
        name = f"c{index:02d}"
        stores.changes.claim("orders", "r1", name, 1, "a", 1.0)
        recorded = ChunkState(chunk=name, token=1, claim="a", deadline=1.0, outcomes=[outcome("rejected", reason)])
        stores.changes.record("orders", "r1", recorded)
        result = PartitionResult(partition=index, chunks=[reason], counts=Counts())
        stores.changes.put_result("orders", "r1", result)
    assert len(list(stores.changes.states("orders", "r1"))) == 12
    assert len(stores.changes.results("orders", "r1")) == 12


def test_a_claim_whose_reply_is_lost_still_answers_what_was_before(aws: Stores) -> None:
    claim(aws, "a")
    aws.changes.record("orders", "r1", state("a", outcomes=[None], doubted=[True]))
    aws_faults.lose_reply(aws.clients["dynamodb"], "UpdateItem")
    assert claim(aws, "b", token=2) == state("a", outcomes=[None], doubted=[True])


def test_a_large_chunk_whose_first_writer_died_before_its_item_is_written_by_the_second(aws: Stores) -> None:
    aws_faults.answer_error(aws.clients["dynamodb"], "PutItem", "InternalServerError", 500)
    chunk = a_chunk(text=incompressible(1_000_000))
    with pytest.raises(Exception, match="InternalServerError"):
        aws.changes.put_chunk(chunk)
    aws.changes.put_chunk(chunk)
    assert aws.changes.chunk("orders", "r1", "c1") == chunk
    keys = [item["Key"] for item in aws.clients["s3"].list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert keys == ["overflow/orders/r1/c1.z"]


def test_what_a_run_wrote_expires_after_30_days(aws: Stores) -> None:
    aws.changes.put_chunk(a_chunk())
    aws.changes.put_result("orders", "r1", PartitionResult(partition=0, chunks=[], counts=Counts()))
    claim(aws, "a")
    items = aws.clients["dynamodb"].scan(TableName="changes")["Items"]
    assert [int(item["expires_at"]["N"]) for item in items] == [int(aws.clock.now()) + 30 * 86_400] * 3


def stored(aws: Stores, chunk: str) -> dict[str, Any]:
    found = aws.clients["dynamodb"].scan(TableName="changes")["Items"]
    (item,) = (one for one in found if one["sk"]["S"] == f"chunk#{chunk}")
    return dict(item)


def test_chunks_of_two_partitions_share_no_key_that_dynamodb_could_throttle(aws: Stores) -> None:
    for name in ("00000-000000", "00000-000001", "00001-000000"):
        aws.changes.put_chunk(a_chunk(name))
    assert stored(aws, "00000-000000")["pk"] == stored(aws, "00000-000001")["pk"] == {"S": "orders#r1#00000"}
    assert stored(aws, "00001-000000")["pk"] == {"S": "orders#r1#00001"}


def test_a_chunk_that_an_earlier_release_wrote_is_found(aws: Stores) -> None:
    aws.changes.put_chunk(a_chunk("00000-000000"))
    item = stored(aws, "00000-000000")
    aws.clients["dynamodb"].delete_item(TableName="changes", Key={name: item[name] for name in ("pk", "sk")})
    aws.clients["dynamodb"].put_item(TableName="changes", Item={**item, "pk": {"S": "orders#r1"}})
    assert aws.changes.chunk("orders", "r1", "00000-000000") == a_chunk("00000-000000")


def test_progress_that_an_earlier_release_recorded_is_read(aws: Stores) -> None:
    claim(aws, "a")
    earlier = to_json({"chunk": "c1", "token": 1, "claim": "a", "deadline": 100.5, "outcomes": [None, None]})
    aws.clients["dynamodb"].update_item(
        TableName="changes",
        Key={"pk": {"S": "orders#r1"}, "sk": {"S": "state#c1"}},
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": {"B": zlib.compress(earlier)}},
    )
    assert claim(aws, "b") == state("a", outcomes=[None, None], attempts={})
