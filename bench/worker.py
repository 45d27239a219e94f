"""One worker of fan out as a side: chunks are read, rendered, sent and recorded as in its function.

The stores are in memory. What they do to bodies is done: chunks and outcomes are compressed, and so are call records.
"""

from __future__ import annotations

import random
import time
from base64 import b64encode
from typing import Any

import msgspec
from isal import isal_zlib

from bench.sending import sync_of
from bench.side import timed
from rowcast import chunks, in_flight
from rowcast.chunks import Layout, WrittenChunk, WrittenTable
from rowcast.definition import Definition, Limits, Trigger, Triggers
from rowcast.delivering import Sending
from rowcast.destinations.eventbridge import EventBridge
from rowcast.fan_out import send_share
from rowcast.message import RunInfo, compile_address, compile_message
from rowcast.models import Chunk, Head, Run, to_json
from rowcast.seal import SHARE_CHUNKS
from rowcast.stores.calls import S3Calls
from rowcast.stores.clock import SystemClock
from rowcast.stores.pace import NoPace
from rowcast.under_way import UnderWay

CHANGES = 200
RUN = Run(sync="bench", run="20261120T160604.788Z", generation=0, execution="e", definition="d", started_at=1.76e9)
TRIGGERS = Triggers(added=Trigger(bus="orders", source="com.shop", detail_type="Order placed"))


class Stores:
    """States, changes and objects at once. Each call takes `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        numbers = range(CHANGES)
        values = ([*numbers], ["shipped"] * CHANGES, ["x" * 251] * CHANGES)
        table = WrittenTable(
            keys=msgspec.Raw(to_json([f"{len(str(n)) + 1}:n{n}" for n in numbers])),
            prints=b64encode(b"".join(n.to_bytes(32, "big") for n in range(1, CHANGES + 1))).decode(),
            after=[msgspec.Raw(to_json(column)) for column in values],
        )
        names = ["id", "status", "note"]
        written = WrittenChunk(
            sync="bench",
            run=RUN.run,
            id="1",
            operation="added",
            layout=Layout(key=["id"], before=[], after=names),
            destination="eventbridge",
            generation=0,
            changes=[],
            table=table,
        )
        self._body = isal_zlib.compress(to_json(written), level=1)
        self.accepted = 0

    def head(self, sync: str) -> Head:
        self._take()
        return Head(sync=sync, token=1, holder="e", open_run=RUN.run)

    def run(self, sync: str, run: str) -> Run:  # noqa: ARG002 - the port's
        self._take()
        return RUN

    def claim(self, *_: Any) -> None:
        self._take()

    def chunk_and_size(self, sync: str, run: str, chunk: str) -> tuple[Chunk, int]:
        self._take()
        body = isal_zlib.decompress(self._body)
        found = chunks.decoder.decode(body).chunk()
        return Chunk(sync=sync, run=run, id=chunk, changes=found.changes), len(body)

    def record(self, sync: str, run: str, state: Any) -> None:  # noqa: ARG002
        self._take()
        isal_zlib.compress(msgspec.json.encode(state), level=1)
        self.accepted += sum(outcome.outcome == "accepted" for outcome in state.outcomes)

    def put(self, key: str, data: bytes) -> None:  # noqa: ARG002
        self._take()

    def _take(self) -> None:
        if self._seconds:
            time.sleep(self._seconds)


class Budget:
    def seconds_left(self) -> float:
        return 900.0


def worker(
    line: tuple[Any, Any], count: int, in_flight_calls: int, share: int = SHARE_CHUNKS, store_seconds: float = 0.0
) -> dict[str, Any]:
    """Sends `count` chunks in shares of so many. `line`: a client, and what connects to the operation that sends."""
    client, connect = line
    definition = _definition(2 * in_flight_calls)
    assert definition.limits.calls_per_worker == in_flight_calls
    stores: Any = Stores(store_seconds)
    destination = EventBridge(
        client=client,
        connect=connect,
        triggers=TRIGGERS,
        address=compile_address(TRIGGERS),
        oversize=lambda message, _: message,
    )
    sending = Sending(
        definition=definition,
        states=stores,
        changes=stores,
        calls=S3Calls(objects=stores),
        destination=destination,
        render=compile_message(definition, RunInfo(RUN.run, RUN.started_at)),
        pace=NoPace(),
        clock=SystemClock(),
        budget=Budget(),
        claim="claim",
        jitter=random.Random(0),
        under_way=UnderWay(in_flight_calls),
    )
    _send(SHARE_CHUNKS, SHARE_CHUNKS, in_flight_calls, sending)
    stores.accepted = 0
    with timed():
        _send(count, share, in_flight_calls, sending)
    assert stores.accepted == count * CHANGES, "a change was not accepted"
    return {"work": stores.accepted}


def _send(count: int, share: int, calls: int, sending: Sending) -> None:
    names = [f"{number:06d}" for number in range(count)]
    for start in range(0, count, share):
        sending.under_way = UnderWay(calls)
        assert in_flight.finish(send_share(RUN, 1, names[start : start + share], sending))


def _definition(concurrency: int) -> Definition:
    return sync_of(TRIGGERS, limits=Limits(concurrency=concurrency))
