"""What was sent, as records: the calls of a sync, and the life of one row over its runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rowcast.bounds import UNREADABLE, read_foreign
from rowcast.errors import DefinitionInvalid, RunFailed
from rowcast.masking import masked_row
from rowcast.models import Change, Chunk, Column, Outcome, Run
from rowcast.ports import CallRecord
from rowcast.trial import TEST
from workbench import keys
from workbench.deployment import Place
from workbench.local.arrivals import iso

OUTCOMES = ("accepted", "rejected", "refused", "throttled", "in_doubt")
_MOST_RUNS = 1000
_MOST_BITS = 20


def seconds(text: str) -> float | None:
    """Of `2h` or `3 days`; None for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|m|h|d|seconds?|minutes?|hours?|days?)", text)
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2][0]] if found else None


def since(text: str) -> float | None:
    """Epoch seconds of `2h`, `3 days`, or an ISO 8601 date or instant (UTC without a zone); None for anything else."""
    ago = seconds(text)
    if ago is not None:
        return time.time() - ago
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


# --- calls ------------------------------------------------------------------------------------------------------------


def calls(
    place: Place,
    syncs: Iterable[str],
    *,
    run: str | None = None,
    key: str | None = None,
    outcome: str | None = None,
    after: float | None = None,
    full: bool = False,
) -> Iterator[dict[str, Any]]:
    """The calls that fit, newest run first."""
    found = [(sync, name) for sync in syncs for name in place.calls.runs(sync) if run in (None, name)]
    found.sort(key=lambda one: one[1].removeprefix(TEST), reverse=True)
    for sync, name in found:
        fitting = [one for one in place.calls.calls(sync, name) if _fits(one, key, outcome, after)]
        fitting.sort(key=lambda one: one.started_at, reverse=True)
        yield from (one_call(one, full=full) for one in fitting)


def _fits(record: CallRecord, key: str | None, outcome: str | None, after: float | None) -> bool:
    return (
        (after is None or record.started_at >= after)
        and (outcome is None or outcome in record.outcomes)
        and (key is None or any(keys.matches(one, key) for one in record.keys))
    )


def one_call(record: CallRecord, *, full: bool) -> dict[str, Any]:
    bodies = {"request": _readable(record.request), "reply": record.reply} if full else {}
    return {
        "sync": record.sync,
        "run": record.run,
        "chunk": record.chunk,
        "call": record.call,
        "test": record.run.startswith(TEST),
        "attempt": record.attempt,
        "started_at": iso(record.started_at),
        "seconds": round(record.seconds, 3),
        "status": "failed" if record.error or not record.outcomes else "answered",
        "error": record.error,
        "keys": [keys.shown(key) for key in record.keys],
        "change_ids": record.change_ids,
        "outcomes": record.outcomes,
        **bodies,
    }


def _readable(request: Any) -> Any:
    """With the details of events, which travel as text, as the JSON that they are."""
    match request:
        case {"Entries": [*entries]}:
            return {**request, "Entries": [{**entry, "Detail": _json(entry.get("Detail"))} for entry in entries]}
    return request


def _json(text: Any) -> Any:
    try:
        return read_foreign(text)
    except (*UNREADABLE, TypeError):
        return text


# --- the life of a row ------------------------------------------------------------------------------------------------


def history(place: Place, sync: str, key: str) -> Iterator[dict[str, Any]]:
    """Every change of the row in the runs whose change sets are kept, oldest first."""
    runs = sorted(place.states.runs(sync, _MOST_RUNS), key=lambda run: run.run)
    columns = key_columns(place, sync, runs)
    key_hash = keys.key_hash(columns, key) if columns else None
    if key_hash is None:
        return
    for run in runs:
        for chunk in _chunks(place, run, key_hash) if run.mode != "plan" else ():  # a plan is no part of a row's life
            if key_hash in chunk.settled:
                yield {**_event(run, key, run.started_at), "operation": "settled"}
            for position, change in enumerate(chunk.changes):
                if change.key_hash == key_hash:
                    yield _change(place, run, chunk, position, change)


