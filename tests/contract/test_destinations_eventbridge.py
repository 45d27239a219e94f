from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from rowcast.definition import Trigger, Triggers
from rowcast.destinations.eventbridge import BYTES, EventBridge
from rowcast.errors import DestinationRefused, Throttled
from rowcast.models import from_json
from rowcast.ports import MessageToSend
from tests import aws_faults
from tests.aws_limits import enforce
from tests.contract.conftest import Stores, client_of, send
from tests.contract.test_destinations import a_bridge, a_message

TRIGGERS = Triggers(
    added=Trigger(bus="orders", source="com.shop", detail_type="Order placed"),
    removed=Trigger(bus="audit", source="com.shop.audit", detail_type="Order deleted"),
)


@pytest.fixture
def events(aws: Stores) -> Any:
    client = enforce(client_of("events"))
    for bus in ("orders", "audit"):
        client.create_event_bus(Name=bus)
    return client


@pytest.fixture
def bridge(events: Any) -> EventBridge:
    return a_bridge(events, TRIGGERS)


def with_body(body: bytes) -> MessageToSend:
    message = a_message()
    message.body = body
    return message


def entries_sent(bridge: EventBridge, batch: Sequence[MessageToSend]) -> Any:
    """As the call's record holds them, which is what went over the wire."""
    return from_json(send(bridge, batch, "b1", 1).request)["Entries"]


def kinds(bridge: EventBridge, *messages: MessageToSend) -> list[str]:
    return [verdict.kind for verdict in send(bridge, messages, "b1", 1).verdicts]


def test_an_entry_is_as_its_trigger_says_and_carries_its_origin_as_resources(bridge: EventBridge) -> None:
    result = send(bridge, [a_message(operation="removed")], "b1", 1)
    assert from_json(result.request) == {
        "Entries": [
            {
                "EventBusName": "audit",
                "Source": "com.shop.audit",
                "DetailType": "Order deleted",
                "Time": 1_760_000_000.0,
                "Resources": [
                    "rowcast:sync/orders",
                    "rowcast:run/r1",
                    "rowcast:operation/removed",
                    "rowcast:change/change-1",
                ],
                "Detail": '{"id": 1, "padding": ""}',
            }
        ]
    }
    assert list(result.reply["Entries"][0]) == ["EventId"]


def test_the_detail_arrives_to_the_byte(bridge: EventBridge, events: Any) -> None:
    body = '{"price": 1.10, "big": 123456789012345678901234567890, "name": "Zoë 😀"}'
    assert entries_sent(bridge, [with_body(body.encode())])[0]["Detail"] == body


def bytes_of(entry: dict[str, Any]) -> int:
    """As AWS counts them: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html"""
    texts = [entry["Source"], entry["DetailType"], entry["Detail"], *entry["Resources"]]
    return 14 + sum(len(text.encode()) for text in texts)


@pytest.mark.parametrize("name", ["com.shop", "ä 😀"])
def test_the_largest_event_is_below_the_limit_and_one_byte_more_is_impossible(events: Any, name: str) -> None:
    bridge = a_bridge(events, Triggers(added=Trigger(bus="orders", source=name, detail_type=name)))
    empty = entries_sent(bridge, [a_message()])[0]
    most = BYTES - bytes_of(empty)
    batches, _ = bridge.batches([a_message(1, size=most)])
    assert kinds(bridge, *batches[0]) == ["accepted"]
    _, impossible = bridge.batches([a_message(1, size=most + 1)])
    assert "1,048,576" in impossible[0][1]


@pytest.mark.parametrize("body", [b"[1]", b'"text"', b"null", b"1", b"", b'{"a": NaN}', b'{"a": 1', b"{} {}"])
def test_a_message_that_is_no_json_object_is_impossible(bridge: EventBridge, body: bytes) -> None:
    batches, impossible = bridge.batches([with_body(body), a_message(2)])
    assert [len(batch) for batch in batches] == [1]
    assert "JSON object" in impossible[0][1]


