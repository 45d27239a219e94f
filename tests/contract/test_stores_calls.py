from __future__ import annotations

from decimal import Decimal

import msgspec

from rowcast.ports import CallRecord
from tests.contract.conftest import Stores


def a_call(call: str = "c1-1", **reply: object) -> CallRecord:
    return CallRecord(
        sync="orders",
        run="r1",
        chunk="c1",
        call=call,
        attempt=1,
        started_at=1.5,
        seconds=0.25,
        request={"rows": [{"price": Decimal("1.10"), "text": 'line\nbreak\u2028"'}]},
        reply=reply,
        error="",
        change_ids=["x"],
        keys=[[1, "a"]],
        outcomes=["accepted"],
    )


def test_call_records_come_back_exactly(stores: Stores) -> None:
    records = [a_call("1", errors=[]), a_call("2")]
    stores.calls.put("orders", "r1", "c1", "claim", records)
    assert list(stores.calls.calls("orders", "r1")) == records


def test_calls_of_every_claim_and_chunk_of_the_run_alone_are_listed(stores: Stores) -> None:
    for chunk, claim in (("c1", "a"), ("c1", "b"), ("c2", "a")):
        stores.calls.put("orders", "r1", chunk, claim, [a_call(f"{chunk}{claim}")])
    stores.calls.put("orders", "r10", "c1", "a", [a_call("other run")])
    stores.calls.put("orders-2", "r1", "c1", "a", [a_call("other sync")])
    assert [call.call for call in stores.calls.calls("orders", "r1")] == ["c1a", "c1b", "c2a"]


def test_a_claims_last_put_stands(stores: Stores) -> None:
    stores.calls.put("orders", "r1", "c1", "a", [a_call("1")])
    stores.calls.put("orders", "r1", "c1", "a", [a_call("1"), a_call("2")])
    assert [call.call for call in stores.calls.calls("orders", "r1")] == ["1", "2"]


def test_a_request_that_is_json_already_is_stored_as_it_is(stores: Stores) -> None:
    record = a_call()
    record.request = msgspec.Raw(b'{"price": 1.10}')
    stores.calls.put("orders", "r1", "c1", "a", [record])
    (found,) = stores.calls.calls("orders", "r1")
    assert found.request == {"price": Decimal("1.10")}


def test_the_names_under_which_calls_of_a_sync_are_kept_are_listed(aws: Stores) -> None:
    for sync, run in (("orders", "r1"), ("orders", "test-r2"), ("orders-2", "r3")):
        aws.calls.put(sync, run, "c", "claim", [a_call()])
    assert aws.calls.runs("orders") == ["r1", "test-r2"]  # type: ignore[attr-defined]
    assert aws.calls.runs("nobody") == []  # type: ignore[attr-defined]
