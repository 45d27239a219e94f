"""Fakes of a few lines each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from rowcast import definition as definitions
from rowcast.definition import Definition
from rowcast.errors import DefinitionInvalid, RunFailed
from rowcast.models import Deployment, Notice, to_json
from rowcast.ports import CallRecord
from tests.fakes.copies import copied


class FakeClock:
    """Time passes only by sleeping, or by `tick` seconds at each look."""

    def __init__(self, now: float = 1_760_000_000.0, tick: float = 0.0) -> None:
        self.time = now
        self.tick = tick
        self.slept: list[float] = []

    def now(self) -> float:
        self.time += self.tick
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    async def wait(self, seconds: float) -> None:
        self.sleep(seconds)


class FakeBudget:
    """With a clock, the time until `deadline`; without one, always `seconds`."""

    def __init__(self, seconds: float = 900.0, clock: FakeClock | None = None) -> None:
        self.seconds = seconds
        self.clock = clock
        self.deadline = clock.time + seconds if clock else 0.0

    def seconds_left(self) -> float:
        return self.deadline - self.clock.time if self.clock else self.seconds


class FakePace:
    """At most `count` in any window of `seconds`, by the log of all reservations; without a count, no limit."""

    def __init__(self, clock: FakeClock | None = None, count: int | None = None, seconds: float = 1.0) -> None:
        self.clock = clock or FakeClock()
        self.count = count
        self.seconds = seconds
        self.reserved: list[tuple[float, int]] = []
        self.slow_until = 0.0

    def reserve(self, count: int, within: float = math.inf) -> float:
        now = self.clock.now()
        start = max([now, self.slow_until, *(time for time, _ in self.reserved)])
        while self.count is not None and self._sent_in_window(start) + count > max(self.count, count):
            start = min(time for time, _ in self.reserved if time > start - self.seconds) + self.seconds
        if start - now <= within:
            self.reserved.append((start, count))
        return start - now

    def slow(self, seconds: float) -> None:
        self.slow_until = max(self.slow_until, self.clock.now() + seconds)

    def _sent_in_window(self, end: float) -> int:
        return sum(count for time, count in self.reserved if time > end - self.seconds)


class FakeExecutions:
    def __init__(self, *running: str) -> None:
        self.running = set(running)

    def is_running(self, execution: str) -> bool:
        return execution in self.running


class FakeDocuments:
    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.stored.get(key)

    def put(self, key: str, body: bytes) -> None:
        self.stored[key] = body


class FakeDefinitionStore:
    """`deploy` puts a sync where the real one puts a parameter and an asset."""

    def __init__(self) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.assets: dict[str, Definition] = {}
        self.pins: dict[tuple[str, str], Definition] = {}

    def deploy(self, definition: Definition) -> Deployment:
        key = f"assets/{definition.sync}/{len(self.assets)}.json"
        self.assets[key] = definition
        deployment = Deployment(
            definition_bucket="assets",
            definition_key=key,
            delivery_role_arn=f"arn:aws:iam::123456789012:role/{definition.sync}",
            retry_queue_url=f"https://queue/{definition.sync}",
            snapshot_function="snapshot",
            fan_out_function="publish",
        )
        self.deployments[definition.sync] = deployment
        return deployment

    def deployment(self, sync: str) -> Deployment:
        if sync not in self.deployments:
            raise DefinitionInvalid(f"No sync named {sync} is deployed.")
        return copied(self.deployments[sync])

    def deployed_definition(self, deployment: Deployment) -> Definition:
        return self.assets[deployment.definition_key]

    def pin(self, definition: Definition) -> str:
        digest = hashlib.sha256(definitions.encode(definition)).hexdigest()
        self.pins[definition.sync, digest] = definition
        return digest

    def pinned(self, sync: str, digest: str) -> Definition:
        if (sync, digest) not in self.pins:
            raise DefinitionInvalid(f"The definition that the run of {sync} opened with is gone.")
        return self.pins[sync, digest]


class FakeRetryQueue:
    """`hidden`: messages received and not deleted; `reappear` makes them visible, as a visibility timeout does."""

    def __init__(self) -> None:
        self.visible: list[tuple[int, Notice | None]] = []
        self.hidden: dict[str, tuple[int, Notice | None]] = {}
        self.quarantined: list[Notice | None] = []
        self._count = 0

    def send(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            self.put(copied(notice))

    def put(self, body: Notice | None) -> None:
        """Puts a message, or with None a body that is no notice."""
        self._count += 1
        self.visible.append((self._count, body))

    def receive(self) -> Iterator[tuple[str, Notice | None]]:
        while self.visible:
            message = self.visible.pop(0)
            self._count += 1
            receipt = f"{message[0]}:{self._count}"
            self.hidden[receipt] = message
            yield receipt, copied(message[1])

    def delete(self, receipts: Sequence[str]) -> None:
        for receipt in receipts:
            self.hidden.pop(receipt, None)

    def quarantine(self, receipt: str) -> None:
        if receipt not in self.hidden:
            raise RunFailed("No such message was received.")
        self.quarantined.append(self.hidden.pop(receipt)[1])

    def reappear(self) -> None:
        self.visible.extend(self.hidden.values())
        self.hidden.clear()


_call_decoder = msgspec.json.Decoder(CallRecord, float_hook=Decimal)


class FakeCallStore:
    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], dict[tuple[str, str], list[bytes]]] = {}

    def put(self, sync: str, run: str, chunk: str, claim: str, records: Sequence[CallRecord]) -> None:
        self.stored.setdefault((sync, run), {})[chunk, claim] = [to_json(record) for record in records]

    def calls(self, sync: str, run: str) -> Iterator[CallRecord]:
        for _, records in sorted(self.stored.get((sync, run), {}).items()):
            yield from (_call_decoder.decode(record) for record in records)
