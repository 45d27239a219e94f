from __future__ import annotations

import io
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.destinations.function import LambdaFunction
from rowcast.destinations.reply import ContractError, rejected_rows
from rowcast.errors import DestinationRefused
from rowcast.ports import CallResult, MessageToSend
from tests import aws_faults
from tests.aws_limits import enforce
from tests.contract.conftest import Stores, client_of, send, through_sdk
from tests.contract.test_destinations import a_message, refuse_oversize

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:welcome:live"


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


UNREADABLE = [nested(300), nested(1_000), nested(100_000), b"1e1000000000000000000", b"9" * 5_000]


@pytest.fixture
def client(aws: Stores) -> Any:
    return enforce(client_of("lambda"))


def a_function(client: Any, primary_key: tuple[str, ...] = ("id",), batch_size: int = 10) -> LambdaFunction:
    return LambdaFunction(
        client=client,
        connect=through_sdk(client),
        function=FUNCTION,
        batch_size=batch_size,
        primary_key=primary_key,
        oversize=refuse_oversize,
    )


def invoke(client: Any, reply: bytes, batch: Sequence[MessageToSend] | None = None, **answer: Any) -> CallResult:
    payload = io.BytesIO(reply)
    aws_faults.answer(client, "Invoke", {"StatusCode": 200, "Payload": payload, **answer})
    return send(a_function(client), batch or [a_message(1), a_message(2)], "b1", 3)


def kinds(result: CallResult) -> list[str]:
    return [verdict.kind for verdict in result.verdicts]


def sent(client: Any, function: LambdaFunction, batch: Sequence[MessageToSend]) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def see(params: dict[str, Any], **_: Any) -> Any:
        seen.append(params)
        return aws_faults.ok({"StatusCode": 200, "Payload": io.BytesIO(b"null")})

    client.meta.events.register_first("before-call.lambda.Invoke", see)
    send(function, batch, "b1", 3)
    return seen[0]


def test_the_payload_is_version_1_of_the_contract(client: Any) -> None:
    request = sent(client, a_function(client), [a_message(1), a_message(2)])
    assert json.loads(request["body"]) == {
        "metadata": {
            "version": "1",
            "sync": "orders",
            "run": "r1",
            "batch": "b1",
            "attempt": 3,
            "operation": "added",
            "primary_key_column": "id",
            "primary_key_values": [1, 2],
            "change_ids": ["change-1", "change-2"],
        },
        "rows": [{"id": 1, "padding": ""}, {"id": 2, "padding": ""}],
    }
    assert request["headers"]["X-Amz-Invocation-Type"] == "RequestResponse"
    assert request["url_path"].startswith("/2015-03-31/functions/arn%3Aaws%3Alambda")
    assert "live" in request["url_path"]


def test_a_composite_key_is_named_and_given_as_lists(client: Any) -> None:
    message = a_message()
    message.change.key = ["DE", Decimal("7.50")]
    request = sent(client, a_function(client, ("country", "number")), [message])
    metadata = json.loads(request["body"], parse_float=Decimal)["metadata"]
    assert metadata["primary_key_column"] == ["country", "number"]
    assert str(metadata["primary_key_values"]) == "[['DE', Decimal('7.50')]]"


def test_rows_arrive_to_the_byte(client: Any) -> None:
    message = a_message()
    message.body = '{"price": 1.10, "big": 123456789012345678901234567890, "name": "Zoë"}'.encode()
    assert message.body in sent(client, a_function(client), [message])["body"]


@pytest.mark.parametrize("reply", [b"null", b"{}", b'{"errors": []}', b' {"errors" : [ ] } '])
def test_a_reply_without_errors_accepts_all(client: Any, reply: bytes) -> None:
    result = invoke(client, reply)
    assert kinds(result) == ["accepted", "accepted"]
    assert result.error == ""


