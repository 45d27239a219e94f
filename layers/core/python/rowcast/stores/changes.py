"""The changes table: per run (pk `<sync>#<run>`) the items `state#<chunk>` and `result#<partition>`, and per partition
of a run (pk `<sync>#<run>#<partition>`) `chunk#<id>`.

Chunks are nearly all that is written, and DynamoDB takes 1,000 units a second for one pk: a run's, under its own pk
alone, would take a quarter of an hour of a first run over ten million rows, which no diff has. Chunks of earlier
releases lie under the run's pk, and are still found there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.exceptions import ClientError
from msgspec.structs import replace

from rowcast import chunks
from rowcast.chunks import WrittenChunk
from rowcast.errors import LockLost, RunFailed
from rowcast.models import Chunk, ChunkState, PartitionResult, to_json
from rowcast.ports import Clock
from rowcast.stores import stored
from rowcast.stores.bodies import Bodies
from rowcast.stores.clock import SystemClock
from rowcast.stores.dynamo import Item, flag, get, is_failed_condition, key, number, query_prefix, text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_SECONDS = 30 * 86_400
_result_decoder = msgspec.json.Decoder(PartitionResult)
_state_decoder = msgspec.json.Decoder(ChunkState)
_NAMES = {"#token": "token"}


class DynamoChanges:
    def __init__(
        self,
        *,
        client: DynamoDBClient,
        table: str,
        bodies: Bodies,
        clock: Clock | None = None,
        kept_seconds: int = KEPT_SECONDS,
    ) -> None:
        self._client = client
        self._table = table
        self._bodies = bodies
        self._clock = clock or SystemClock()
        self._kept_seconds = kept_seconds

    def put_chunk(self, chunk: Chunk | WrittenChunk) -> None:
        body = self._bodies.pack(to_json(chunk), f"overflow/{chunk.sync}/{chunk.run}/{chunk.id}.z")
        self._put_once({**key(_chunk_pk(chunk.sync, chunk.run, chunk.id), f"chunk#{chunk.id}"), **body})

    def chunk(self, sync: str, run: str, chunk: str) -> Chunk:
        return self.chunk_and_size(sync, run, chunk)[0]

    def chunk_and_size(self, sync: str, run: str, chunk: str) -> tuple[Chunk, int]:
        places = (_chunk_pk(sync, run, chunk), _pk(sync, run))
        found = (get(self._client, self._table, pk, f"chunk#{chunk}") for pk in places)
        item = next((one for one in found if one is not None), None)
        if item is None:
            raise RunFailed(f"Chunk {chunk} of run {run} of {sync} is gone.")
        body = self._bodies.unpack(item)
        return stored.read(chunks.decoder, body, f"Chunk {chunk} of run {run} of {sync}").chunk(), len(body)

    def put_result(self, sync: str, run: str, result: PartitionResult) -> None:
        data = msgspec.json.encode(result)
        body = self._bodies.pack(data, _overflow_key(sync, run, f"result-{result.partition}", data))
        self._put_once({**key(_pk(sync, run), f"result#{result.partition:08d}"), **body})

    def results(self, sync: str, run: str) -> list[PartitionResult]:
        items = query_prefix(self._client, self._table, _pk(sync, run), "result#")
        what = f"The result of a partition in run {run} of {sync}"
        return [stored.read(_result_decoder, self._bodies.unpack(item), what) for item in items]

    def claim(self, sync: str, run: str, chunk: str, token: int, claim: str, deadline: float) -> ChunkState | None:
        """Keeps the claim before it in the item: a claim repeated because its reply was lost answers the same."""
        try:
            old = self._client.update_item(
                TableName=self._table,
                Key=key(_pk(sync, run), f"state#{chunk}"),
                UpdateExpression=(
                    "SET previous_token = if_not_exists(#token, :none), previous_claim = if_not_exists(claim, :empty), "
                    "previous_deadline = if_not_exists(deadline, :none), previous_paused = if_not_exists(paused, :no), "
                    "#token = :token, claim = :claim, deadline = :deadline, paused = :no, "
                    "done = if_not_exists(done, :no), booked = if_not_exists(booked, :no), expires_at = :expires"
                ),
                ConditionExpression=(
                    "attribute_not_exists(claim) OR (#token <= :token AND done = :no AND claim <> :claim)"
                ),
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues={
                    ":token": number(token),
                    ":claim": text(claim),
                    ":deadline": number(deadline),
                    ":none": number(-1),
                    ":empty": text(""),
                    ":no": flag(False),
                    ":expires": self._expiry(),
                },
                ReturnValues="ALL_OLD",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ).get("Attributes")
        except ClientError as error:
            if not is_failed_condition(error):
                raise
            return self._claimed_before(cast("Any", error.response)["Item"], sync, token, claim)
        return self._state(old) if old else None

    def record(self, sync: str, run: str, state: ChunkState) -> None:
        data = msgspec.json.encode(state)
        body = self._bodies.pack(data, _overflow_key(sync, run, f"{state.chunk}-state", data))
        (name, value), other = next(iter(body.items())), "overflow" if "body" in body else "body"
        booking = ", booked = :yes" if state.booked else ""
        self._update_state(
            sync,
            run,
            state.chunk,
            f"SET {name} = :content, done = :done, paused = :paused, deadline = :deadline{booking} REMOVE {other}",
            "claim = :claim",
            {
                ":content": value,
                ":done": flag(state.done),
                ":paused": flag(state.paused),
                ":deadline": number(state.deadline),
                ":claim": text(state.claim),
                **({":yes": flag(True)} if state.booked else {}),
            },
        )

    def states(self, sync: str, run: str, beginning: str = "") -> Iterator[ChunkState]:
        for item in query_prefix(self._client, self._table, _pk(sync, run), f"state#{beginning}"):
            yield self._state(item)

    def mark_booked(self, sync: str, run: str, chunk: str) -> None:
        self._update_state(sync, run, chunk, "SET booked = :yes", "attribute_exists(claim)", {":yes": flag(True)})

    def _put_once(self, item: Item) -> None:
        expiring = {**item, "expires_at": self._expiry()}
        try:
            self._client.put_item(TableName=self._table, Item=expiring, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            if not is_failed_condition(error):
                raise

    def _update_state(self, sync: str, run: str, chunk: str, update: str, condition: str, values: Item) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key(_pk(sync, run), f"state#{chunk}"),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if is_failed_condition(error):
                raise LockLost(f"Another worker claimed chunk {chunk} of {sync}.") from error
            raise

    def _claimed_before(self, item: Item, sync: str, token: int, claim: str) -> ChunkState | None:
        state = self._state(item)
        if state.token > token:
            raise LockLost(f"A newer holder of {sync} works on chunk {state.chunk}.")
        if state.done or state.claim != claim:
            return state
        if not item["previous_claim"]["S"]:
            return None
        return replace(
            state,
            token=int(item["previous_token"]["N"]),
            claim=item["previous_claim"]["S"],
            deadline=float(item["previous_deadline"]["N"]),
            paused=item["previous_paused"]["BOOL"],
        )

    def _state(self, item: Item) -> ChunkState:
        """The recorded progress, under the claim and flags that the item's attributes hold now."""
        now = ChunkState(
            chunk=item["sk"]["S"].removeprefix("state#"),
            token=int(item["token"]["N"]),
            claim=item["claim"]["S"],
            deadline=float(item["deadline"]["N"]),
            done=item["done"]["BOOL"],
            paused=item["paused"]["BOOL"],
            booked=item["booked"]["BOOL"],
        )
        if "body" not in item and "overflow" not in item:
            return now
        recorded = stored.read(_state_decoder, self._bodies.unpack(item), f"The state of chunk {now.chunk}")
        return replace(
            recorded,
            token=now.token,
            claim=now.claim,
            deadline=now.deadline,
            done=now.done,
            paused=now.paused,
            booked=now.booked,
        )

    def _expiry(self) -> Item:
        return number(int(self._clock.now()) + self._kept_seconds)


def _pk(sync: str, run: str) -> str:
    return f"{sync}#{run}"


def _chunk_pk(sync: str, run: str, chunk: str) -> str:
    """A chunk's id begins with its partition's number."""
    return f"{_pk(sync, run)}#{chunk.partition('-')[0]}"


def _overflow_key(sync: str, run: str, name: str, data: bytes) -> str:
    """Named by content, so that a writer who lost its claim overwrites nothing."""
    return f"overflow/{sync}/{run}/{name}-{hashlib.sha256(data).hexdigest()[:16]}.z"
