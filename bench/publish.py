"""Sending: events and rows per processor second over TLS, and how much of a latency calls in flight hide.

Every side sends the same bodies to the same sink, which answers each call with the same bytes, and reads every answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.case import Case, Goal, Side, Size, Topic
from bench.side import timed

ENTRIES = 10
DETAIL = json.dumps({"id": 1234567, "status": "shipped", "note": "x" * 251})
ROW = {"id": 0, "email": "alice@example.com", "note": "x" * 251}
LATENCY = 0.02
WARM = 60
KEYS: dict[str, Any] = {
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "secret",
    "aws_session_token": "t" * 400,
}
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:welcome"


# --- the sink ---------------------------------------------------------------------------------------------------------


def sink(**_: Any) -> None:
    """Serves two ports, the second one answering after LATENCY, and writes where they are."""
    asyncio.run(_serve())


async def _serve() -> None:
    from tests.certificate import certificate

    folder = Path(tempfile.mkdtemp(prefix="rowcast-bench-sink-"))
    authority, context = certificate(folder)
    (folder / "ca.pem").write_text(authority)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda late=late: _Sink(late), "127.0.0.1", 0, ssl=context, backlog=1024)  # type: ignore[misc]
        for late in (0.0, LATENCY)
    ]
    urls = [f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
    print(json.dumps({"url": urls[0], "late_url": urls[1], "authority": str(folder / "ca.pem")}), flush=True)
    await asyncio.Event().wait()


def _reply(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_EVENT = {"EventId": "11710aed-b79e-4468-a20b-bb3c0c3b4860"}
_TAKEN = _reply(json.dumps({"FailedEntryCount": 0, "Entries": [_EVENT] * ENTRIES}).encode())
_ACCEPTED = _reply(b'{"errors": []}')


class _Sink(asyncio.Protocol):
    """Counts a request's bytes and answers; it looks at nothing but the length and the path."""

    def __init__(self, late: float) -> None:
        self._late = late
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + size:
                return
            self._buffer = self._buffer[end + 4 + size :]
            answer = _ACCEPTED if b"/invocations" in head.split(b"\r\n", 1)[0] else _TAKEN
            if self._late:
                asyncio.get_running_loop().call_later(self._late, self._transport.write, answer)
            else:
                self._transport.write(answer)


# --- ours -------------------------------------------------------------------------------------------------------------


def ours_events(url: str, authority: str, calls: int, in_flight: int, **_: Any) -> dict[str, Any]:
    from rowcast.definition import Trigger, Triggers
    from rowcast.destinations.eventbridge import EventBridge
    from rowcast.message import compile_address

    triggers = Triggers(added=Trigger(bus="orders", source="com.shop", detail_type="Order placed"))
    client, connect = _line("events", url, authority)
    bridge = EventBridge(
        client=client,
        connect=connect,
        triggers=triggers,
        address=compile_address(triggers),
        oversize=lambda message, _: message,
    )
    batches, _none = bridge.batches(_messages(calls * ENTRIES, DETAIL.encode()))
    return _send(bridge, batches, in_flight, _warm_events(bridge, max(WARM, in_flight)))


def ours_rows(url: str, authority: str, calls: int, rows: int, in_flight: int, **_: Any) -> dict[str, Any]:
    from rowcast.destinations.function import LambdaFunction

    client, connect = _line("lambda", url, authority)
    function = LambdaFunction(
        client=client,
        connect=connect,
        function=FUNCTION,
        batch_size=rows,
        primary_key=("id",),
        oversize=lambda message, _: message,
    )
    batches, _none = function.batches(_messages(calls * rows, json.dumps(ROW).encode()))
    return _send(function, batches, in_flight, batches[: max(WARM, in_flight)])


def _line(service: str, url: str, authority: str) -> tuple[Any, Any]:
    import boto3

    from rowcast import destinations
    from rowcast.destinations.session import delivery_config

    os.environ["AWS_CA_BUNDLE"] = authority
    session = boto3.Session(region_name="eu-west-1", **KEYS)
    client = session.client(service, endpoint_url=url, config=delivery_config())  # type: ignore[call-overload]
    return client, lambda operation: destinations.connect(client, session, operation)


def _messages(count: int, body: bytes) -> list[Any]:
    from rowcast.models import Change
    from rowcast.ports import MessageToSend

    return [
        MessageToSend(
            change=Change(operation="added", key=[n], key_hash=f"{n:032x}", id=f"{n:032x}", after={"id": n}),
            body=body,
            time=1_760_000_000.0,
            sync="new-orders",
            run="20261120T160604.788Z",
        )
        for n in range(count)
    ]


def _warm_events(bridge: Any, calls: int) -> list[Any]:
    batches, _ = bridge.batches(_messages(calls * ENTRIES, DETAIL.encode()))
    return list(batches)


