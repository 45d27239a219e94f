"""Measures at the receiver how exactly a rate and a concurrency are kept: `python -m bench.pace`.

Workers are processes that run fan out's own code over the clock of this machine: the EventBridge destination sends to a
receiver of this script, and the pace is kept in the DynamoDB of the embedded AWS. Half-way one worker is killed. The
receiver notes when each call arrived and how many it had open.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3

from bench.sending import sync_of
from project.times import rate as parse_rate
from rowcast import in_flight
from rowcast.definition import Definition, Limits, Rate, Trigger, Triggers
from rowcast.delivering import Sending
from rowcast.destinations import batch_size, connect
from rowcast.destinations.eventbridge import ENTRIES, EventBridge
from rowcast.destinations.session import delivery_config
from rowcast.fan_out import send_share
from rowcast.message import RunInfo, compile_address, compile_message
from rowcast.models import Change, Chunk, Head, Run
from rowcast.stores.clock import SystemClock
from rowcast.stores.pace import pace
from rowcast.under_way import UnderWay
from tests import fakes

HANDLING_SECONDS = 0.03
CHUNK = 200
SHARE = 3
KEYS: dict[str, Any] = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-west-1"}


class Receiver(BaseHTTPRequestHandler):
    """PutEvents, and GET for what was seen: arrivals as [time, entries], and the most calls open at once."""

    protocol_version = "HTTP/1.1"
    arrivals: list[tuple[float, int]] = []  # noqa: RUF012
    open_calls = 0
    most_open = 0
    lock = threading.Lock()

    def do_POST(self) -> None:
        arrived = time.time()
        entries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Entries"]
        with Receiver.lock:
            Receiver.arrivals.append((arrived, len(entries)))
            Receiver.open_calls += 1
            Receiver.most_open = max(Receiver.most_open, Receiver.open_calls)
        time.sleep(HANDLING_SECONDS)
        with Receiver.lock:
            Receiver.open_calls -= 1
        self._answer({"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in entries]})

    def do_GET(self) -> None:
        with Receiver.lock:
            self._answer({"arrivals": Receiver.arrivals, "most_open": Receiver.most_open})

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


def receive(port: int) -> None:
    _Server(("127.0.0.1", port), Receiver).serve_forever()


def work(number: int, definition: Definition, table_endpoint: str, receiver: str, until: float) -> None:
    """One worker: share after share until the time is over."""
    address = compile_address(definition.triggers)
    session = boto3.Session(**KEYS)
    events = session.client("events", endpoint_url=receiver, config=delivery_config())
    destination = EventBridge(
        client=events,
        connect=lambda operation: connect(events, session, operation),
        triggers=definition.triggers,
        address=address,
        oversize=lambda message, _: message,
        batch_size=batch_size(ENTRIES, definition.limits.rate),
    )
    table: Any = boto3.client("dynamodb", endpoint_url=table_endpoint, **KEYS)
    clock = SystemClock()
    run = Run(sync="bench", run="r1", generation=0, execution="e", definition="d", started_at=time.time())
    states, changes = fakes.FakeStateStore(), fakes.FakeChangeStore()
    states.heads["bench"] = Head(sync="bench", token=1, open_run=run.run)
    states.records["bench", run.run] = run
    sending = Sending(
        definition=definition,
        states=states,
        changes=changes,
        calls=fakes.FakeCallStore(),
        destination=destination,
        render=compile_message(definition, RunInfo(run.run, run.started_at)),
        pace=pace(definition, client=table, table="state", clock=clock),
        clock=clock,
        budget=fakes.FakeBudget(900.0),
        claim="claim",
        jitter=random.Random(number),
        under_way=UnderWay(definition.limits.calls_per_worker),
    )
    count = 0
    while time.time() < until:
        count += 1
        share = [_chunk(f"{number}-{count}-{one}") for one in range(SHARE)]
        for chunk in share:
            changes.put_chunk(chunk)
        in_flight.finish(send_share(run, 1, [chunk.id for chunk in share], sending))


def _chunk(name: str) -> Chunk:
    changes = [
        Change(operation="added", key=[n], key_hash=f"{n:032x}", id=f"{name}-{n}", after={"id": n, "text": "x" * 50})
        for n in range(CHUNK)
    ]
    return Chunk(sync="bench", run="r1", id=name, changes=changes)


def sync(rate: str, workers: int, calls: int) -> Definition:
    limits = Limits(rate=parse_rate(rate), concurrency=workers * calls)
    assert limits.workers == workers, "workers times calls must divide as fan out divides it"
    return sync_of(Triggers(added=Trigger(bus="bench", source="bench", detail_type="Row")), limits=limits)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def embedded_aws() -> Iterator[str]:
    port = free_port()
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1"}
    quiet = {"SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR", "PERSIST_STATE": "0"}
    command = [sys.executable, "-c", "from ministack.app import main; main()"]
    process = subprocess.Popen(command, env={**os.environ, **settings, **quiet}, stdout=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        await_url(f"{endpoint}/_ministack/health")
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_url(url: str) -> bytes:
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return bytes(reply.read())
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(url)


def judged(seen: dict[str, Any], definition: Definition) -> dict[str, Any]:
    rate = definition.limits.rate
    assert rate is not None
    arrivals = sorted((at, count) for at, count in seen["arrivals"])
    most, ended = fullest_window(arrivals, rate.seconds)
    return {
        "rate": f"{rate.count} per {rate.seconds} s",
        "workers": definition.limits.workers,
        "concurrency": definition.limits.concurrency,
        "changes": sum(count for _, count in arrivals),
        "seconds": round(arrivals[-1][0] - arrivals[0][0], 2),
        "most_in_a_window": most,
        "which_ended_at": round(ended, 2),
        "used": round(used(arrivals, rate), 3),
        "most_calls_open": seen["most_open"],
    }


def fullest_window(arrivals: list[tuple[float, int]], seconds: float) -> tuple[int, float]:
    """How much it held, and when it ended, in seconds from the first arrival."""
    most, ended, held, first = 0, 0.0, 0, 0
    for at, count in arrivals:
        held += count
        while arrivals[first][0] <= at - seconds:
            held -= arrivals[first][1]
            first += 1
        if held > most:
            most, ended = held, at - arrivals[0][0]
    return most, ended


def used(arrivals: list[tuple[float, int]], rate: Rate) -> float:
    """How much of the rate was used from the first burst to the beginning of the last: what comes then is cut off."""
    gap = 0.25 * rate.seconds
    starts = [n for n, (at, _) in enumerate(arrivals) if n == 0 or at - arrivals[n - 1][0] > gap]
    last = starts[-1] if len(starts) > 1 else len(arrivals) - 1
    return sum(count for _, count in arrivals[:last]) / rate.count / (arrivals[last][0] - arrivals[0][0]) * rate.seconds


class NotMeasured(Exception):
    """A worker ended before its time, by itself, or none came to send."""


def measure(definition: Definition, seconds: float, kill: bool) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    port = free_port()
    receiver = context.Process(target=receive, args=(port,), daemon=True)
    receiver.start()
    workers: list[Any] = []
    try:
        url = f"http://127.0.0.1:{port}"
        with embedded_aws() as endpoint:
            await_url(url)
            _make_table(endpoint)
            until = time.time() + seconds + 5.0  # five for the workers to start
            numbers = range(definition.limits.workers)
            workers += [
                context.Process(target=work, args=(n, definition, endpoint, url, until), daemon=True) for n in numbers
            ]
            for worker in workers:
                worker.start()
            if kill:
                watch(workers, time.time() + (until - time.time()) / 2)
                workers[0].kill()
            watch(workers[1:] if kill else workers, until)
            seen = json.loads(await_url(url))  # what came while there was work for all
    finally:
        for process in [*workers, receiver]:
            process.kill()
            process.join()
    if not seen["arrivals"]:
        raise NotMeasured("Nothing arrived: the workers need more seconds to start here.")
    return judged(seen, definition)


def watch(workers: Sequence[Any], until: float) -> None:
    """Waits. Raises NotMeasured when one ends meanwhile."""
    sentinels = {worker.sentinel: worker for worker in workers}
    while (left := until - time.time()) > 0:
        for ended in multiprocessing.connection.wait(list(sentinels), left):
            worker = sentinels[ended]
            worker.join()
            if time.time() < until or worker.exitcode:
                raise NotMeasured(f"{worker.name} ended with exit code {worker.exitcode}; see its error above.")
            del sentinels[ended]


def _make_table(endpoint: str) -> None:
    table: Any = boto3.client("dynamodb", endpoint_url=endpoint, **KEYS)
    table.create_table(
        TableName="state",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", default="200 per second")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--calls", type=int, default=8, help="in flight for each worker")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--no-kill", action="store_true", help="kill no worker half-way")
    given = parser.parse_args()
    try:
        found = measure(sync(given.rate, given.workers, given.calls), given.seconds, not given.no_kill)
    except NotMeasured as error:
        sys.exit(f"bench.pace: {error}")
    print(json.dumps(found))
    limit = parse_rate(given.rate).count
    kept = found["most_in_a_window"] <= limit and found["most_calls_open"] <= found["concurrency"]
    sys.exit(0 if kept and found["used"] >= 0.9 else 1)


if __name__ == "__main__":
    main()
