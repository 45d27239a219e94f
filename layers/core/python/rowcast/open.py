"""open: take the lock, take up what an earlier run left, drain the retry queue, and say where to go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from rowcast.definition import Definition
from rowcast.errors import DefinitionInvalid, DestinationRefused, RunFailed
from rowcast.models import Deployment, Head, Mode, Notice, Request, Run
from rowcast.ports import (
    Clock,
    DebtStore,
    DefinitionStore,
    Destination,
    Documents,
    Executions,
    RetryQueue,
    SnapshotStore,
    StateStore,
)
from rowcast.summary import summarize

DRAIN_SECONDS = 30
"""A quarter of the function's time. Some ten thousand notices, each of up to 200 debts."""
SEEN_AT_ONCE = 10
"""Notices that one call deletes."""


class Opened(msgspec.Struct, kw_only=True):
    """Where the state machine goes on, with pointers only. `concurrency`: workers of the fan-out map."""

    next: Literal["snapshot", "fan_out", "commit", "busy", "duplicate", "ended"]
    sync: str
    run: str
    token: int = 0
    snapshot_function: str = ""
    fan_out_function: str = ""
    concurrency: int = 1
    work_bucket: str = ""
    work_key: str = ""
    summary: dict[str, Any] = {}


class Opening(msgspec.Struct, kw_only=True):
    """What open needs. `destination` and `queue` make the sync's own from its deployment."""

    states: StateStore
    snapshots: SnapshotStore
    definitions: DefinitionStore
    debts: DebtStore
    executions: Executions
    documents: Documents
    clock: Clock
    destination: Callable[[Definition, Deployment], Destination]
    queue: Callable[[Deployment], RetryQueue]


def run_id(scheduled_at: str) -> str:
    """A start's scheduled time as a run's name: two starts of one schedule are one run, and names sort by time."""
    try:
        instant = datetime.fromisoformat(scheduled_at)
    except ValueError as error:
        raise DefinitionInvalid("`scheduled_at` is no ISO 8601 time: start the run with one.") from error
    instant = instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
    return instant.strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"


def open_run(
    sync: str, scheduled_at: str, execution: str, needs: Opening, mode: Mode = "run", request: str = ""
) -> Opened:
    """Never two runs of one sync at once: a start that finds the lock's holder alive answers "busy".

    A run that may have sent something is resumed before anything new begins; one that sent nothing is abandoned.
    Raises RunFailed when the sync is not deployed, its destination cannot be used, or the `request` cannot be met.
    """
    name = run_id(scheduled_at)
    seen = needs.states.head(sync)
    if mode == "plan" and (unfinished := _unfinished(seen, needs)):
        return unfinished
    if seen.holder not in (None, execution) and needs.executions.is_running(str(seen.holder)):
        return _busy(seen, name, needs)
    head = needs.states.take_lock(seen, execution)
    if head is None:
        return _busy(needs.states.head(sync), name, needs)
    deployment = needs.definitions.deployment(sync)
    left = needs.states.run(sync, head.open_run) if head.open_run else None
    if left is not None and left.phase == "sealed" and not _lapsed(left, needs):
        return _resume(left, head, deployment, needs)
    if left is not None and left.phase == "sealed":
        _give_up(left, head.token, needs)
    elif left is not None and not (left.run == name and left.execution == execution):
        abandon(left, head.token, "abandoned", "Ended before anything was sent; a later run took over.", needs)
    run = needs.states.run(sync, name)
    if run is not None and (left is None or left.run != name or left.execution != execution):
        needs.states.release_lock(sync, head.token)
        return Opened(next="duplicate", sync=sync, run=name, summary=summarize(run))
    asked = _asked(head, mode, request, needs)
    if mode == "reject":
        return _reject(name, execution, head, asked, needs)
    return _begin(name, execution, head, deployment, asked, needs)


def _unfinished(head: Head, needs: Opening) -> Opened | None:
    """A plan sends nothing, so it does not finish what another run left: that run's end decides what is to plan."""
    run = needs.states.run(head.sync, head.open_run) if head.open_run else None
    if run is None or run.phase != "sealed" or (head.holder and needs.executions.is_running(head.holder)):
        return None
    reason = f"Run {run.run} is not finished. The next run finishes it: start one, then plan again."
    return Opened(
        next="ended",
        sync=head.sync,
        run=run.run,
        summary={"sync": head.sync, "run": None, "status": "failed", "reason": reason},
    )