def test_each_entry_has_its_own_answer(bridge: EventBridge, events: Any) -> None:
    answers = [
        {"EventId": "1"},
        {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"},
        {"ErrorCode": "InternalFailure"},
        {"ErrorCode": "MalformedDetail", "ErrorMessage": "not JSON"},
        {"ErrorCode": "InvalidArgument"},
        {"ErrorCode": "SomethingNew", "ErrorMessage": "unheard of"},
    ]
    aws_faults.answer(events, "PutEvents", {"Entries": answers, "FailedEntryCount": 5})
    result = send(bridge, [a_message(number) for number in range(6)], "b1", 1)
    assert [(verdict.kind, verdict.reason) for verdict in result.verdicts] == [
        ("accepted", ""),
        ("throttled", "ThrottlingException: slow down"),
        ("throttled", "InternalFailure"),
        ("refused", "MalformedDetail: not JSON"),
        ("refused", "InvalidArgument"),
        ("rejected", "SomethingNew: unheard of"),
    ]
    assert result.reply["FailedEntryCount"] == 5


def test_a_malformed_detail_that_got_past_is_refused_by_its_entry_alone(bridge: EventBridge) -> None:
    assert kinds(bridge, a_message(1), with_body(b"[1]"), a_message(3)) == ["accepted", "refused", "accepted"]


def test_a_source_that_only_aws_may_use_is_not_accepted(events: Any) -> None:
    triggers = Triggers(added=Trigger(bus="orders", source="aws.shop", detail_type="Order"))
    batches, [(_, reason)] = a_bridge(events, triggers).batches([a_message()])
    assert not batches
    assert "aws." in reason


def test_source_and_detail_type_are_rendered_for_each_change(events: Any) -> None:
    template = Trigger(bus="orders", source="shop.{{ row.id }}", detail_type="Order {{ change.operation }}")
    bridge = a_bridge(events, Triggers(added=template))
    batches, _ = bridge.batches([a_message(1), a_message(2)])
    entries = entries_sent(bridge, batches[0])
    assert [(entry["Source"], entry["DetailType"]) for entry in entries] == [
        ("shop.1", "Order added"),
        ("shop.2", "Order added"),
    ]


def test_a_row_whose_source_cannot_be_sent_costs_no_other_row(events: Any) -> None:
    template = Trigger(bus="orders", source="{% if row.id == 2 %}aws.{% endif %}shop", detail_type="Order")
    batches, [(message, reason)] = a_bridge(events, Triggers(added=template)).batches([a_message(n) for n in (1, 2, 3)])
    assert [[each.change.key for each in batch] for batch in batches] == [[[1], [3]]]
    assert (message.change.key, "aws." in reason) == ([2], True)


def test_what_stands_for_an_oversized_message_is_sent_in_its_place(events: Any) -> None:
    pointer = b'{"rowcast_s3":{"key":"k"}}'
    bridge = a_bridge(events, TRIGGERS, oversize=lambda message, reason: msgspec.structs.replace(message, body=pointer))
    batches, impossible = bridge.batches([a_message(1), a_message(2, size=BYTES)])
    assert not impossible
    assert [entry["Detail"][:13] for entry in entries_sent(bridge, batches[0])] == [
        '{"id": 1, "pa',
        '{"rowcast_s3"',
    ]


def test_denied_entries_stop_the_run_unless_some_were_accepted(bridge: EventBridge, events: Any) -> None:
    denied = {"ErrorCode": "AccessDeniedException", "ErrorMessage": "no"}
    aws_faults.answer(events, "PutEvents", {"Entries": [denied, {"EventId": "1"}], "FailedEntryCount": 1})
    assert kinds(bridge, a_message(1), a_message(2)) == ["rejected", "accepted"]
    aws_faults.answer(events, "PutEvents", {"Entries": [denied, denied], "FailedEntryCount": 2})
    with pytest.raises(DestinationRefused, match="AccessDenied"):
        send(bridge, [a_message(1), a_message(2)], "b1", 1)


def test_an_answer_of_another_length_leaves_all_in_doubt(bridge: EventBridge, events: Any) -> None:
    aws_faults.answer(events, "PutEvents", {"Entries": [{"EventId": "1"}], "FailedEntryCount": 0})
    assert kinds(bridge, a_message(1), a_message(2)) == ["in_doubt", "in_doubt"]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 400, "throttled"),
        ("ServiceUnavailable", 503, "throttled"),
        ("InternalException", 500, "in_doubt"),
        ("ValidationException", 400, "refused"),
        ("ExpiredTokenException", 400, "throttled"),
    ],
)
def test_a_call_that_is_answered_with_an_error(
    bridge: EventBridge, events: Any, code: str, status: int, kind: str
) -> None:
    aws_faults.answer_error(events, "PutEvents", code, status)
    result = send(bridge, [a_message(1), a_message(2)], "b1", 1)
    assert [verdict.kind for verdict in result.verdicts] == [kind] * 2
    assert result.error == code


def test_no_connection_means_surely_not_sent(bridge: EventBridge, events: Any) -> None:
    aws_faults.fail_to_connect(events, "PutEvents")
    assert kinds(bridge, a_message()) == ["throttled"]


def test_a_reply_that_is_lost_means_in_doubt_after_one_attempt(bridge: EventBridge, events: Any) -> None:
    attempts = []
    events.meta.events.register_first("before-send.eventbridge.PutEvents", lambda **_: attempts.append(1))
    aws_faults.lose_reply(events, "PutEvents", times=5)
    assert kinds(bridge, a_message()) == ["in_doubt"]
    assert len(attempts) == 1


def test_check_looks_at_the_bus_of_every_trigger_that_is_on(events: Any) -> None:
    a_bridge(events, TRIGGERS).check()
    a_bridge(events, Triggers(added=TRIGGERS.added)).check()
    missing = Trigger(bus="nowhere", source="s", detail_type="d")
    with pytest.raises(DestinationRefused, match="nowhere does not exist"):
        a_bridge(events, Triggers(added=TRIGGERS.added, changed=missing)).check()


def test_check_names_what_is_denied(bridge: EventBridge, events: Any) -> None:
    aws_faults.answer_error(events, "DescribeEventBus", "AccessDeniedException")
    with pytest.raises(DestinationRefused, match="audit cannot be used"):
        bridge.check()


@pytest.mark.parametrize(
    ("code", "status"), [("InternalException", 500), ("ServiceUnavailable", 503), ("ExpiredTokenException", 403)]
)
def test_a_failure_of_the_service_says_nothing_of_the_bus(
    bridge: EventBridge, events: Any, code: str, status: int
) -> None:
    aws_faults.answer_error(events, "DescribeEventBus", code, status)
    with pytest.raises(Throttled, match=f"audit .*{code}"):
        bridge.check()
    aws_faults.fail_to_connect(events, "DescribeEventBus")
    with pytest.raises(Throttled, match=r"audit .*ConnectTimeoutError"):
        bridge.check()


def test_batches_are_no_larger_than_asked(events: Any) -> None:
    bridge = a_bridge(events, TRIGGERS, batch_size=3)
    batches, _ = bridge.batches([a_message(number) for number in range(7)])
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert json.loads(batches[0][0].body)["id"] == 0
