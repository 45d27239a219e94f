"""The wire that deliveries take, against a server that answers well, oddly or not at all."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3
import pytest

from rowcast import destinations, in_flight
from rowcast.destinations import faults, http
from rowcast.destinations.faults import CallFailed, Meaning
from rowcast.destinations.http import HttpWire
from rowcast.destinations.sdk import SdkWire
from rowcast.destinations.signing import Route
from rowcast.destinations.wire import Operation, Reply
from tests.sink import Asked, Sink, ok, reply, sink

BODY = b'{"Entries": [{"Detail": "{}"}]}'


class Keys(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None = None


class Credentials:
    def __init__(self) -> None:
        self.asked = 0
        self.keys = Keys("AK", "SK", "TOKEN")

    def get_frozen_credentials(self) -> Keys:
        self.asked += 1
        return self.keys


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, tls: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls[0]))
    with sink(tls[1] if request.param == "https" else None) as made:
        yield made


@pytest.fixture
def wire(server: Sink) -> Iterator[HttpWire]:
    made = a_wire(server.url)
    yield made
    made.connections.close()


def a_wire(url: str, read_seconds: float = 20.0, credentials: Any = None) -> HttpWire:
    headers = {"X-Amz-Target": "AWSEvents.PutEvents", "Content-Type": "application/x-amz-json-1.1"}
    route = Route(f"{url}/", "eu-west-1", "events", headers)
    return HttpWire(route, credentials or Credentials(), connect_seconds=5.0, read_seconds=read_seconds)


def send(wire: HttpWire, body: bytes = BODY) -> Reply:
    return in_flight.finish(wire.send(body))


def fault(wire: HttpWire) -> Meaning:
    with pytest.raises(CallFailed) as failed:
        send(wire)
    return failed.value.fault.meaning


def test_a_request_arrives_to_the_byte_and_its_reply_comes_back(wire: HttpWire, server: Sink) -> None:
    found = send(wire)
    assert (found.status, found.headers["content-length"], b"EventId" in found.body) == (
        200,
        str(len(found.body)),
        True,
    )
    [asked] = server.asked
    assert (asked.line, asked.body) == ("POST / HTTP/1.1", BODY)
    assert asked.headers["host"] == server.url.partition("//")[2]
    assert asked.headers["x-amz-security-token"] == "TOKEN"
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AK/")


def test_connections_are_used_again(wire: HttpWire, server: Sink) -> None:
    for _ in range(20):
        send(wire)
    assert (server.connections, len(server.asked)) == (1, 20)


def test_a_way_made_ready_asks_nothing_and_carries_the_next_call(wire: HttpWire, server: Sink) -> None:
    credentials = Credentials()
    wire._credentials = credentials
    in_flight.finish(wire.ready())
    in_flight.finish(wire.ready())
    assert (wire.connections.opened, server.asked, credentials.asked >= 1) == (1, [], True)
    send(wire)
    assert (server.connections, len(server.asked)) == (1, 1)


def test_a_way_that_cannot_be_opened_is_left_to_the_call_to_tell() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nowhere = a_wire(f"http://127.0.0.1:{port}")
    in_flight.finish(nowhere.ready())
    assert fault(nowhere) == "throttled"


def test_calls_at_once_take_as_many_connections_and_each_gets_its_own_reply(wire: HttpWire, server: Sink) -> None:
    async def all_at_once() -> list[Reply]:
        return await in_flight.each(wire.send, [b'{"rows": [%d]}' % number for number in range(40)], 8)

    def echo(given: Any, asked: Asked) -> bool:
        given.sendall(ok(asked.body))
        return True

    server.script = [echo] * 40
    replies = in_flight.finish(all_at_once())
    assert [found.body for found in replies] == [b'{"rows": [%d]}' % number for number in range(40)]
    assert server.connections == 8


@pytest.mark.parametrize("size", [0, 1, 70_000, 6_000_000])
def test_bodies_of_any_size_go_and_come(wire: HttpWire, server: Sink, size: int) -> None:
    def echo(given: Any, asked: Asked) -> bool:
        given.sendall(ok(asked.body))
        return True

    server.script = [echo]
    assert send(wire, b"x" * size).body == b"x" * size


def in_pieces(given: Any, asked: Asked) -> bool:
    given.sendall(reply("200 OK", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    return True


def slowly(given: Any, asked: Asked) -> bool:
    for byte in ok(b"abcde"):
        given.sendall(bytes([byte]))
    return True


def after_continue(given: Any, asked: Asked) -> bool:
    given.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"abcde"))
    return True


def without_length(given: Any, asked: Asked) -> bool:
    given.sendall(reply("200 OK", b"abcde"))
    return False


def then_closed(given: Any, asked: Asked) -> bool:
    given.sendall(ok(b"abcde", "Connection: close"))
    return False


@pytest.mark.parametrize("behave", [in_pieces, slowly, after_continue, without_length, then_closed])
def test_a_reply_may_take_any_form_that_http_has_and_the_next_call_goes_on(
    wire: HttpWire, server: Sink, behave: Any
) -> None:
    server.script = [behave]
    assert send(wire).body == b"abcde"
    assert send(wire).status == 200


def nothing(given: Any, asked: Asked) -> bool:
    return False


def half(given: Any, asked: Asked) -> bool:
    given.sendall(ok(b"abcde")[:-2])
    return False


def half_in_pieces(given: Any, asked: Asked) -> bool:
    given.sendall(reply("200 OK", b"3\r\nabc\r\n", "Transfer-Encoding: chunked"))
    return False


def half_the_headers(given: Any, asked: Asked) -> bool:
    given.sendall(b"HTTP/1.1 200 OK\r\nContent-")
    return False


def garbage(given: Any, asked: Asked) -> bool:
    given.sendall(b"\0\1\2 what?\r\n\r\n")
    return True


def another_protocol(given: Any, asked: Asked) -> bool:
    given.sendall(reply("101 Switching Protocols", b"", "Upgrade: websocket", "Connection: Upgrade"))
    return True


def only_continue(given: Any, asked: Asked) -> bool:
    given.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return False


def reset(given: Any, asked: Asked) -> bool:
    given.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


ODD = [nothing, half, half_in_pieces, half_the_headers, garbage, another_protocol, only_continue, reset]


@pytest.mark.parametrize("behave", ODD)
def test_a_request_without_a_whole_reply_is_in_doubt_and_is_not_sent_again(
    wire: HttpWire, server: Sink, behave: Any
) -> None:
    server.script = [behave]
    assert fault(wire) == "in_doubt"
    assert len(server.asked) == 1
    assert send(wire).status == 200


@pytest.mark.parametrize("behave", ODD)
def test_a_request_on_a_connection_that_breaks_when_used_again_is_in_doubt_and_is_not_sent_again(
    wire: HttpWire, server: Sink, behave: Any
) -> None:
    send(wire)
    server.script = [behave]
    assert fault(wire) == "in_doubt"
    assert (server.connections, len(server.asked)) == (1, 2)


def test_a_reply_that_does_not_come_in_time_leaves_the_request_in_doubt(server: Sink) -> None:
    wire = a_wire(server.url, read_seconds=0.2)
    done: list[float] = []

    def silent(given: Any, asked: Asked) -> bool:
        given.recv(1)
        done.append(time.time())
        return False

    server.script = [silent]
    assert fault(wire) == "in_doubt"
    assert send(wire).status == 200
    assert (server.connections, len(server.asked)) == (2, 2)
    wire.connections.close()


def answered_and_closed(given: Any, asked: Asked) -> bool:
    given.sendall(ok(b"{}"))
    return False


def answered_and_more(given: Any, asked: Asked) -> bool:
    given.sendall(ok(b"{}") + ok(b"{}"))
    return True


def answered_and_a_bit_more(given: Any, asked: Asked) -> bool:
    given.sendall(ok(b"{}") + b"HTTP/1.1 200")
    return True


@pytest.mark.parametrize("behave", [answered_and_closed, answered_and_more, answered_and_a_bit_more])
def test_a_connection_that_ended_or_spoke_unasked_while_idle_is_not_used(
    wire: HttpWire, server: Sink, behave: Any
) -> None:
    server.script = [behave] * 10
    for _ in range(10):
        assert send(wire).body == b"{}"
        time.sleep(0.01)  # the loop stands still, as in a function between two invocations
    assert (server.connections, len(server.asked)) == (10, 10)


@pytest.mark.parametrize("unasked", [b"", ok(b"{}"), b"HTTP/1.1 200"], ids=["its end", "a reply", "half a line"])
def test_what_comes_while_the_loop_stands_still_is_noticed_before_a_connection_is_used_again(
    wire: HttpWire, server: Sink, unasked: bytes
) -> None:
    is_still = threading.Event()

    def speak_later(given: Any, asked: Asked) -> bool:
        given.sendall(ok(b"{}"))
        assert is_still.wait(10)
        given.sendall(unasked) if unasked else given.shutdown(socket.SHUT_RDWR)
        return bool(unasked)

    server.script = [speak_later]
    assert send(wire).body == b"{}"
    is_still.set()
    assert wire.connections._idle[0]._readable.poll(10_000)  # it has come
    assert send(wire).status == 200
    assert (server.connections, len(server.asked)) == (2, 2)


@pytest.mark.parametrize("status", [301, 400, 403, 429, 500, 503])
def test_a_refusal_is_a_reply(wire: HttpWire, server: Sink, status: int) -> None:
    def refuse(given: Any, asked: Asked) -> bool:
        given.sendall(reply(f"{status} No", b'{"__type": "x#No"}', "Content-Length: 18"))
        return True

    server.script = [refuse]
    assert send(wire)[::2] == (status, b'{"__type": "x#No"}')
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_was_surely_not_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert fault(a_wire(f"http://127.0.0.1:{port}")) == "throttled"
    assert fault(a_wire("http://nowhere.invalid")) == "throttled"


def test_a_connection_that_is_not_made_in_time_was_surely_not_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        wire = a_wire(f"https://127.0.0.1:{deaf.getsockname()[1]}")
        wire.connections._connect_seconds = 0.2
        assert fault(wire) == "throttled"


@pytest.mark.parametrize("trusted", [False, True])
def test_a_server_that_cannot_prove_its_name_is_sent_nothing(
    tls: Any, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    if trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tls[0]))
    with sink(tls[1]) as server:
        host = "localhost" if trusted else "127.0.0.1"  # the certificate is for the address alone
        assert fault(a_wire(server.url.replace("127.0.0.1", host))) == "throttled"
        assert server.asked == []


def test_credentials_are_looked_at_once_for_all_who_send_at_once(wire: HttpWire, server: Sink) -> None:
    credentials = Credentials()
    wire._credentials = credentials

    async def all_at_once() -> None:
        await in_flight.each(wire.send, [BODY] * 200, 20)

    started = time.time()
    in_flight.finish(all_at_once())
    assert credentials.asked <= time.time() - started + 2


def test_credentials_that_were_renewed_are_used_within_a_second(
    wire: HttpWire, server: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials, now = Credentials(), [1_760_000_000.0]
    wire._credentials = credentials
    monkeypatch.setattr(http.time, "time", lambda: now[0])
    send(wire)
    credentials.keys = Keys("NEW", "SK")
    now[0] += 1.0
    send(wire)
    first, second = (asked.headers for asked in server.asked)
    assert "Credential=AK/" in first["authorization"]
    assert "Credential=NEW/" in second["authorization"]
    assert "x-amz-security-token" not in second


def test_the_trace_of_the_invocation_goes_along(wire: HttpWire, server: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    send(wire)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "publish")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a:1|b:2")
    send(wire)
    without, with_trace = (asked.headers for asked in server.asked)
    assert "x-amzn-trace-id" not in without
    assert with_trace["x-amzn-trace-id"] == "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a:1%7Cb:2"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, b'{"__type": "com.amazonaws.events#ThrottlingException"}', "ThrottlingException"),
        ({}, b'{"__type": "ThrottlingException:http://internal/"}', "ThrottlingException"),
        (
            {"x-amzn-errortype": "TooManyRequestsException:http://internal/"},
            b'{"Type": "User"}',
            "TooManyRequestsException",
        ),
        ({"x-amzn-errortype": "A"}, b'{"__type": "B"}', "A"),
        ({}, b'{"code": "AccessDenied"}', "AccessDenied"),
        ({}, b'{"Code": "AccessDenied"}', "AccessDenied"),
        ({}, b'{"message": "no"}', "502"),
        ({}, b"<html>Bad Gateway</html>", "502"),
        ({}, b"", "502"),
    ],
)
def test_an_error_is_known_by_its_code_wherever_the_service_says_it(
    headers: dict[str, str], body: bytes, code: str
) -> None:
    assert faults.error_code(Reply(502, headers, body)) == code


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (400, "ExpiredTokenException", "throttled"),
        (403, "ExpiredTokenException", "throttled"),
        (403, "RequestExpired", "throttled"),
        (403, "ThrottlingException", "throttled"),
        (403, "AccessDeniedException", "unusable"),
        (503, "AccessDeniedException", "unusable"),
        (403, "Forbidden", "unusable"),
        (503, "Unknown", "throttled"),
    ],
)
def test_a_known_code_decides_and_the_status_only_without_one(status: int, code: str, meaning: Meaning) -> None:
    fault = faults.of_reply(Reply(status, {"x-amzn-errortype": f"{code}:http://internal/"}, b""))
    assert fault is not None
    assert (fault.meaning, fault.reason) == (meaning, code)


def test_a_refusal_that_says_when_to_come_again_is_heeded() -> None:
    for text, seconds in (("30", 30.0), ("", 0.0), ("Fri, 20 Nov 2026 19:40:00 GMT", 0.0)):
        fault = faults.of_reply(Reply(429, {"retry-after": text}, b""))
        assert fault is not None
        assert (fault.meaning, fault.slow) == ("throttled", seconds)


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, HttpWire),
        ({"HTTPS_PROXY": "http://proxy:3128"}, SdkWire),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".amazonaws.com"}, HttpWire),
    ],
)
def test_where_a_proxy_stands_between_the_sdk_goes(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], kind: type
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session(region_name="eu-west-1", aws_access_key_id="AK", aws_secret_access_key="SK")
    client = session.client("events")
    assert isinstance(destinations.connect(client, session, Operation("PutEvents", {"Entries": [{}]})), kind)


def test_an_error_in_one_call_ends_those_beside_it_and_begins_no_other() -> None:
    begun: list[int] = []

    async def work(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise ValueError(number)
        await asyncio.sleep(60)
        return number

    with pytest.raises(ValueError, match="2"):
        in_flight.finish(in_flight.each(work, range(100), 5))
    assert begun == [0, 1, 2, 3, 4]


def test_a_connection_of_a_loop_that_ended_is_not_used(server: Sink) -> None:
    wire = a_wire(server.url)
    with asyncio.Runner() as runner:
        runner.run(wire.send(BODY))
        runner.run(wire.send(BODY))
        idle = wire.connections._idle
        wire.connections._idle = []
        for each in idle:
            each.abort()
        runner.run(asyncio.sleep(0))
        wire.connections._idle = idle
    assert send(wire).status == 200
    assert server.connections == 2
    wire.connections.close()