def test_a_reply_rejects_the_rows_that_it_names(client: Any) -> None:
    result = invoke(client, b'{"errors": [{"primary_key_value": 2, "reason": "Email not found"}]}')
    assert [(verdict.kind, verdict.reason) for verdict in result.verdicts] == [
        ("accepted", ""),
        ("rejected", "Email not found"),
    ]
    assert result.reply["errors"][0]["reason"] == "Email not found"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"oops",
        b'"ok"',
        b"[]",
        b"true",
        b"0",
        b'{"ok": true}',
        b'{"errors": null}',
        b'{"errors": "none"}',
        b'{"errors": {}}',
        b'{"errors": ["1"]}',
        b'{"errors": [{"primary_key_value": 1}]}',
        b'{"errors": [{"reason": "no key"}]}',
        b'{"errors": [{"primary_key_value": 1, "reason": 5}]}',
        b'{"errors": [{"primary_key_value": 9, "reason": "not in the batch"}]}',
        b'{"errors": [{"primary_key_value": [1, 2], "reason": "not in the batch"}]}',
        b'{"errors": [{"primary_key_value": 1, "reason": "a"}, {"primary_key_value": "1", "reason": "b"}]}',
        b"\xff\xfe",
        b'"\xff"',
        *UNREADABLE,
        *(b'{"errors": [{"primary_key_value": ' + value + b', "reason": "x"}]}' for value in UNREADABLE),
    ],
)
def test_a_reply_that_breaks_the_contract_leaves_all_in_doubt(client: Any, reply: bytes) -> None:
    result = invoke(client, reply)
    assert kinds(result) == ["in_doubt", "in_doubt"]
    assert result.verdicts[0].reason.startswith("The reply breaks the contract: ")


def test_a_function_that_failed_leaves_all_in_doubt_with_its_reason(client: Any) -> None:
    reply = b'{"errorMessage": "KeyError: email", "errorType": "KeyError"}'
    result = invoke(client, reply, FunctionError="Unhandled")
    assert kinds(result) == ["in_doubt", "in_doubt"]
    assert result.verdicts[0].reason == "The function failed: KeyError: KeyError: email"
    for unreadable in (b"not json", *(b'{"errorMessage": ' + value + b"}" for value in UNREADABLE)):
        result = invoke(client, unreadable, FunctionError="Unhandled")
        assert kinds(result) == ["in_doubt", "in_doubt"]
        assert (result.verdicts[0].reason, result.reply) == ("The function failed.", unreadable.decode())


def test_reasons_are_kept_short(client: Any) -> None:
    reply = json.dumps({"errors": [{"primary_key_value": 1, "reason": "x" * 100_000}]}).encode()
    assert len(invoke(client, reply).verdicts[0].reason) == 1_000
    failed = json.dumps({"errorMessage": "x" * 100_000}).encode()
    assert len(invoke(client, failed, FunctionError="Unhandled").verdicts[0].reason) == 1_000


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("TooManyRequestsException", 429, "throttled"),
        ("ResourceConflictException", 409, "throttled"),
        ("EC2ThrottledException", 502, "throttled"),
        ("ServiceException", 500, "in_doubt"),
        ("RequestTooLargeException", 413, "refused"),
        ("InvalidRequestContentException", 400, "refused"),
    ],
)
def test_an_invocation_that_is_answered_with_an_error(client: Any, code: str, status: int, kind: str) -> None:
    aws_faults.answer_error(client, "Invoke", code, status)
    assert kinds(send(a_function(client), [a_message(1), a_message(2)], "b1", 1)) == [kind, kind]


@pytest.mark.parametrize(
    ("code", "status"),
    [("ResourceNotFoundException", 404), ("AccessDeniedException", 403), ("KMSAccessDeniedException", 502)],
)
def test_a_function_that_cannot_be_invoked_stops_the_run(client: Any, code: str, status: int) -> None:
    aws_faults.answer_error(client, "Invoke", code, status)
    with pytest.raises(DestinationRefused, match=f"welcome:live cannot be invoked: {code}"):
        send(a_function(client), [a_message()], "b1", 1)


def test_no_connection_means_surely_not_sent(client: Any) -> None:
    aws_faults.fail_to_connect(client, "Invoke")
    assert kinds(send(a_function(client), [a_message()], "b1", 1)) == ["throttled"]


