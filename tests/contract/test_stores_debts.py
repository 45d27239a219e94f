from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from rowcast.errors import LockLost
from rowcast.models import Debt, Head, Run
from tests import aws_faults
from tests.contract.conftest import BUCKET, Stores

LAST = "f" * 32


def a_debt(number: int, **fields: Any) -> Debt:
    made = Debt(
        sync="orders",
        key_hash=f"{number:032x}",
        key=[number],
        operation="changed",
        accepted={"id": number, "price": Decimal("1.10"), "big": 10**30},
        sent={"id": number, "price": Decimal("2.50")},
        in_doubt=False,
        reason="Email not found",
        attempts=4,
        first_run="r1",
        last_run="r2",
    )
    return replace(made, **fields)


def incompressible(size: int, seed: int = 1) -> str:
    return random.Random(seed).randbytes(size // 2).hex()


@pytest.fixture
def head(stores: Stores) -> Head:
    taken = stores.state.take_lock(stores.state.head("orders"), "arn:execution:1")
    assert taken is not None
    return taken


def ledger(stores: Stores, first: str = "0" * 32, last: str = LAST) -> list[Debt]:
    return list(stores.debts.debts("orders", first, last))


def test_debts_come_back_exactly_in_order_of_their_hash(stores: Stores, head: Head) -> None:
    debts = [a_debt(3), a_debt(1, accepted=None, operation="added"), a_debt(2, sent=None, in_doubt=True)]
    stores.debts.book("orders", head.token, debts, [])
    assert ledger(stores) == [debts[1], debts[2], debts[0]]
    accepted = ledger(stores)[2].accepted
    assert accepted is not None
    assert (str(accepted["price"]), accepted["big"]) == ("1.10", 10**30)


def test_a_range_includes_both_of_its_ends(stores: Stores, head: Head) -> None:
    stores.debts.book("orders", head.token, [a_debt(number) for number in range(5)], [])
    assert [debt.key for debt in ledger(stores, f"{1:032x}", f"{3:032x}")] == [[1], [2], [3]]


def test_the_hashes_of_debts_come_alone_for_the_same_range_and_in_the_same_order(stores: Stores, head: Head) -> None:
    large = a_debt(3, accepted={"text": incompressible(1_000_000)})
    stores.debts.book("orders", head.token, [large, *(a_debt(number) for number in (4, 0, 2, 1))], [])
    assert list(stores.debts.key_hashes("orders", f"{1:032x}", f"{3:032x}")) == [f"{n:032x}" for n in (1, 2, 3)]
    assert list(stores.debts.key_hashes("orders", "0" * 32, LAST)) == [debt.key_hash for debt in ledger(stores)]
    assert list(stores.debts.key_hashes("orders-2", "0" * 32, LAST)) == []


def test_the_hashes_of_debts_are_read_without_their_bodies(aws: Stores) -> None:
    head = aws.state.take_lock(aws.state.head("orders"), "arn:execution:1")
    assert head is not None
    aws.debts.book("orders", head.token, [a_debt(1, accepted={"text": incompressible(1_000_000)})], [])
    read: list[str] = []
    aws.clients["s3"].meta.events.register("before-call.s3", lambda model, **_: read.append(model.name))
    assert list(aws.debts.key_hashes("orders", "0" * 32, LAST)) == [f"{1:032x}"]
    assert read == []


def test_debts_belong_to_one_sync(stores: Stores, head: Head) -> None:
    stores.debts.book("orders", head.token, [a_debt(1)], [])
    assert list(stores.debts.debts("orders-2", "0" * 32, LAST)) == []
    assert stores.debts.existing("orders-2", [f"{1:032x}"]) == set()


def test_existing_says_which_of_many_are_owed(stores: Stores, head: Head) -> None:
    stores.debts.book("orders", head.token, [a_debt(number) for number in range(0, 250, 2)], [])
    asked = [f"{number:032x}" for number in range(250)]
    assert stores.debts.existing("orders", [*asked, *asked]) == set(asked[::2])
    assert stores.debts.existing("orders", []) == set()


def test_booking_overwrites_and_deletes(stores: Stores, head: Head) -> None:
    stores.debts.book("orders", head.token, [a_debt(1), a_debt(2)], [])
    stores.debts.book("orders", head.token, [a_debt(1, attempts=9)], [f"{2:032x}", f"{3:032x}"])
    assert ledger(stores) == [a_debt(1, attempts=9)]


def test_booking_again_changes_nothing(stores: Stores, head: Head) -> None:
    for _ in range(2):
        stores.debts.book("orders", head.token, [a_debt(1)], [f"{2:032x}"])
    assert ledger(stores) == [a_debt(1)]


def test_hundreds_of_debts_are_booked_and_paid(stores: Stores, head: Head) -> None:
    debts = [a_debt(number) for number in range(250)]
    stores.debts.book("orders", head.token, debts, [])
    assert ledger(stores) == debts
    stores.debts.book("orders", head.token, [], [debt.key_hash for debt in debts])
    assert ledger(stores) == []


def test_a_key_named_twice_ends_as_named_last(stores: Stores, head: Head) -> None:
    stores.debts.book("orders", head.token, [a_debt(1), a_debt(1, attempts=9), a_debt(2)], [f"{2:032x}"])
    assert ledger(stores) == [a_debt(1, attempts=9)]


def test_a_stale_token_books_nothing(stores: Stores, head: Head) -> None:
    stores.debts.book("orders", head.token, [a_debt(1)], [])
    stores.state.take_lock(stores.state.head("orders"), "arn:execution:2")
    with pytest.raises(LockLost):
        stores.debts.book("orders", head.token, [a_debt(2)], [])
    with pytest.raises(LockLost):
        stores.debts.book("orders", head.token, [], [f"{1:032x}"])
    assert ledger(stores) == [a_debt(1)]


def test_booking_nothing_is_allowed(stores: Stores, head: Head) -> None:
    stores.debts.book("orders", head.token, [], [])
    assert ledger(stores) == []


def test_debts_of_more_than_a_transactions_size_are_booked(stores: Stores, head: Head) -> None:
    debts = [a_debt(number, accepted={"text": incompressible(500_000, number)}) for number in range(20)]
    stores.debts.book("orders", head.token, debts, [])
    assert ledger(stores) == debts


def test_a_debt_of_more_than_an_items_size_is_booked_changed_and_paid(stores: Stores, head: Head) -> None:
    for seed in (1, 2):
        debt = a_debt(1, accepted={"text": incompressible(1_000_000, seed)})
        stores.debts.book("orders", head.token, [debt], [])
        assert ledger(stores) == [debt]
    stores.debts.book("orders", head.token, [a_debt(1)], [])
    assert ledger(stores) == [a_debt(1)]
    stores.debts.book("orders", head.token, [], [a_debt(1).key_hash])
    assert ledger(stores) == []


def test_the_bodies_of_paid_debts_are_deleted(aws: Stores) -> None:
    head = aws.state.take_lock(aws.state.head("orders"), "arn:execution:1")
    assert head is not None
    large = a_debt(1, accepted={"text": incompressible(1_000_000)})
    aws.debts.book("orders", head.token, [large, a_debt(2)], [])
    aws.debts.book("orders", head.token, [large], [])
    assert aws.clients["s3"].list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    assert ledger(aws) == [large, a_debt(2)]
    aws.debts.book("orders", head.token, [], [large.key_hash])
    assert aws.clients["s3"].list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_why_a_row_is_owed_can_be_read_without_its_body(aws: Stores) -> None:
    head = aws.state.take_lock(aws.state.head("orders"), "arn:execution:1")
    assert head is not None
    aws.debts.book("orders", head.token, [a_debt(1, in_doubt=True)], [])
    (item,) = aws.clients["dynamodb"].scan(TableName="debts")["Items"]
    assert item["reason"]["S"] == "Email not found"
    assert (item["outcome"]["S"], item["operation"]["S"], item["attempts"]["N"]) == ("in_doubt", "changed", "4")


def test_a_booking_whose_reply_is_lost_succeeds(aws: Stores) -> None:
    head = aws.state.take_lock(aws.state.head("orders"), "arn:execution:1")
    assert head is not None
    aws_faults.lose_reply(aws.clients["dynamodb"], "TransactWriteItems")
    aws.debts.book("orders", head.token, [a_debt(1)], [])
    assert ledger(aws) == [a_debt(1)]


def test_keys_that_dynamodb_left_unread_are_asked_for_again(aws: Stores) -> None:
    head = aws.state.take_lock(aws.state.head("orders"), "arn:execution:1")
    assert head is not None
    aws.debts.book("orders", head.token, [a_debt(number) for number in range(9)], [])
    aws_faults.leave_keys_unread(aws.clients["dynamodb"], times=2)
    asked = [f"{number:032x}" for number in range(9)]
    assert aws.debts.existing("orders", asked) == set(asked)


def test_the_lock_that_fences_debts_is_taken_while_a_run_is_open_too(stores: Stores, head: Head) -> None:
    run = Run(sync="orders", run="r1", generation=0, execution="e", definition="d", started_at=1.0)
    stores.state.begin(run, head.token)
    stores.debts.book("orders", head.token, [a_debt(1)], [])
    assert ledger(stores) == [a_debt(1)]
