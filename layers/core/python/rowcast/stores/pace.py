"""A rate limit held over all who share it by one item of the state table: sk `pace`, pk the sync, or `pool:<name>`."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import ClientError

from rowcast.definition import Definition, Rate
from rowcast.errors import RunFailed
from rowcast.ports import Clock, Pace
from rowcast.stores.clock import SystemClock
from rowcast.stores.dynamo import get, is_failed_condition, key, number, text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SLOTS = 60
"""Per window."""
SPAN = SLOTS + 3
"""Slots that may not hold more than the rate together: with the three more, a call may reach its receiver up to four
slots after its slot began, and still no window holds more than the rate. The price is one part in sixteen of the rate.
"""
SPREAD = 16
LEAST_BURST = 10
"""A slot is given no more than this part of a window, or so many: the more calls go at once, the longer their way."""
LATE = 3
"""Slots after a slot's start until which it may still be used by who took it; one is left for the way."""
COLD_SECONDS = 0.3
"""How much longer than later ones the first calls of new workers may be on their way: they open connections."""
_ATTEMPTS = 100
_LONGEST_PAUSE = 0.5
Log = dict[int, int]
"""Changes reserved per time slot."""


def pace(definition: Definition, *, client: DynamoDBClient, table: str, clock: Clock | None = None) -> Pace:
    limits = definition.limits
    if limits.rate is None:
        return NoPace(clock)
    name = f"pool:{limits.pool}" if limits.pool is not None else definition.sync
    return DynamoPace(client=client, table=table, name=name, rate=limits.rate, clock=clock)


class NoPace:
    """Without a rate there is nothing to share: only this worker's calls are slowed."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._slow_until = 0.0

    def reserve(self, count: int, within: float = math.inf) -> float:  # noqa: ARG002 - without a limit no number matters
        return max(0.0, self._slow_until - self._clock.now())

    def slow(self, seconds: float) -> None:
        self._slow_until = max(self._slow_until, self._clock.now() + seconds)


@dataclass(eq=False)
class _Ticket:
    """What one caller asks for, when its slot starts, and, once it is served, how long it waits."""

    count: int
    within: float
    start: float = 0.0
    wait: float | None = None


@dataclass
class _State:
    """The item. `slow_until`: epoch seconds before which no slot is given. `opened`: the slot at which sending began
    after a time without any."""

    log: Log = field(default_factory=dict)
    opened: int = 0
    version: int = 0
    slow_until: float = 0.0


class DynamoPace:
    """Lets at most `rate.count` changes go in any window of `rate.seconds`, in the order of their reservations.

    A reservation of more than `rate.count` at once cannot keep that; it delays what follows for as many windows as it
    takes, so that the average holds. Threads that ask at once are served by one write.
    """

    def __init__(
        self, *, client: DynamoDBClient, table: str, name: str, rate: Rate, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._table = table
        self._name = name
        self._rate = rate
        self._width = rate.seconds / SLOTS
        self._cold = max(0, math.ceil(COLD_SECONDS / self._width) - LATE)
        self._clock = clock or SystemClock()
        self._asking: deque[_Ticket] = deque()
        self._serving = Lock()

    def reserve(self, count: int, within: float = math.inf) -> float:
        ticket = _Ticket(count, within)
        self._asking.append(ticket)
        with self._serving:
            if ticket.wait is None:
                asking = {self._asking.popleft() for _ in range(len(self._asking))}
                self._serve([ticket, *(asking - {ticket})])
        assert ticket.wait is not None, "serving answers or raises"
        return ticket.wait

    def slow(self, seconds: float) -> None:
        until = self._clock.now() + seconds
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key(self._name, "pace"),
                UpdateExpression="SET slow_until = :until ADD version :one",
                ConditionExpression="attribute_not_exists(slow_until) OR slow_until < :until",
                ExpressionAttributeValues={":until": number(until), ":one": number(1)},
            )
        except ClientError as error:
            if not is_failed_condition(error):
                raise

    def _serve(self, tickets: list[_Ticket]) -> None:
        """A slot that is over before it is written is given up, and another one taken."""
        for attempt in range(_ATTEMPTS):
            now = self._clock.now()
            state = self._read()
            taken = [ticket for ticket in tickets if self._place(ticket, state, now)]
            if not taken or self._write(state):
                written = self._clock.now()
                for ticket in taken:
                    if written - ticket.start <= LATE * self._width:
                        ticket.wait = max(0.0, ticket.start - written)
            tickets = [ticket for ticket in tickets if ticket.wait is None]
            if not tickets:
                return
            self._clock.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.01 * (attempt + 1))))  # noqa: S311 - spreads load
        raise RunFailed(f"The rate limit of {self._name} could not be reserved: too many workers ask at once.")

    def _place(self, ticket: _Ticket, state: _State, now: float) -> bool:
        """Whether a slot was taken for it in the state's log; if not, the ticket is served with its refusal."""
        first = max(int(now / self._width), math.ceil(state.slow_until / self._width))
        opened = state.opened if any(slot >= first - SPAN for slot in state.log) else first
        slot, log = place(state.log, first, ticket.count, self._rate.count, cold_until=opened + SPAN, cold=self._cold)
        ticket.start = slot * self._width
        if ticket.start - now > ticket.within:
            ticket.wait = ticket.start - now
            return False
        state.log, state.opened = log, opened
        return True

    def _read(self) -> _State:
        item = get(self._client, self._table, self._name, "pace")
        if item is None:
            return _State()
        state = _State(version=int(item["version"]["N"]))
        if "slow_until" in item:
            state.slow_until = float(item["slow_until"]["N"])
        if "width" in item and float(item["width"]["N"]) == self._width:
            state.log = msgspec.json.decode(item["log"]["S"], type=Log)
            state.opened = int(item["opened"]["N"])
        return state

    def _write(self, state: _State) -> bool:
        """False when another one wrote since the state was read."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    **key(self._name, "pace"),
                    "log": text(msgspec.json.encode(state.log).decode()),
                    "opened": number(state.opened),
                    "width": number(self._width),
                    "slow_until": number(state.slow_until),
                    "version": number(state.version + 1),
                },
                ConditionExpression="attribute_not_exists(pk) OR version = :seen",
                ExpressionAttributeValues={":seen": number(state.version)},
            )
        except ClientError as error:
            if is_failed_condition(error):
                return False
            raise
        return True


def place(log: Log, first: int, count: int, limit: int, *, cold_until: int = -1, cold: int = 0) -> tuple[int, Log]:
    """The slot from which `count` may go, not before `first`, and the log with them; slots that no slot from `first` on
    can share a span with are dropped. Spans that begin at a slot up to `cold_until` are longer by `cold`.
    """

    def end(slot: int) -> int:
        return slot + SPAN + (cold if slot <= cold_until else 0)

    log = {slot: taken for slot, taken in log.items() if end(slot) >= first}
    most = max(LEAST_BURST, math.ceil(limit / SPREAD))
    slot = max([first, *log])
    if slot in log and log[slot] + count > most:
        slot += 1
    while (window := [s for s in log if end(s) >= slot]) and sum(log[s] for s in window) + count > limit:
        slot = min(map(end, window)) + 1
    start, rest = slot, count
    while rest > 0:
        log[slot] = log.get(slot, 0) + min(rest, limit)
        rest -= limit
        slot = end(slot) + 1
    return start, log
