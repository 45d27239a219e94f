"""seal: close the change set. From here on the run is finished, never abandoned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from rowcast.definition import Definition, Guard
from rowcast.errors import RunFailed
from rowcast.lock import held
from rowcast.models import Counts, Head, Manifest, PartitionResult, Run
from rowcast.open import Closing, abandon
from rowcast.plan import Planning, put_plan
from rowcast.ports import ChangeStore, DefinitionStore, Documents, Render
from rowcast.summary import summarize

SHARE_CHUNKS = 100
"""A fan-out task sends at most so many: each costs transitions, an invocation and a start, whatever it sends, and the
answers to its last calls are waited for with nothing else to do."""
LAST_CHUNKS = 20
"""The last shares of a run have at most so many, so that its workers end together."""
DECIDE = " Or decide on this run alone:"
SHARES_PER_WORKER = 4
"""Of what is left, a share is so small a part, so that no worker is left with much to do when the others are done."""
GUARD_FLOOR = 100
"""Fewer changed or removed rows than this are never held: in a small table every share is large."""


class Sealed(msgspec.Struct, kw_only=True):
    """Where the state machine goes on, with pointers only."""

    next: Literal["fan_out", "commit", "held", "planned"]
    work_bucket: str = ""
    work_key: str = ""
    summary: dict[str, Any] = {}


class Sealing(Closing, kw_only=True):
    """What seal needs."""

    definitions: DefinitionStore
    changes: ChangeStore
    documents: Documents
    render: Callable[[Definition, Run], Render]


def seal_run(sync: str, name: str, token: int, needs: Sealing) -> Sealed:
    """Sums up the diff, asks the guard, and writes the shares of chunks to fan out.

    Raises RunFailed when a partition's diff is missing: nothing has been sent then.
    """
    head, run = _at_seal(sync, name, token, needs)
    if run.status in ("planned", "held"):
        return Sealed(next=run.status, summary=summarize(run))
    bucket = needs.snapshots.bucket_name()
    if run.phase == "sealed":
        return Sealed(next="fan_out" if run.chunks else "commit", work_bucket=bucket, work_key=run.work_key)
    results = needs.changes.results(run.sync, run.run) if run.partitions_to_diff else []
    if len(results) != run.partitions_to_diff:
        raise RunFailed(f"Only {len(results)} of {run.partitions_to_diff} partitions were compared; nothing was sent.")
    counts = _total(results, run)
    baseline = needs.snapshots.manifest(head.manifest) if head.manifest else None
    definition = needs.definitions.pinned(sync, run.definition)
    objection = ""
    if run.mode not in ("rebaseline", "approve") and not run.keeps_baseline:
        objection = _retyped(definition.guard, results, run, baseline, needs) or guard(
            definition.guard, results, run.rows, baseline.rows if baseline else 0
        )
    if run.mode == "plan":
        return _planned(_counted(run, counts, results), results, definition, objection, token, needs)
    if objection:
        return _held(_counted(run, counts, results), head, objection, token, needs)
    chunks = [chunk for result in results for chunk in result.chunks]
    work = shares(chunks, definition.limits.workers)
    key = needs.snapshots.put_work(run.sync, run.run, "chunks", work) if chunks else ""
    sealed = msgspec.structs.replace(
        _counted(run, counts, results),
        phase="sealed",
        sealed_at=needs.clock.now(),
        chunks=len(chunks),
        work_key=key,
    )
    needs.states.save(sealed, token)
    return Sealed(next="fan_out" if chunks else "commit", work_bucket=bucket, work_key=key)


def shares(chunks: Sequence[str], workers: int) -> list[list[str]]:
    """The chunks of a run, cut into what one fan-out task sends: large shares first."""
    parts = workers * SHARES_PER_WORKER
    least = max(1, min(LAST_CHUNKS, len(chunks) // parts))
    cut: list[list[str]] = []
    start = 0
    while start < len(chunks):
        size = max(least, min(SHARE_CHUNKS, (len(chunks) - start) // parts))
        cut.append(list(chunks[start : start + size]))
        start += size
    return cut


def _at_seal(sync: str, name: str, token: int, needs: Sealing) -> tuple[Head, Run]:
    """As `held`, but a seal whose answer was lost finds its run ended already."""
    head = needs.states.head(sync)
    run = needs.states.run(sync, name)
    if head.token == token and head.open_run is None and run is not None and run.status in ("planned", "held"):
        return head, run
    return held(needs.states, sync, name, token)


def _held(run: Run, head: Head, objection: str, token: int, needs: Sealing) -> Sealed:
    """The run's snapshot stays for who approves it; that of the run that was held before it goes."""
    reason = f"{objection}{DECIDE} rowcast approve {run.run}, or reject-run."
    ended = msgspec.structs.replace(run, status="held", reason=reason, ended_at=needs.clock.now())
    needs.states.close(ended, token)
    if head.held:
        needs.snapshots.delete_run(run.sync, head.held)
    return Sealed(next="held", summary=summarize(ended))


