"""That the limits bite where moto alone would be too kind."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests import aws_limits
from tests.contract.conftest import Stores, client_of

MIB = 1024 * 1024


def item(sk: str, size: int = 0) -> dict[str, Any]:
    return {"pk": {"S": "p"}, "sk": {"S": sk}, "body": {"B": b"x" * size}}


def put(sk: str, size: int = 0) -> dict[str, Any]:
    return {"Put": {"TableName": "debts", "Item": item(sk, size)}}


def entry(**changes: Any) -> dict[str, Any]:
    return {"Source": "s", "DetailType": "d", "Detail": "{}", "EventBusName": "default", **changes}


@pytest.fixture
def events(aws: Stores) -> Any:
    return aws_limits.enforce(client_of("events"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Source": "aws.s3"}, "NotAuthorizedForSourceException"),
        ({"DetailType": "d" * 129}, "InvalidArgument"),
        ({"Detail": "[]"}, "MalformedDetail"),
        ({"Detail": '{"a": NaN}'}, "MalformedDetail"),
        ({"Detail": "{"}, "MalformedDetail"),
    ],
)
def test_an_entry_that_eventbridge_refuses_is_refused_alone(events: Any, changes: dict[str, Any], code: str) -> None:
    reply = events.put_events(Entries=[entry(), entry(**changes), entry()])
    assert [answer.get("ErrorCode") for answer in reply["Entries"]] == [None, code, None]
    assert reply["FailedEntryCount"] == 1
    alone = events.put_events(Entries=[entry(**changes)])
    assert (alone["FailedEntryCount"], alone["Entries"][0]["ErrorCode"]) == (1, code)


def test_an_entry_to_a_bus_that_does_not_exist_is_lost_in_silence(events: Any) -> None:
    reply = events.put_events(Entries=[entry(EventBusName="nowhere")])
    assert reply["FailedEntryCount"] == 0
    assert reply["Entries"][0]["EventId"]


@pytest.mark.parametrize("entries", [[entry(Detail='{"a": "' + "x" * MIB + '"}')], [entry()] * 11])
def test_a_call_over_the_size_or_count_is_refused(events: Any, entries: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        events.put_events(Entries=entries)


def test_the_total_of_the_entries_stays_below_one_megabyte(events: Any) -> None:
    room = MIB - aws_limits.entry_bytes(entry(Detail='{"a":""}')) * 2 - 1
    half = [entry(Detail='{"a":"' + "x" * size + '"}') for size in (room // 2, room - room // 2)]
    assert events.put_events(Entries=half)["FailedEntryCount"] == 0
    half[0]["Detail"] = '{"a":"' + "x" * (room // 2 + 1) + '"}'
    with pytest.raises(ClientError, match="ValidationException"):
        events.put_events(Entries=half)


def test_dynamodb_refuses_what_is_too_large_or_too_many(aws: Stores) -> None:
    client = aws.clients["dynamodb"]
    refused = [
        lambda: client.put_item(TableName="debts", Item=item("a", 401 * 1024)),
        lambda: client.transact_write_items(TransactItems=[put(str(number)) for number in range(101)]),
        lambda: client.transact_write_items(TransactItems=[put(str(number), 390 * 1024) for number in range(11)]),
        lambda: client.transact_write_items(TransactItems=[put("a"), put("a")]),
        lambda: client.batch_write_item(
            RequestItems={"debts": [{"PutRequest": {"Item": item(str(number))}} for number in range(26)]}
        ),
        lambda: client.batch_get_item(
            RequestItems={"debts": {"Keys": [{"pk": {"S": "p"}, "sk": {"S": str(n)}} for n in range(101)]}}
        ),
    ]
    for call in refused:
        with pytest.raises(ClientError, match="ValidationException"):
            call()


def test_sqs_refuses_large_batches_and_characters_outside_xml(aws: Stores) -> None:
    client, url = aws.clients["sqs"], aws.clients["queue_url"]
    half = [{"Id": str(number), "MessageBody": "x" * (MIB // 2 + 1)} for number in range(2)]
    with pytest.raises(ClientError, match="BatchRequestTooLong"):
        client.send_message_batch(QueueUrl=url, Entries=half)
    with pytest.raises(ClientError, match="TooManyEntries"):
        client.send_message_batch(
            QueueUrl=url, Entries=[{"Id": str(number), "MessageBody": "x"} for number in range(11)]
        )
    with pytest.raises(ClientError, match="InvalidMessageContents"):
        client.send_message(QueueUrl=url, MessageBody="\x00")


@pytest.mark.usefixtures("aws")
def test_lambda_refuses_payloads_over_six_megabytes() -> None:
    client = aws_limits.enforce(client_of("lambda"))
    with pytest.raises(ClientError, match="RequestTooLarge"):
        client.invoke(FunctionName="f", Payload=b"x" * (aws_limits.INVOKE_BYTES + 1))
