"""The debts table: pk `<sync>`, sk the key's hash. Large rows lie in S3 under `debts/`, where no rule expires them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from rowcast.errors import LockLost, RunFailed
from rowcast.models import Debt, to_json
from rowcast.ports import Clock
from rowcast.stores import aws, stored
from rowcast.stores.bodies import Bodies
from rowcast.stores.clock import SystemClock
from rowcast.stores.dynamo import Item, key, number, query, text, transact

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITES = 99  # of the 100 items of a transaction, one is the fence
BYTES = 2_500_000  # of 4 MB, so that it holds even where bodies are counted as the base64 text that travels
_REASON_CHARACTERS = 500
_decoder = msgspec.json.Decoder(Debt, float_hook=Decimal)


class DynamoDebts:
    """`state_table` holds the head whose token fences every write."""

    def __init__(
        self, *, client: DynamoDBClient, table: str, state_table: str, bodies: Bodies, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._table = table
        self._state_table = state_table
        self._bodies = bodies
        self._clock = clock or SystemClock()

    def debts(self, sync: str, first: str, last: str) -> Iterator[Debt]:
        for item in self._between(sync, first, last):
            yield stored.read(_decoder, self._bodies.unpack(item), f"A debt of {sync}")

    def key_hashes(self, sync: str, first: str, last: str) -> Iterator[str]:
        for item in self._between(sync, first, last, ProjectionExpression="sk"):
            yield item["sk"]["S"]

    def existing(self, sync: str, key_hashes: Sequence[str]) -> set[str]:
        return {item["sk"]["S"] for item in self._read(sync, key_hashes, "sk")}

    def book(self, sync: str, token: int, put: Sequence[Debt], delete: Sequence[str]) -> None:
        writes: dict[str, Debt | None] = {debt.key_hash: debt for debt in put}
        writes |= dict.fromkeys(delete)
        for group in self._groups(sync, writes):
            replaced = [item["overflow"]["S"] for item in self._read(sync, list(group), "overflow") if item]
            if not transact(self._client, self._clock, [self._fence(sync, token), *group.values()]):
                raise LockLost(f"Another run holds the lock of {sync}.")
            kept = {write["Put"]["Item"].get("overflow", {}).get("S") for write in group.values() if "Put" in write}
            if discarded := [pointer for pointer in replaced if pointer not in kept]:
                self._bodies.discard(discarded)

    def _between(self, sync: str, first: str, last: str, **arguments: Any) -> Iterator[Item]:
        return query(
            self._client,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={":pk": text(sync), ":first": text(first), ":last": text(last)},
            **arguments,
        )

    def _groups(self, sync: str, writes: dict[str, Debt | None]) -> Iterator[dict[str, Item]]:
        """Writes cut into transactions, by count and by bytes."""
        group: dict[str, Item] = {}
        size = 0
        for key_hash, debt in writes.items():
            write, cost = self._put(debt) if debt else ({"Delete": {**self._target(sync, key_hash)}}, 100)
            if len(group) == WRITES or (group and size + cost > BYTES):
                yield group
                group, size = {}, 0
            group[key_hash] = write
            size += cost
        if group:
            yield group

    def _put(self, debt: Debt) -> tuple[Item, int]:
        data = to_json(debt)
        digest = hashlib.sha256(data).hexdigest()[:16]
        body = self._bodies.pack(data, f"debts/{debt.sync}/{debt.key_hash}-{digest}.z")
        reason = debt.reason[:_REASON_CHARACTERS]
        item = {
            **key(debt.sync, debt.key_hash),
            **body,
            "operation": text(debt.operation),
            "outcome": text("in_doubt" if debt.in_doubt else "rejected"),
            "reason": text(reason),
            "attempts": number(debt.attempts),
            "first_run": text(debt.first_run),
            "last_run": text(debt.last_run),
        }
        size = len(body["body"]["B"]) if "body" in body else 0
        return {"Put": {"TableName": self._table, "Item": item}}, size + 4 * len(reason) + 500

    def _fence(self, sync: str, token: int) -> Item:
        return {
            "ConditionCheck": {
                "TableName": self._state_table,
                "Key": key(sync, "head"),
                "ConditionExpression": "#token = :token",
                "ExpressionAttributeNames": {"#token": "token"},
                "ExpressionAttributeValues": {":token": number(token)},
            }
        }

    def _target(self, sync: str, key_hash: str) -> Item:
        return {"TableName": self._table, "Key": key(sync, key_hash)}

    def _read(self, sync: str, key_hashes: Sequence[str], projection: str) -> Iterator[Item]:
        distinct = list(dict.fromkeys(key_hashes))
        for start in range(0, len(distinct), 100):
            keys = [key(sync, key_hash) for key_hash in distinct[start : start + 100]]
            yield from self._read_batch(keys, projection)

    def _read_batch(self, keys: list[Item], projection: str) -> Iterator[Item]:
        asked: Any = {self._table: {"Keys": keys, "ProjectionExpression": projection, "ConsistentRead": True}}
        for _ in aws.tries(self._clock):
            reply = self._client.batch_get_item(RequestItems=asked)
            yield from reply["Responses"].get(self._table, [])
            asked = reply.get("UnprocessedKeys")
            if not asked:
                return
        raise RunFailed("DynamoDB kept leaving debts unread: its capacity is exhausted.")
