"""What every destination owes, whatever it is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials

from rowcast import ports
from rowcast.definition import Rate, Trigger, Triggers
from rowcast.destinations import batch_size, faults, http
from rowcast.destinations.eventbridge import EventBridge
from rowcast.destinations.function import LambdaFunction
from rowcast.destinations.session import delivery_config
from rowcast.destinations.wire import Operation, Wire
from rowcast.errors import DestinationRefused, MessageInvalid, Throttled
from rowcast.message import compile_address
from rowcast.models import Change
from rowcast.ports import MessageToSend, Verdict
from tests import aws_faults, fakes
from tests.aws_limits import enforce
from tests.contract.conftest import client_of, send, through_sdk
from tests.sink import Asked, Behaviour, Sink, reply, sink

BUSY = "arn:aws:lambda:eu-west-1:123456789012:function:welcome"


def a_message(number: int = 1, size: int = 0, operation: Any = "added") -> MessageToSend:
    body = json.dumps({"id": number, "padding": "x" * size}).encode()
    row = {"id": number}
    before, after = (None, row) if operation == "added" else (row, None)
    change = Change(
        operation=operation, key=[number], key_hash=f"{number:032x}", id=f"change-{number}", before=before, after=after
    )
    return MessageToSend(change=change, body=body, time=1_760_000_000.0, sync="orders", run="r1")


def refuse_oversize(message: MessageToSend, reason: str) -> MessageToSend:
    raise MessageInvalid(reason)


def a_bridge(events: Any, triggers: Triggers, **more: Any) -> EventBridge:
    given = {"connect": through_sdk(events), "address": compile_address(triggers), "oversize": refuse_oversize, **more}
    return EventBridge(client=events, triggers=triggers, **given)


@dataclass
class Target:
    """A destination, how to make its next call go wrong, and the bodies that arrived."""

    destination: ports.Destination
    go_wrong: Callable[[str], None]
    missing: ports.Destination
    arrived: Callable[[], list[Any]]
    most_bytes: int


@pytest.fixture(params=["fake", "eventbridge", "lambda", "eventbridge over http", "lambda over http"])
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    makers = {"fake": _fake, "eventbridge": _eventbridge, "lambda": _lambda}
    if request.param in makers:
        if request.param != "fake":
            request.getfixturevalue("aws")
        yield makers[request.param]()
        return
    authority, context = request.getfixturevalue("tls")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    with sink(context) as server:
        yield _over_http(server, request.param.partition(" ")[0])


def _fake() -> Target:
    destination = fakes.FakeDestination(batch_size=10)

    def go_wrong(kind: str) -> None:
        if kind == "busy":
            destination.busy = "too many looks"
        elif kind == "unusable":
            destination.refuse = "access denied"
        else:
            verdict = Verdict(kind=kind, reason=kind, slow=0.0 if kind == "throttled" else None)  # type: ignore[arg-type]
            destination.script = {f"{number:032x}": [verdict] for number in range(20)}

    return Target(
        destination,
        go_wrong,
        fakes.FakeDestination(refuse="missing"),
        lambda: [json.loads(message.body) for message in destination.accepted],
        1_000_000,
    )


def _eventbridge() -> Target:
    client = enforce(client_of("events"))
    client.create_event_bus(Name="orders")
    trigger = Trigger(bus="orders", source="shop", detail_type="Order")
    arrived: list[Any] = []
    _spy(client, "PutEvents", lambda params: arrived.extend(json.loads(e["Detail"]) for e in params["Entries"]))
    missing = Triggers(added=Trigger(bus="nowhere", source="shop", detail_type="Order"))
    return Target(
        a_bridge(client, Triggers(added=trigger, removed=trigger)),
        lambda kind: _go_wrong(client, "PutEvents", kind),
        a_bridge(client, missing),
        lambda: arrived,
        1_048_000,
    )


def _lambda() -> Target:
    client = enforce(client_of("lambda"))
    arrived: list[Any] = []
    aws_faults.answer_error(client, "GetFunctionConfiguration", "ResourceNotFoundException", 404)

    def run(params: dict[str, Any], **_: Any) -> Any:
        arrived.extend(json.loads(params["body"])["rows"])
        return aws_faults.ok({"StatusCode": 200, "Payload": io.BytesIO(b'{"errors": []}')})

    client.meta.events.register_last("before-call.lambda.Invoke", run)
    function = LambdaFunction(
        client=client,
        connect=through_sdk(client),
        function=BUSY,
        batch_size=10,
        primary_key=("id",),
        oversize=refuse_oversize,
    )
    return Target(function, lambda kind: _go_wrong(client, "Invoke", kind), function, lambda: arrived, 5_999_000)


def _over_http(server: Sink, kind: str) -> Target:
    """The destination with its own wire, before a server that answers as the service would."""
    service = "events" if kind == "eventbridge" else "lambda"
    client = boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=server.url,
        region_name="eu-west-1",
        aws_access_key_id="AK",
        aws_secret_access_key="SK",
        config=delivery_config(),
    )
    credentials = Credentials("AK", "SK", "TOKEN")

    def connect(operation: Operation) -> Wire:
        return http.connect(client, credentials, operation)

    destination: ports.Destination
    if kind == "eventbridge":
        trigger = Trigger(bus="orders", source="shop", detail_type="Order")
        destination = a_bridge(client, Triggers(added=trigger, removed=trigger), connect=connect)
    else:
        destination = LambdaFunction(
            client=client,
            connect=connect,
            function=BUSY,
            batch_size=10,
            primary_key=("id",),
            oversize=refuse_oversize,
        )

    def go_wrong(kind: str) -> None:
        if kind == "busy":
            _go_wrong(client, "", kind)
        else:
            server.script = [_WRONG[kind]]

    aws_faults.answer_error(client, "DescribeEventBus", "ResourceNotFoundException")
    aws_faults.answer_error(client, "GetFunctionConfiguration", "ResourceNotFoundException", 404)
    most = 1_048_000 if kind == "eventbridge" else 5_999_000
    return Target(destination, go_wrong, destination, lambda: server.taken, most)


def _refuses(status: str, code: str) -> Behaviour:
    def refuse(given: Any, asked: Asked) -> bool:
        body = json.dumps({"__type": f"com.amazonaws#{code}", "message": "No."}).encode()
        given.sendall(reply(status, body, f"Content-Length: {len(body)}"))
        return True

    return refuse


_WRONG: dict[str, Behaviour] = {
    "throttled": _refuses("429 Too Many Requests", "TooManyRequestsException"),
    "unusable": _refuses("403 Forbidden", "AccessDeniedException"),
    "refused": _refuses("400 Bad Request", "ValidationException"),
    "in_doubt": lambda given, asked: False,
}


def _go_wrong(client: Any, operation: str, kind: str) -> None:
    if kind == "busy":
        look = {"events": "DescribeEventBus", "lambda": "GetFunctionConfiguration"}[
            client.meta.service_model.service_name
        ]
        aws_faults.answer_error(client, look, "ThrottlingException", 400)
    elif kind == "throttled":
        aws_faults.answer_error(client, operation, "TooManyRequestsException", 429)
    elif kind == "unusable":
        aws_faults.answer_error(client, operation, "AccessDeniedException", 403)
    elif kind == "in_doubt":
        aws_faults.break_off(client, operation)
    else:
        aws_faults.answer_error(client, operation, "ValidationException", 400)


def _spy(client: Any, operation: str, see: Callable[[dict[str, Any]], None]) -> None:
    """Sees the parameters of calls that the service takes."""

    def keep(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["seen"] = params

    def tell(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if "Error" not in parsed:
            see(context["seen"])

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register_first(f"provide-client-params.{service}.{operation}", keep)
    client.meta.events.register_last(f"after-call.{service}.{operation}", tell)


def test_every_message_of_a_call_is_answered(target: Target) -> None:
    batch = [a_message(number) for number in range(7)]
    result = send(target.destination, batch, "b1", 1)
    assert [verdict.kind for verdict in result.verdicts] == ["accepted"] * 7
    assert [body["id"] for body in target.arrived()] == list(range(7))


def test_batches_hold_every_message_once_and_in_order(target: Target) -> None:
    messages = [a_message(number, size=number * 300) for number in range(300)]
    batches, impossible = target.destination.batches(messages)
    assert [message for batch in batches for message in batch] == messages
    assert impossible == []
    assert max(map(len, batches)) <= 10


def test_batches_are_cut_by_bytes_so_that_each_is_taken(target: Target) -> None:
    messages = [a_message(number, size=target.most_bytes * 2 // 5) for number in range(5)]
    batches, _ = target.destination.batches(messages)
    assert [len(batch) for batch in batches] == [2, 2, 1]
    for batch in batches:
        verdicts = send(target.destination, batch, "b1", 1).verdicts
        assert [verdict.kind for verdict in verdicts] == ["accepted"] * len(batch)


def test_the_largest_message_that_is_batched_is_taken(target: Target) -> None:
    batches, impossible = target.destination.batches([a_message(1, size=target.most_bytes - 200)])
    assert impossible == []
    assert send(target.destination, batches[0], "b1", 1).verdicts[0].kind == "accepted"


def test_a_message_that_no_call_can_carry_is_told_apart_and_costs_no_other(target: Target) -> None:
    huge = a_message(2, size=target.most_bytes + 2_000)
    batches, impossible = target.destination.batches([a_message(1), huge, a_message(3)])
    assert [[message.change.key for message in batch] for batch in batches] == [[[1], [3]]]
    assert [message for message, _ in impossible] == [huge]
    assert impossible[0][1]


@pytest.mark.parametrize("kind", ["throttled", "in_doubt", "refused"])
def test_a_call_that_fails_says_what_that_means_for_each_message(target: Target, kind: str) -> None:
    target.go_wrong(kind)
    result = send(target.destination, [a_message(1), a_message(2)], "b1", 1)
    assert [verdict.kind for verdict in result.verdicts] == [kind] * 2
    assert all(verdict.reason for verdict in result.verdicts)
    assert target.arrived() == []


def test_a_target_that_cannot_be_used_at_all_stops_the_run(target: Target) -> None:
    target.go_wrong("unusable")
    with pytest.raises(DestinationRefused):
        send(target.destination, [a_message()], "b1", 1)


def test_a_target_that_is_missing_is_named_before_anything_is_sent(target: Target) -> None:
    with pytest.raises(DestinationRefused):
        target.missing.check()
    assert target.arrived() == []


def test_a_target_that_could_not_be_looked_at_is_not_taken_for_one_that_cannot_be_used(target: Target) -> None:
    with pytest.raises(DestinationRefused):
        target.missing.check()
    target.go_wrong("busy")
    with pytest.raises(Throttled):
        target.destination.check()
    assert target.arrived() == []


def test_a_call_can_be_recorded(target: Target) -> None:
    from rowcast.models import from_json, to_json

    result = send(target.destination, [a_message(1)], "b1", 1)
    assert from_json(to_json(result.request))
    assert from_json(to_json(result.reply))


@pytest.mark.parametrize(
    ("wanted", "rate", "size"),
    [
        (10, None, 10),
        (10, Rate(count=600, seconds=60), 10),
        (10, Rate(count=15, seconds=1), 5),
        (10, Rate(count=3, seconds=1), 3),
        (1000, Rate(count=1500, seconds=3600), 750),
        (10, Rate(count=11, seconds=1), 1),
        (1, Rate(count=1, seconds=1), 1),
    ],
)
def test_batches_leave_less_than_a_tenth_of_a_rate_unused(wanted: int, rate: Rate | None, size: int) -> None:
    assert batch_size(wanted, rate) == size
    assert rate is None or rate.count // size * size >= 0.97 * rate.count


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        ("Retry-After: 30", 30.0),
        ("HTTP 429, retry after 2 minutes", 120.0),
        ("retry_after=500ms", 0.5),
        ("429 Too Many Requests", 0.0),
        ("the CRM throttled us", 0.0),
        ("rate limit exceeded", 0.0),
        ("Email not found", None),
        ("order 14290 is unknown", None),
    ],
)
def test_a_reason_that_asks_for_less_is_understood(reason: str, seconds: float | None) -> None:
    assert faults.asked_to_slow(reason) == seconds


def test_a_throttled_call_asks_for_less(target: Target) -> None:
    target.go_wrong("throttled")
    (verdict,) = send(target.destination, [a_message()], "b1", 1).verdicts
    assert verdict.slow == 0.0
