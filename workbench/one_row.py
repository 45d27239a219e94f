"""One real row: the message that it would make, and that message sent as a test."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import ReadTimeoutError

from rowcast.bounds import read_row
from rowcast.definition import Definition, EventBridgeDestination, Trigger
from rowcast.equality import differing_columns, row_hash
from rowcast.errors import RowcastError, SnapshotDamaged
from rowcast.masking import masked_body, scrubber
from rowcast.message import RunInfo, compile_address, compile_message
from rowcast.models import Change, Chunk, Manifest, Operation, Row, change_id
from rowcast.ports import MessageToSend
from rowcast.trial import TEST
from workbench import keys
from workbench.deployment import Place
from workbench.options import UsageFault
from workbench.sent import one_call

PREVIEW = "preview"
_CHUNK = "test"
_ENGINE_MB = 500
_PATIENCE_SECONDS = 60.0


class Refused(RowcastError):
    """The target cannot be used."""


class Found(msgspec.Struct, kw_only=True):
    """A row as the newest snapshots hold it. `now` is None when the newest does not have it any more."""

    definition: Definition
    generation: int
    key_hash: str
    now: Row | None
    before: Row | None


def find(place: Place, sync: str, key: str) -> Found:
    """Looks in the two newest committed snapshots. Raises UsageFault when neither has the key."""
    head = place.states.head(sync)
    if head.manifest is None:
        raise RowcastError(
            f"No run of {sync} has come to its end yet, so no row is known. Start one: rowcast run {sync}"
        )
    newest = place.snapshots.manifest(head.manifest)
    types = {column.name: column for column in newest.columns}
    key_hash = keys.key_hash([types[name] for name in newest.primary_key], key)
    now = _row(place, newest, key_hash) if key_hash else None
    before = _row_before(place, head.history[1:2], key_hash) if key_hash else None
    if key_hash is None or (now is None and before is None):
        named = ", ".join(newest.primary_key)
        raise UsageFault(f"No row of {sync} has the key {key} ({named}) in the snapshot of run {newest.run}.")
    definition = place.definitions.deployed_definition(place.definitions.deployment(sync))
    return Found(definition=definition, generation=head.generation, key_hash=key_hash, now=now, before=before)


def _row_before(place: Place, manifests: list[str], key_hash: str) -> Row | None:
    for name in manifests:
        try:
            return _row(place, place.snapshots.manifest(name), key_hash)
        except SnapshotDamaged:  # it fell out of the history in this moment
            return None
    return None


def _row(place: Place, manifest: Manifest, key_hash: str) -> Row | None:
    from rowcast import columns as sql
    from rowcast.engine import engine, run

    bits = len(manifest.partitions).bit_length() - 1
    partition = manifest.partitions[int(key_hash, 16) >> (128 - bits)]
    if partition.key is None:
        return None
    with tempfile.TemporaryDirectory(prefix="rowcast-") as folder:
        file = Path(folder) / "partition.parquet"
        place.snapshots.fetch(partition.key, partition.checksums[0], file)
        with engine(Path(folder), _ENGINE_MB) as connection:
            row = sql.row_json(manifest.columns, "n")
            keys = [column for name in manifest.primary_key for column in manifest.columns if column.name == name]
            statement = f"SELECT {row} FROM read_parquet('{file}') n WHERE {sql.key_hash(keys, 'n')} = ?::UUID"
            found = run(connection, statement, [key_hash])
    return read_row(found[0][0]) if found else None


def change_of(found: Found, operation: Operation | None) -> Change:
    """The row as such a change; without one, as removed where it is gone and else as added."""
    operation = operation or ("added" if found.now is not None else "removed")
    newest = found.now if found.now is not None else found.before
    assert newest is not None, "a row is in one of the two"
    before: Row | None = None
    after: Row | None = None
    if operation == "removed":
        before = newest
    elif operation == "added":
        after = newest
    else:
        before, after = found.before if found.before is not None else newest, newest
    return Change(
        operation=operation,
        key=[newest[name] for name in found.definition.primary_key],
        key_hash=found.key_hash,
        id=change_id(
            found.definition.sync,
            found.definition.destination.identity,
            found.key_hash,
            row_hash(before) if before is not None else "",
            row_hash(after) if after is not None else "",
            found.generation,
        ),
        columns=differing_columns(before, after, [name for name in after if name in before])
        if before is not None and after is not None
        else [],
        before=before,
        after=after,
    )


def preview(definition: Definition, change: Change) -> dict[str, Any]:
    """The message as it would go out, but for masked columns. Raises MessageInvalid when none can be made."""
    now = time.time()
    render = compile_message(definition, RunInfo(id=PREVIEW, started_at=now))
    body = render(change)
    scrub = scrubber([change], definition.mask)
    trigger = definition.triggers.of(change.operation)
    record = {
        "sync": definition.sync,
        "key": keys.shown(change.key),
        "operation": change.operation,
        "triggered": trigger is not None,
        "change_id": change.id,
        "columns": change.columns,
        "bytes": len(body),
        "message": masked_body(change, definition.mask, render) if definition.mask else msgspec.Raw(body),
    }
    destination = definition.destination
    if not isinstance(destination, EventBridgeDestination):
        return {**record, "target": destination.function}
    message = MessageToSend(change=change, body=body, time=now, sync=definition.sync, run=PREVIEW)
    source, detail_type = compile_address(definition.triggers)(message)
    bus = (trigger or Trigger()).bus or "default"
    return {**record, "target": bus, "source": scrub(source), "detail-type": scrub(detail_type)}


def send(place: Place, definition: Definition, change: Change) -> dict[str, Any]:
    """Sends the row through the sync's own function and role; answers the call record. The row goes by way of the
    changes table, as every change does: the event only points to it."""
    sync = definition.sync
    now = datetime.now(UTC)
    trial = f"{TEST}{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z"
    place.changes.put_chunk(Chunk(sync=sync, run=trial, id=_CHUNK, changes=[change]))
    event = {"sync": sync, "test": trial, "definition": place.definitions.pin(definition), "chunk": _CHUNK}
    invoke(place, place.definitions.deployment(sync).fan_out_function, event)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        for record in place.calls.calls(sync, trial):
            return one_call(record, full=True)
        if time.monotonic() > deadline:
            raise RowcastError(f"It has not answered yet. What came of it: rowcast calls {sync} --run {trial} --full")
        time.sleep(0.5)


def invoke(place: Place, function: str, event: dict[str, Any]) -> None:
    """A repeat, which the SDK makes of a slow invocation, sends nothing again: the first has claimed the chunk."""
    try:
        reply = place.aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    except ReadTimeoutError:
        return
    answer = json.loads(reply["Payload"].read() or b"null")
    if reply.get("FunctionError"):
        said = answer if isinstance(answer, dict) else {}
        kind = Refused if said.get("errorType") == "DestinationRefused" else RowcastError
        raise kind(f"Nothing was sent: {said.get('errorMessage') or 'the function failed.'}")