def _planned(
    run: Run, results: list[PartitionResult], definition: Definition, objection: str, token: int, needs: Sealing
) -> Sealed:
    planning = Planning(
        definition=definition,
        changes=needs.changes,
        documents=needs.documents,
        render=needs.render(definition, run),
    )
    put_plan(run, results, objection, planning)
    ended = abandon(run, token, "planned", objection, needs)
    needs.states.release_lock(run.sync, token)
    return Sealed(next="planned", summary=summarize(ended))


def guard(guard: Guard, results: list[PartitionResult], rows: int, rows_before: int) -> str:
    """Why a run should be held; empty when it should not."""
    if not rows_before:
        return ""
    if not rows and not guard.allow_empty:
        return (
            f"The query gave no rows where it gave {rows_before} before; nothing was sent. "
            "If that is right, set `guard.allow_empty: true` and run again."
        )
    for what, count, share in (
        ("removed", sum(result.removed_rows for result in results), guard.max_removed),
        ("changed", sum(result.changed_rows for result in results), guard.max_changed),
    ):
        if count > GUARD_FLOOR and count > share * rows_before:
            return (
                f"{count} of {rows_before} rows would be {what}, more than {share:.0%}; nothing was sent. "
                f"If that is right, raise `guard.max_{what}` and run again."
            )
    return ""


def _retyped(limits: Guard, results: list[PartitionResult], run: Run, baseline: Manifest | None, needs: Sealing) -> str:
    """Why a run whose rows differ by a column's type alone should be held; empty when it should not."""
    rows: dict[str, int] = {}
    for result in results:
        for name, count in result.retyped.items():
            rows[name] = rows.get(name, 0) + count
    if limits.allow_retyped or not rows or baseline is None or run.manifest is None:
        return ""
    old, new = _types(baseline), _types(needs.snapshots.manifest(run.manifest))
    told = [f"{name} (from {old[name]} to {new[name]}; rows: {rows[name]})" for name in sorted(rows)]
    return (
        f"Rows would be sent as changed because columns are of another type now, {', '.join(told)}; nothing was sent. "
        "Cast them back in the query, or set `guard.allow_retyped: true` and run again."
    )


def _types(manifest: Manifest) -> dict[str, str]:
    return {column.name: column.type for column in manifest.columns}


def _total(results: list[PartitionResult], run: Run) -> Counts:
    total = Counts(skipped=run.skipped)
    for result in results:
        total = total.plus(result.counts)
    return total


def _counted(run: Run, counts: Counts, results: list[PartitionResult]) -> Run:
    left_out: dict[str, int] = {}
    for result in results:
        for reason, count in result.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    return msgspec.structs.replace(
        run,
        added=counts.added,
        changed=counts.changed,
        removed=counts.removed,
        skipped=counts.skipped,
        left_out=left_out,
    )
