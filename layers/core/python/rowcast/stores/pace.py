"""A sync's rate limit, held over all its workers by one item of the state table: pk `<sync>`, sk `pace`."""

from __future__ import annotations

import random
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

SLOTS = 60  # per window; the limit is undercut by at most one part in this many
_ATTEMPTS = 40
Log = dict[int, int]
"""Changes reserved per time slot."""


class NoPace:
    def reserve(self, count: int) -> float:  # noqa: ARG002 - without a limit no number matters
        return 0.0


def pace(definition: Definition, *, client: DynamoDBClient, table: str, clock: Clock | None = None) -> Pace:
    rate = definition.limits.rate
    if rate is None:
        return NoPace()
    return DynamoPace(client=client, table=table, sync=definition.sync, rate=rate, clock=clock)


class DynamoPace:
    """Lets at most `rate.count` changes go in any window of `rate.seconds`, in the order of their reservations.

    A reservation of more than `rate.count` at once cannot keep that; it delays what follows for as many windows as it
    takes, so that the average holds.
    """

    def __init__(
        self, *, client: DynamoDBClient, table: str, sync: str, rate: Rate, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._table = table
        self._sync = sync
        self._rate = rate
        self._width = rate.seconds / SLOTS
        self._clock = clock or SystemClock()

    def reserve(self, count: int) -> float:
        for _ in range(_ATTEMPTS):
            now = self._clock.now()
            log, version = self._read()
            slot, log = place(log, int(now / self._width), count, self._rate.count)
            if self._write(log, version):
                return max(0.0, slot * self._width - now)
            self._clock.sleep(random.uniform(0, 0.05))  # noqa: S311 - spreads load, keeps no secret
        raise RunFailed(f"The rate limit of {self._sync} could not be reserved: too many workers ask at once.")

    def _read(self) -> tuple[Log, int]:
        item = get(self._client, self._table, self._sync, "pace")
        if item is None or float(item["width"]["N"]) != self._width:
            return {}, int(item["version"]["N"]) if item else 0
        return msgspec.json.decode(item["log"]["S"], type=Log), int(item["version"]["N"])

    def _write(self, log: Log, version: int) -> bool:
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    **key(self._sync, "pace"),
                    "log": text(msgspec.json.encode(log).decode()),
                    "width": number(self._width),
                    "version": number(version + 1),
                },
                ConditionExpression="attribute_not_exists(pk) OR version = :seen",
                ExpressionAttributeValues={":seen": number(version)},
            )
        except ClientError as error:
            if is_failed_condition(error):
                return False
            raise
        return True


def place(log: Log, now: int, count: int, limit: int) -> tuple[int, Log]:
    """The slot from which `count` may go, and the log with them; slots that no window from `now` on sees are dropped.

    Two slots can lie in one window when they are at most SLOTS apart.
    """
    log = {slot: taken for slot, taken in log.items() if slot >= now - SLOTS}
    slot = max([now, *log])
    while (window := [s for s in log if s >= slot - SLOTS]) and sum(log[s] for s in window) + count > limit:
        slot = min(window) + SLOTS + 1
    start, rest = slot, count
    while rest > 0:
        log[slot] = log.get(slot, 0) + min(rest, limit)
        rest -= limit
        slot += SLOTS + 1
    return start, log