def _send(destination: Any, batches: Sequence[Any], most: int, warm: Sequence[Any]) -> dict[str, Any]:
    from rowcast import in_flight

    async def one(batch: Any) -> int:
        result = await destination.send(batch, "b", 1)
        return sum(verdict.kind == "accepted" for verdict in result.verdicts)

    in_flight.finish(in_flight.each(one, warm, most))
    with timed():
        accepted = sum(in_flight.finish(in_flight.each(one, batches, most)))
    assert accepted == sum(map(len, batches)), "a call was lost"
    return {"work": accepted}


# --- the SDK ----------------------------------------------------------------------------------------------------------


def sdk_events(url: str, authority: str, calls: int, threads: int, **_: Any) -> dict[str, Any]:
    client = _client("events", url, authority, threads)

    def one(_: int) -> int:
        reply = client.put_events(Entries=_entries())
        return sum("EventId" in answer for answer in reply["Entries"])

    return _in_threads(one, calls, threads)


def sdk_rows(url: str, authority: str, calls: int, rows: int, threads: int, **_: Any) -> dict[str, Any]:
    client = _client("lambda", url, authority, threads)
    payload = json.dumps({"metadata": {"version": "1", "sync": "new-orders"}, "rows": [ROW] * rows}).encode()

    def one(_: int) -> int:
        reply = client.invoke(FunctionName=FUNCTION, InvocationType="RequestResponse", LogType="None", Payload=payload)
        return 0 if json.loads(reply["Payload"].read())["errors"] else rows

    return _in_threads(one, calls, threads)


def _client(service: str, url: str, authority: str, threads: int) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=threads)
    session = boto3.Session(region_name="eu-west-1", **KEYS)
    return session.client(service, endpoint_url=url, verify=authority, config=config)  # type: ignore[call-overload]


def _in_threads(one: Any, calls: int, threads: int) -> dict[str, Any]:
    if threads == 1:
        sum(map(one, range(WARM)))
        with timed():
            return {"work": sum(map(one, range(calls)))}
    with ThreadPoolExecutor(threads) as pool:
        sum(pool.map(one, range(WARM)))
        with timed():
            return {"work": sum(pool.map(one, range(calls)))}


def _entries() -> list[dict[str, Any]]:
    from datetime import UTC, datetime

    names = ("sync/new-orders", "run/20261120T160604.788Z", "operation/added", f"change/{0:032x}")
    return [
        {
            "EventBusName": "orders",
            "Source": "com.shop",
            "DetailType": "Order placed",
            "Time": datetime.fromtimestamp(1_760_000_000.0, UTC),
            "Resources": [f"rowcast:{name}" for name in names],
            "Detail": DETAIL,
        }
        for _ in range(ENTRIES)
    ]


def aiobotocore_events(url: str, authority: str, calls: int, in_flight: int, **_: Any) -> dict[str, Any]:
    return asyncio.run(_aiobotocore(url, authority, calls, in_flight))


async def _aiobotocore(url: str, authority: str, calls: int, most: int) -> dict[str, Any]:
    async with _aiobotocore_client(url, authority, most) as client:

        async def lane(numbers: Iterator[int]) -> int:
            taken = 0
            for _ in numbers:
                reply = await client.put_events(Entries=_entries())
                taken += sum("EventId" in answer for answer in reply["Entries"])
            return taken

        async def send(count: int) -> int:
            numbers = iter(range(count))
            return sum(await asyncio.gather(*(lane(numbers) for _ in range(most))))

        await send(WARM)
        with timed():
            return {"work": await send(calls)}


@asynccontextmanager
async def _aiobotocore_client(url: str, authority: str, most: int) -> Any:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=most)
    session = get_session()
    more = {"region_name": "eu-west-1", "endpoint_url": url, "verify": authority, "config": config}
    async with session.create_client("events", **KEYS, **more) as client:
        yield client


# --- latency ----------------------------------------------------------------------------------------------------------


def late_events(late_url: str, authority: str, calls: int, in_flight: int, **_: Any) -> dict[str, Any]:
    return ours_events(late_url, authority, calls, in_flight)


def workers_events(url: str, authority: str, **given: Any) -> dict[str, Any]:
    from bench.worker import worker

    return worker(_line("events", url, authority), **{n: v for n, v in given.items() if n != "late_url"})


def late_workers_events(late_url: str, authority: str, **given: Any) -> dict[str, Any]:
    return workers_events(late_url, authority, **{n: v for n, v in given.items() if n != "url"})


def late_sdk(late_url: str, authority: str, calls: int, threads: int, **_: Any) -> dict[str, Any]:
    return sdk_events(late_url, authority, calls, threads)


TOPIC = Topic(
    title="Publish and invoke",
    about="Ten entries of 300 bytes a call, over TLS on loopback, with a session token. The sink is a process of its"
    " own; processor time is the client's alone. Every side reads every answer; a call that is lost fails the side.",
    remains="""Of Rowcast's own time a call, encryption and asyncio's way through it are the larger part; signing is
some microseconds, building the events and judging the answers the rest. A whole worker spends more than as much again
on reading, rendering and recording. With answers after 20 ms it has nothing to do at the beginning and at the end of a
share, for some 12 ms of 400 (`tests/unit/test_under_way.py` counts that without noise), and for 25 ms when each call of
a store takes 5 ms; and a call takes a few hundredths more processor time, perhaps since what is in flight no longer
lies in the processor's caches. Connections are open before the time is taken: a worker that starts opens its
own, each for half a millisecond of processor time.""",
)