def key_columns(place: Place, sync: str, runs: Sequence[Run]) -> list[Column]:
    """The key's columns with their types, from the newest manifest that is still there."""
    newest = [] if place.was_renamed(sync) else [place.states.head(sync).manifest]
    manifests = [*newest, *(run.manifest for run in reversed(runs))]
    for name in filter(None, manifests):
        try:
            manifest = place.snapshots.manifest(name)
        except RunFailed:
            continue
        types = {column.name: column for column in manifest.columns}
        return [types[column] for column in manifest.primary_key]
    return []


def _chunks(place: Place, run: Run, key_hash: str) -> Iterator[Chunk]:
    """The chunks of the partition in which the key lies, for any number of partitions that the run may have had."""
    partitions = {int(key_hash, 16) >> (128 - bits) for bits in range(_MOST_BITS)}
    for result in place.changes.results(run.sync, run.run):
        for name in [*result.chunks, *result.settled_chunks] if result.partition in partitions else []:
            try:
                yield place.changes.chunk(run.sync, run.run, name)
            except RunFailed:  # it has expired
                continue


def _event(run: Run, key: str, at: float) -> dict[str, Any]:
    asked = {"mode": run.mode, "requested_by": run.requested_by, "because": run.because}
    return {"sync": run.sync, "key": key, "run": run.run, "run_status": run.status, "time": iso(at), **asked}


def _change(place: Place, run: Run, chunk: Chunk, position: int, change: Change) -> dict[str, Any]:
    masked = sorted(_masked(place, run))
    before, after = masked_row(change.before, masked), masked_row(change.after, masked)
    if change.operation == "changed" and before is not None and after is not None:
        before = {name: before.get(name) for name in change.columns}
        after = {name: after.get(name) for name in change.columns}
    outcome = _outcome(place, run, chunk.id, position)
    sent = [one for one in place.calls.calls(run.sync, run.run) if change.id in one.change_ids]
    return {
        **_event(run, "", run.started_at),
        "key": keys.shown(change.key),
        "operation": change.operation,
        "columns": change.columns,
        "before": before,
        "after": after,
        "change_id": change.id,
        "retry_of": change.debt.first_run if change.debt else None,
        "replay_of": change.first.run if change.first else None,
        "outcome": outcome.outcome if outcome else None,
        "reason": outcome.reason if outcome else "",
        "attempts": outcome.attempts if outcome else 0,
        "message": message_in(sent[0], change.id) if sent else None,
        "calls": [_send(one, change.id) for one in sorted(sent, key=lambda one: one.started_at)],
    }


def _masked(place: Place, run: Run) -> set[str]:
    """The columns that are masked now, or were when the run opened."""
    masked: set[str] = set()
    now: list[Callable[[], Any]] = [
        lambda: place.definitions.deployed_definition(place.definitions.deployment(run.sync)),
        lambda: place.definitions.pinned(run.sync, run.definition),
    ]
    for read in now:
        try:
            masked |= set(read().mask)
        except DefinitionInvalid:
            continue
    return masked


def _outcome(place: Place, run: Run, chunk: str, position: int) -> Outcome | None:
    for state in place.changes.states(run.sync, run.run):
        if state.chunk == chunk and position < len(state.outcomes):
            return state.outcomes[position]
    return None


def _send(record: CallRecord, change_id: str) -> dict[str, Any]:
    position = record.change_ids.index(change_id)
    return {
        "call": record.call,
        "attempt": record.attempt,
        "started_at": iso(record.started_at),
        "seconds": round(record.seconds, 3),
        "outcome": record.outcomes[position] if record.outcomes else None,
        "error": record.error,
    }


def message_in(record: CallRecord, change_id: str) -> Any:
    """The message of one change in a call's request, as JSON values."""
    position = record.change_ids.index(change_id)
    match record.request:
        case {"Entries": [*entries]}:
            return _json(entries[position].get("Detail"))
        case {"rows": [*rows]}:
            return rows[position]
        case {"messages": [*messages]}:
            return messages[position]
    return None