def _asked(head: Head, mode: Mode, key: str, needs: Opening) -> Request:
    """What a person asked for; a scheduled run's wish is made up, since nobody wrote one."""
    sync = head.sync
    if not key:
        return Request(sync=sync, mode=mode, by="", at=needs.clock.now())
    data = needs.documents.get(key) if key.startswith(f"requests/{sync}/") else None
    if data is None:
        raise RunFailed(f"The request {key} is not there.")
    try:
        request = msgspec.json.decode(data, type=Request)
    except msgspec.MsgspecError:
        raise RunFailed(f"The request {key} cannot be read: it is of another release.") from None
    if (request.sync, request.mode) != (sync, mode):
        raise RunFailed(f"The request {key} is another one than the execution's input says.")
    if mode == "replay" and request.replays is None:
        raise RunFailed(f"The request {key} does not say which runs to send again.")
    if request.generation not in (None, head.generation):
        raise RunFailed("Another run was committed since you looked; nothing was done. Look again, then decide.")
    return request


def abandon(
    run: Run,
    token: int,
    status: Literal["abandoned", "failed", "planned"],
    reason: str,
    needs: Opening | Closing,
) -> Run:
    """Ends a run that sent nothing and frees what it stored; the baseline stays as it was."""
    ended = msgspec.structs.replace(run, status=status, reason=reason, ended_at=needs.clock.now())
    needs.states.close(ended, token)
    needs.snapshots.delete_run(run.sync, run.run)
    return ended


def _lapsed(run: Run, needs: Opening) -> bool:
    """Whether it is a replay whose chunks may be gone: unlike a run's, they follow from nothing that is kept."""
    return run.mode == "replay" and run.outlived_its_chunks(needs.clock.now())


def _give_up(run: Run, token: int, needs: Opening) -> None:
    """A replay moves no baseline, and what it sends was accepted before: so nothing is lost with its rest."""
    unknown = msgspec.structs.replace(run, in_doubt=run.added + run.changed + run.removed)
    abandon(unknown, token, "failed", "Left unfinished until its changes were gone. Replay again.", needs)


class Closing(msgspec.Struct, kw_only=True):
    """The part of a step's needs that ending a run takes."""

    states: StateStore
    snapshots: SnapshotStore
    clock: Clock


def _busy(head: Head, name: str, needs: Opening) -> Opened:
    current = needs.states.run(head.sync, head.open_run) if head.open_run else None
    summary = (
        summarize(current, "already_running")
        if current
        else {"run": name, "sync": head.sync, "status": "already_running"}
    )
    return Opened(next="busy", sync=head.sync, run=head.open_run or name, summary=summary)


def _resume(run: Run, head: Head, deployment: Deployment, needs: Opening) -> Opened:
    definition = needs.definitions.pinned(run.sync, run.definition)
    if run.chunks and not run.stopped:
        refusal = _refusal(definition, deployment, needs)
        if refusal:
            needs.states.stop(run.sync, run.run, head.token, refusal)
    onward: Literal["snapshot", "fan_out", "commit"] = "fan_out" if run.chunks else "commit"
    if run.chunks and run.outlived_its_chunks(needs.clock.now()):
        onward = "snapshot"
    return Opened(
        next=onward,
        sync=run.sync,
        run=run.run,
        token=head.token,
        work_bucket=needs.snapshots.bucket_name(),
        work_key=run.work_key,
        **_functions(definition, deployment),
    )


def _refusal(definition: Definition, deployment: Deployment, needs: Opening) -> str:
    """Why the run cannot go on sending. It is then finished without: what is left becomes debts, and the next run pays
    them by the definition that is deployed by then."""
    deployed = needs.definitions.deployed_definition(deployment)
    if type(deployed.destination) is not type(definition.destination):
        return "the sync's destination was changed before the run could finish"
    try:
        needs.destination(definition, deployment).check()
    except DestinationRefused as error:
        return str(error)
    return ""