def test_a_reply_that_breaks_off_leaves_all_in_doubt(client: Any) -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise ConnectionResetError

    aws_faults.answer(client, "Invoke", {"StatusCode": 200, "Payload": Broken()})
    assert kinds(send(a_function(client), [a_message()], "b1", 1)) == ["in_doubt"]


def test_batches_of_many_small_rows_stay_below_the_limit(client: Any) -> None:
    function = a_function(client, batch_size=1_000)
    messages = [a_message(number, size=6_100) for number in range(2_000)]
    batches, _ = function.batches(messages)
    assert len(batches) == 3
    for batch in batches:
        aws_faults.answer(client, "Invoke", {"StatusCode": 200, "Payload": io.BytesIO(b"null")})
        assert set(kinds(send(function, batch, "b", 1))) == {"accepted"}


def test_one_row_goes_alone_by_default(client: Any) -> None:
    batches, _ = a_function(client, batch_size=1).batches([a_message(1), a_message(2)])
    assert [len(batch) for batch in batches] == [1, 1]


def test_check_asks_for_the_function_as_qualified(client: Any) -> None:
    with pytest.raises(DestinationRefused, match="welcome:live does not exist"):
        a_function(client).check()
    aws_faults.answer(client, "GetFunctionConfiguration", {"FunctionName": "welcome"})
    a_function(client).check()
    aws_faults.answer_error(client, "GetFunctionConfiguration", "AccessDeniedException", 403)
    with pytest.raises(DestinationRefused, match="cannot be used"):
        a_function(client).check()


def reply_for(key: Any) -> bytes:
    return json.dumps({"errors": [{"primary_key_value": key, "reason": "no"}]}).encode()


@pytest.mark.parametrize(
    ("keys", "named", "index"),
    [
        ([["7"], ["07"]], "07", 1),
        ([["7"], ["07"]], 7, 0),
        ([["a"], ["true"]], True, 1),
        ([[1], [2]], "2", 1),
        ([[1], [2]], 2.0, 1),
        ([[1], [2]], [2], 1),
        ([[10], [100]], 100, 1),
        ([[Decimal("1.10")], [Decimal("1.20")]], 1.1, 0),
        ([[Decimal("1.10")]], "1.1", 0),
        ([[10**40 + 1], [10**40 + 2]], str(10**40 + 2), 1),
        ([[-5], [5]], -5, 0),
        ([[0], [-1]], "-0.0", 0),
        ([["DE", 1], ["DE", 2]], ["DE", "2"], 1),
        ([["a,b", "c"], ["a", "b,c"]], ["a", "b,c"], 1),
        ([[True], [False]], False, 1),
    ],
)
def test_a_key_in_the_reply_is_matched_by_its_text_form(keys: list[list[Any]], named: Any, index: int) -> None:
    assert rejected_rows(reply_for(named), keys) == {index: "no"}


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ([["07"]], 7),
        ([[1]], "one"),
        ([[1]], None),
        ([[1]], True),
        ([[1]], {"id": 1}),
        ([["DE", 1]], "DE"),
        ([["DE", 1]], ["DE"]),
        ([[10**40 + 1]], str(10**40)),
        ([[1]], "1e999999999"),
        ([[1]], "NaN"),
    ],
)
def test_a_key_that_the_batch_did_not_hold_breaks_the_contract(keys: list[list[Any]], named: Any) -> None:
    with pytest.raises(ContractError):
        rejected_rows(reply_for(named), keys)


@given(st.lists(st.one_of(st.integers(), st.text(), st.decimals(allow_nan=False, allow_infinity=False)), unique=True))
def test_every_key_that_is_echoed_is_found(values: list[Any]) -> None:
    from rowcast.models import to_json

    for kind in (int, str, Decimal):
        keys = [[value] for value in values if type(value) is kind]
        for index, key in enumerate(keys):
            body = to_json({"errors": [{"primary_key_value": key[0], "reason": "no"}]})
            assert rejected_rows(body, keys) == {index: "no"}
