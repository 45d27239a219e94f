from __future__ import annotations

import pytest

from rowcast.errors import RunFailed
from rowcast.models import Notice
from tests import aws_faults
from tests.contract.conftest import Stores


def a_notice(chunk: str = "c1", hashes: int = 2) -> Notice:
    return Notice(sync="orders", run="r1", chunk=chunk, key_hashes=[f"{number:032x}" for number in range(hashes)])


def received(stores: Stores) -> list[Notice | None]:
    return [notice for _, notice in stores.queue.receive()]


def test_notices_arrive(stores: Stores) -> None:
    stores.queue.send([a_notice()])
    assert received(stores) == [a_notice()]


def test_an_empty_queue_gives_nothing(stores: Stores) -> None:
    stores.queue.send([])
    assert received(stores) == []


def test_many_notices_arrive_each(stores: Stores) -> None:
    notices = [a_notice(f"c{number}") for number in range(35)]
    stores.queue.send(notices)
    assert {notice.chunk for notice in received(stores) if notice} == {notice.chunk for notice in notices}


def test_a_batch_of_large_notices_arrives(stores: Stores) -> None:
    stores.queue.send([a_notice(f"c{number}", hashes=1_900) for number in range(40)])
    assert len(received(stores)) == 40


def test_a_notice_of_very_many_debts_arrives_whole(stores: Stores) -> None:
    stores.queue.send([a_notice(hashes=50_000)])
    found = {key_hash for notice in received(stores) if notice for key_hash in notice.key_hashes}
    assert found == set(a_notice(hashes=50_000).key_hashes)


def test_a_body_that_is_no_notice_is_given_as_none(stores: Stores) -> None:
    stores.put_foreign_message()
    assert received(stores) == [None]


def test_deleted_messages_do_not_come_again(stores: Stores) -> None:
    stores.queue.send([a_notice(f"c{number}") for number in range(12)])
    stores.queue.delete([receipt for receipt, _ in stores.queue.receive()])
    stores.queue.delete([])
    assert received(stores) == []


def test_a_quarantined_message_moves(stores: Stores) -> None:
    stores.queue.send([a_notice()])
    ((receipt, _),) = stores.queue.receive()
    stores.queue.quarantine(receipt)
    assert stores.quarantined() == [a_notice()]
    assert received(stores) == []


def test_only_a_received_message_can_be_quarantined(stores: Stores) -> None:
    with pytest.raises(RunFailed):
        stores.queue.quarantine("no such receipt")


def test_entries_that_sqs_did_not_take_are_sent_again(aws: Stores) -> None:
    aws_faults.fail_entries(aws.clients["sqs"], "SendMessageBatch", "1", "2")
    aws.queue.send([a_notice(f"c{number}") for number in range(5)])
    assert sorted(notice.chunk for notice in received(aws) if notice) == [f"c{number}" for number in range(5)]


def test_entries_that_sqs_never_takes_fail_the_step(aws: Stores) -> None:
    aws_faults.fail_entries(aws.clients["sqs"], "SendMessageBatch", "1", times=99)
    with pytest.raises(RunFailed, match="InternalError"):
        aws.queue.send([a_notice("a"), a_notice("b")])


def test_entries_that_sqs_calls_wrong_are_not_sent_again(aws: Stores) -> None:
    aws_faults.fail_entries(aws.clients["sqs"], "SendMessageBatch", "1", sender_fault=True)
    with pytest.raises(RunFailed, match="1 messages"):
        aws.queue.send([a_notice("a"), a_notice("b")])
    assert aws.clock.slept == []


def test_deletions_that_failed_are_repeated(aws: Stores) -> None:
    aws.queue.send([a_notice("a"), a_notice("b")])
    aws_faults.fail_entries(aws.clients["sqs"], "DeleteMessageBatch", "0")
    aws.queue.delete([receipt for receipt, _ in aws.queue.receive()])
    attributes = aws.clients["sqs"].get_queue_attributes(
        QueueUrl=aws.clients["queue_url"], AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )
    assert attributes["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_message_that_keeps_coming_back_does_not_hold_the_run_up(aws: Stores) -> None:
    aws.clients["sqs"].set_queue_attributes(QueueUrl=aws.clients["queue_url"], Attributes={"VisibilityTimeout": "0"})
    aws.queue.send([a_notice()])
    assert a_notice() in received(aws)