def _begin(name: str, execution: str, head: Head, deployment: Deployment, request: Request, needs: Opening) -> Opened:
    if request.mode == "approve":
        waiting = _waiting(head, request, needs)
        run = _new(name, execution, head, request, waiting.definition, needs)
        run.manifest = waiting.manifest
        run.approves = waiting.mode
        definition = needs.definitions.pinned(head.sync, run.definition)
        if refusal := _refusal(definition, deployment, needs):
            raise RunFailed(f"Run {request.run} cannot be sent any more: {refusal}")
    else:
        definition = needs.definitions.deployed_definition(deployment)
        run = _new(name, execution, head, request, needs.definitions.pin(definition), needs)
    if run.keeps_baseline:
        if head.manifest is None:
            raise RunFailed("No run was committed yet, so nothing was sent and nothing is owed.")
        run.manifest = head.manifest
    needs.states.begin(run, head.token)
    if run.mode not in ("rebaseline", "discard"):
        needs.destination(definition, deployment).check()
    if run.mode != "plan":
        drain(head.sync, needs.queue(deployment), needs)
    return Opened(next="snapshot", sync=head.sync, run=name, token=head.token, **_functions(definition, deployment))


def _new(name: str, execution: str, head: Head, request: Request, definition: str, needs: Opening) -> Run:
    return Run(
        sync=head.sync,
        run=name,
        mode=request.mode,
        requested_by=request.by,
        because=request.because,
        only=request.only,
        decides=request.run,
        replays=request.replays,
        generation=head.generation,
        execution=execution,
        definition=definition,
        started_at=needs.clock.now(),
        owed_before=head.owed,
        owed_after=head.owed,
        owed_since=head.owed_since,
    )


def _waiting(head: Head, request: Request, needs: Opening) -> Run:
    """The held run that the request is about. It waits until another one is held or the baseline moves."""
    run = needs.states.run(head.sync, request.run)
    if run is None or head.held != run.run or run.generation != head.generation:
        now = f" Run {head.held} does." if head.held else ""
        raise RunFailed(f"Run {request.run} of {head.sync} does not wait for an approval (any more).{now}")
    return run


def _reject(name: str, execution: str, head: Head, request: Request, needs: Opening) -> Opened:
    """Forgets what a held run would have sent; the record of this one says who wanted that."""
    waiting = _waiting(head, request, needs)
    run = _new(name, execution, head, request, waiting.definition, needs)
    needs.states.begin(run, head.token)
    ended = msgspec.structs.replace(run, status="completed", ended_at=needs.clock.now())
    needs.states.close(ended, head.token)
    needs.snapshots.delete_run(head.sync, waiting.run)
    needs.states.release_lock(head.sync, head.token)
    return Opened(next="ended", sync=head.sync, run=name, summary=summarize(ended))


def _functions(definition: Definition, deployment: Deployment) -> dict[str, Any]:
    return {
        "snapshot_function": deployment.snapshot_function,
        "fan_out_function": deployment.fan_out_function,
        "concurrency": definition.limits.workers,
    }


def drain(sync: str, queue: RetryQueue, needs: Opening) -> None:
    """Takes the notices of the retry queue into this run, for `DRAIN_SECONDS` at most: a queue that is longer than its
    function's time must not keep the sync from running. What is left comes with a later run.

    The debts that they name are in the ledger, which every diff reads: so a notice may go once it is seen. One that
    names no debt and no run of this sync was not written by us, and is put aside.
    """
    until = needs.clock.now() + DRAIN_SECONDS
    runs: dict[str, bool] = {}
    seen: list[str] = []
    for receipt, notice in queue.receive():
        if notice is not None and _known(sync, notice, runs, needs):
            seen.append(receipt)
        else:
            queue.quarantine(receipt)
        if len(seen) == SEEN_AT_ONCE:
            queue.delete(seen)
            seen = []
        if needs.clock.now() > until:
            break
    if seen:
        queue.delete(seen)


def _known(sync: str, notice: Notice, runs: dict[str, bool], needs: Opening) -> bool:
    """`runs`: those that were looked for, and whether they are there. A run's record stays longer than its notices, so
    debts are asked for seldom."""
    if notice.sync != sync:
        return False
    if notice.run not in runs:
        runs[notice.run] = needs.states.run(sync, notice.run) is not None
    return runs[notice.run] or bool(needs.debts.existing(sync, notice.key_hashes))
