"""The state table: per sync the item `head`, and one item `run#<run>` per run.

What conditions and parallel workers touch are attributes of their own; the rest of a run is JSON in `body`. A run's
item carries the token that may work on it, so that parallel workers are fenced without all of them touching the head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import ClientError

from rowcast.errors import LockLost, RunFailed
from rowcast.models import PHASES, Head, Run
from rowcast.ports import Clock
from rowcast.stores import stored
from rowcast.stores.clock import SystemClock
from rowcast.stores.dynamo import Item, get, is_failed_condition, key, number, query_prefix, text, transact

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SUMMARY_SECONDS = 400 * 86_400
_NAMES = {"#token": "token"}
_REASONS_PER_UPDATE = 90
_CLOSING = {"held": "SET held_run = :run REMOVE open_run"}


_BUSY = ("holder", "open_run", "held_run")
_run_decoder = msgspec.json.Decoder(Run)


class DynamoState:
    def __init__(self, *, client: DynamoDBClient, table: str, clock: Clock | None = None) -> None:
        self._client = client
        self._table = table
        self._clock = clock or SystemClock()

    def head(self, sync: str) -> Head:
        item = get(self._client, self._table, sync, "head") or {}
        version = item.get("version", {"N": "1"})["N"]
        if version != "1":
            raise stored.foreign(f"The head of {sync}", f"version {version}")
        if "moved_to" in item:
            raise RunFailed(f"{sync} was renamed to {item['moved_to']['S']}: deploy the project in which it is.")
        return Head(
            sync=sync,
            generation=int(item.get("generation", {"N": "0"})["N"]),
            token=int(item.get("token", {"N": "0"})["N"]),
            holder=item.get("holder", {}).get("S"),
            open_run=item.get("open_run", {}).get("S"),
            history=[entry["S"] for entry in item.get("history", {"L": []})["L"]],
            owed=int(item.get("owed", {"N": "0"})["N"]),
            owed_since=item.get("owed_since", {"S": ""})["S"],
            held=item.get("held_run", {}).get("S"),
        )

    def run(self, sync: str, run: str) -> Run | None:
        item = get(self._client, self._table, sync, f"run#{run}")
        return _decode(item) if item is not None and "body" in item else None

    def runs(self, sync: str, limit: int) -> list[Run]:
        found: list[Run] = []
        for item in query_prefix(self._client, self._table, sync, "run#", ScanIndexForward=False):
            if len(found) >= limit:
                break
            if "body" in item:
                found.append(_decode(item))
        return found

    def take_lock(self, seen: Head, execution: str) -> Head | None:
        token = seen.token + 1
        writes = [{"Update": self._taking(seen, token, execution)}]
        if seen.open_run is not None:
            writes.append({"Update": self._passing_on(seen.sync, seen.open_run, token)})
        transact(self._client, self._clock, writes)
        head = self.head(seen.sync)  # also answers a take that succeeded and whose reply was lost
        return head if (head.token, head.holder) == (token, execution) else None

    def rename(self, sync: str, record: Run) -> int:
        """Puts the sync's head under the name of `record`, locked with the token that it answers, and ends the old one.

        The record is stored with it. Repeating it answers the same and changes nothing. Raises RunFailed when either
        name is in use.
        """
        name = record.sync
        item = get(self._client, self._table, sync, "head")
        if item is None:
            raise RunFailed(f"{sync} has never run: there is nothing to take along.")
        token = int(item["token"]["N"])
        if "moved_to" in item:
            if item["moved_to"]["S"] != name:
                raise RunFailed(f"{sync} was renamed to {item['moved_to']['S']} before.")
            return token
        moving = self._head_update(
            sync,
            "SET moved_to = :name, #token = :next",
            " AND ".join(["#token = :token", *(f"attribute_not_exists({one})" for one in _BUSY)]),
            {":name": text(name), ":token": number(token), ":next": number(token + 1)},
        )
        head = {**item, **key(name, "head"), "token": number(token + 1), "holder": text(f"rename:{sync}")}
        putting = {"TableName": self._table, "Item": head, "ConditionExpression": "attribute_not_exists(pk)"}
        storing = self._run_update(record, token + 1)
        if not transact(self._client, self._clock, [{"Update": moving}, {"Put": putting}, {"Update": storing}]):
            raise RunFailed(f"{sync} has a run that goes on or is held, or {name} has run before.")
        return token + 1

    def release_lock(self, sync: str, token: int) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key(sync, "head"),
                UpdateExpression="REMOVE holder",
                ConditionExpression="#token = :token",
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues={":token": number(token)},
            )
        except ClientError as error:
            if not is_failed_condition(error):
                raise

    def begin(self, run: Run, token: int) -> None:
        opening = self._head_update(
            run.sync,
            "SET open_run = :run",
            "#token = :token AND attribute_not_exists(open_run)",
            {":run": text(run.run), ":token": number(token)},
        )
        storing = self._run_update(run, token)
        storing["ConditionExpression"] = "attribute_not_exists(body)"
        if transact(self._client, self._clock, [{"Update": opening}, {"Update": storing}]):
            return
        head = self._current(run.sync, token)
        if head.open_run != run.run or self.run(run.sync, run.run) is None:
            raise LockLost(f"Run {head.open_run or run.run} of {run.sync} was begun before.")

    def save(self, run: Run, token: int) -> None:
        fence = {
            "TableName": self._table,
            "Key": key(run.sync, "head"),
            "ConditionExpression": "#token = :token AND open_run = :run",
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": {":token": number(token), ":run": text(run.run)},
        }
        storing = self._run_update(run, token)
        storing["ConditionExpression"] = "attribute_not_exists(reached) OR reached <= :reached"
        if not transact(self._client, self._clock, [{"ConditionCheck": fence}, {"Update": storing}]):
            self._current(run.sync, token)
            raise LockLost(f"Run {run.run} of {run.sync} has gone on: this step was overtaken by its own repeat.")

    def stop(self, sync: str, run: str, token: int, reason: str) -> None:
        self._update_run(sync, run, token, "SET stopped = if_not_exists(stopped, :reason)", {":reason": text(reason)})

    def add_rejections(self, sync: str, run: str, token: int, reasons: dict[str, int]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for reason, count in reasons.items():
            counts[_bucket(reason)] = counts.get(_bucket(reason), 0) + count
        totals: dict[str, int] = {}
        for names in _portions(sorted(counts)):
            adding = "ADD " + ", ".join(f"{name} :{name}" for name in names)
            values = {f":{name}": number(counts[name]) for name in names}
            item = self._update_run(sync, run, token, adding, values)
            totals |= {name: int(item[name]["N"]) for name in names}
        return {reason: totals[_bucket(reason)] for reason in reasons}

    def commit(self, head: Head, run: Run, token: int) -> None:
        moving = self._head_update(
            head.sync,
            "SET generation = :next, history = :history, owed = :owed, owed_since = :since REMOVE open_run, held_run",
            "generation = :before AND #token = :token AND open_run = :run",
            {
                ":next": number(head.generation),
                ":before": number(head.generation - 1),
                ":history": {"L": [text(manifest) for manifest in head.history]},
                ":owed": number(head.owed),
                ":since": text(head.owed_since),
                ":token": number(token),
                ":run": text(run.run),
            },
        )
        if transact(self._client, self._clock, [{"Update": moving}, {"Update": self._run_update(run, token)}]):
            return
        stored = self._current(head.sync, token)
        wanted = (head.generation, head.history, head.owed, None)
        if (stored.generation, stored.history, stored.owed, stored.open_run) != wanted:
            raise LockLost(f"The head of {head.sync} has moved: generation {stored.generation}, run {stored.open_run}.")

    def close(self, run: Run, token: int) -> None:
        closing = self._head_update(
            run.sync,
            _CLOSING.get(run.status, "REMOVE open_run, held_run" if run.mode == "reject" else "REMOVE open_run"),
            "#token = :token AND (open_run = :run OR attribute_not_exists(open_run))",
            {":token": number(token), ":run": text(run.run)},
        )
        if not transact(self._client, self._clock, [{"Update": closing}, {"Update": self._run_update(run, token)}]):
            head = self._current(run.sync, token)
            raise LockLost(f"Run {head.open_run} of {run.sync} is open, not {run.run}.")

    def _current(self, sync: str, token: int) -> Head:
        head = self.head(sync)
        if head.token != token:
            raise _lock_lost(sync)
        return head

    def _taking(self, seen: Head, token: int, execution: str) -> Item:
        conditions = ["attribute_not_exists(#token)" if seen.token == 0 else "#token = :seen"]
        values = {":token": number(token), ":execution": text(execution), ":zero": number(0)}
        if seen.token != 0:
            values[":seen"] = number(seen.token)
        for name, value in (("holder", seen.holder), ("open_run", seen.open_run)):
            conditions.append(f"attribute_not_exists({name})" if value is None else f"{name} = :{name}")
            if value is not None:
                values[f":{name}"] = text(value)
        update = (
            "SET #token = :token, holder = :execution, "
            "generation = if_not_exists(generation, :zero), owed = if_not_exists(owed, :zero)"
        )
        return self._head_update(seen.sync, update, " AND ".join(conditions), values)

    def _passing_on(self, sync: str, run: str, token: int) -> Item:
        return {
            "TableName": self._table,
            "Key": key(sync, f"run#{run}"),
            "UpdateExpression": "SET #token = :token",
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": {":token": number(token)},
        }

    def _head_update(self, sync: str, update: str, condition: str, values: Item) -> Item:
        return {
            "TableName": self._table,
            "Key": key(sync, "head"),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": values,
        }

    def _run_update(self, run: Run, token: int) -> Item:
        """Stores the run's record, but leaves what parallel workers write: the stop and the counts of rejections."""
        update = "SET body = :body, #token = :token, expires_at = :expires, reached = :reached"
        values = {
            ":reached": number(PHASES.index(run.phase)),
            ":body": text(msgspec.json.encode(run).decode()),
            ":token": number(token),
            ":expires": number(int(run.started_at) + SUMMARY_SECONDS),
        }
        if run.stopped:
            update += ", stopped = if_not_exists(stopped, :stopped)"
            values[":stopped"] = text(run.stopped)
        return {
            "TableName": self._table,
            "Key": key(run.sync, f"run#{run.run}"),
            "UpdateExpression": update,
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": values,
        }

    def _update_run(self, sync: str, run: str, token: int, update: str, values: Item) -> Item:
        try:
            return self._client.update_item(
                TableName=self._table,
                Key=key(sync, f"run#{run}"),
                UpdateExpression=update,
                ConditionExpression="#token = :token",
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues={":token": number(token), **values},
                ReturnValues="UPDATED_NEW",
            )["Attributes"]
        except ClientError as error:
            if is_failed_condition(error):
                raise _lock_lost(sync) from error
            raise


def _decode(item: Item) -> Run:
    run = stored.read(_run_decoder, item["body"]["S"], f"The record of run {item['sk']['S'].removeprefix('run#')}")
    run.stopped = item.get("stopped", {"S": ""})["S"]
    return run


def _lock_lost(sync: str) -> LockLost:
    return LockLost(f"Another run holds the lock of {sync}.")


def _bucket(reason: str) -> str:
    """One of 1024 counters: a target that makes up a new reason for every row cannot outgrow the run's item."""
    return f"r{int.from_bytes(hashlib.sha256(reason.encode()).digest()[:2], 'big') % 1024:03x}"


def _portions(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _REASONS_PER_UPDATE):
        yield names[start : start + _REASONS_PER_UPDATE]