def cases(size: Size) -> list[Case]:
    if size == "full":
        return []
    at = "bench.publish:"
    few = {"calls": 600}
    return [
        Case(
            name="events",
            title="Events per processor second",
            serve=f"{at}sink",
            measure="cpu",
            rate=True,
            unit="events",
            reference="boto3, one thread",
            sides=(
                Side(
                    name="Rowcast, 20 in flight",
                    call=f"{at}ours_events",
                    role="ours",
                    arguments={"calls": 6000, "in_flight": 20},
                    goal=Goal(at_least=8.0),
                ),
                Side(name="boto3, one thread", call=f"{at}sdk_events", arguments={**few, "threads": 1}),
                Side(name="boto3, 32 threads", call=f"{at}sdk_events", arguments={**few, "threads": 32}),
                Side(
                    name="aiobotocore, 20 in flight", call=f"{at}aiobotocore_events", arguments={**few, "in_flight": 20}
                ),
            ),
        ),
        *[
            Case(
                name=f"invoke-{rows}",
                rounds=3,
                title=f"Rows per processor second, {rows} row{'s' if rows > 1 else ''} an invocation",
                serve=f"{at}sink",
                measure="cpu",
                rate=True,
                unit="rows",
                arguments={"rows": rows},
                reference="boto3, one thread",
                sides=(
                    Side(
                        name="Rowcast, 20 in flight",
                        call=f"{at}ours_rows",
                        role="ours",
                        arguments={"calls": calls, "in_flight": 20},
                        goal=Goal(at_least=8.0) if rows == 1 else None,
                    ),
                    Side(name="boto3, one thread", call=f"{at}sdk_rows", arguments={**few, "threads": 1}),
                    Side(name="boto3, 32 threads", call=f"{at}sdk_rows", arguments={**few, "threads": 32}),
                ),
            )
            for rows, calls in ((1, 6000), (100, 1500))
        ],
        Case(
            name="worker",
            rounds=3,
            title="Events a second through a whole worker of fan out when each answer takes 20 ms",
            serve=f"{at}sink",
            rate=True,
            unit="events",
            reference="a share, no latency",
            note="Chunks are read, rendered, sent and recorded. The sink and the worker share two cores.",
            sides=(
                Side(
                    name="a share, no latency",
                    call=f"{at}workers_events",
                    role="limit",
                    arguments={"count": 200, "in_flight_calls": 150},
                ),
                Side(
                    name="a share",
                    call=f"{at}late_workers_events",
                    role="ours",
                    arguments={"count": 200, "in_flight_calls": 150},
                    goal=Goal(at_least=0.9),
                ),
                Side(
                    name="a share, 5 ms for each call of a store",
                    call=f"{at}late_workers_events",
                    role="ours",
                    arguments={"count": 200, "in_flight_calls": 150, "store_seconds": 0.005},
                ),
                Side(
                    name="chunk after chunk, 20 in flight",
                    call=f"{at}late_workers_events",
                    role="ours",
                    arguments={"count": 100, "in_flight_calls": 20, "share": 1},
                ),
            ),
        ),
        Case(
            name="latency",
            rounds=3,
            title="Events a second from one worker when each answer takes 20 ms",
            serve=f"{at}sink",
            rate=True,
            unit="events",
            reference="Rowcast, no latency",
            note="The sink and the client share two cores. 200 calls in flight can make 10,000 calls a second at most"
            " when each waits 20 ms: less than the sender makes without latency, so it takes more to hide it.",
            sides=(
                Side(
                    name="Rowcast, no latency",
                    call=f"{at}ours_events",
                    role="limit",
                    arguments={"calls": 6000, "in_flight": 300},
                ),
                Side(
                    name="Rowcast, 300 in flight",
                    call=f"{at}late_events",
                    role="ours",
                    arguments={"calls": 6000, "in_flight": 300},
                    goal=Goal(at_least=0.8),
                ),
                Side(
                    name="Rowcast, 200 in flight",
                    call=f"{at}late_events",
                    role="ours",
                    arguments={"calls": 6000, "in_flight": 200},
                ),
                Side(
                    name="Rowcast, 20 in flight",
                    call=f"{at}late_events",
                    role="ours",
                    arguments={"calls": 3000, "in_flight": 20},
                ),
                Side(name="boto3, 32 threads", call=f"{at}late_sdk", arguments={**few, "threads": 32}),
                Side(name="boto3, one thread", call=f"{at}late_sdk", arguments={"calls": 150, "threads": 1}),
            ),
        ),
    ]
