"""fail: note why a run stopped, and free the lock for the next start."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from rowcast.errors import RunFailed
from rowcast.models import Head, Mode, Request, Run, from_json
from rowcast.open import Closing, abandon, run_id
from rowcast.ports import ChangeStore, Documents
from rowcast.summary import summarize


class Failing(Closing, kw_only=True):
    """What fail needs."""

    changes: ChangeStore
    documents: Documents


def fail_run(
    sync: str,
    scheduled_at: str,
    execution: str,
    error: dict[str, Any],
    needs: Failing,
    mode: Mode = "run",
    request: str = "",
) -> dict[str, Any]:
    """Answers the failed run's summary. A run that may have sent something stays open for the next start to finish.

    One that was refused before it began gets its record here, so that who asked for it can be seen.
    """
    reason = reason_of(error)
    nothing = {"run": run_id(scheduled_at), "sync": sync, "status": "failed", "reason": reason, "mode": mode}
    try:
        head = needs.states.head(sync)
    except RunFailed:  # of a later release, or renamed: this execution never held it
        return nothing
    if head.holder != execution:
        return nothing
    run = needs.states.run(sync, head.open_run) if head.open_run else None
    if run is None:
        refused = _refused(nothing["run"], head, execution, mode, request, needs)
        summary = nothing if refused is None else summarize(abandon(refused, head.token, "failed", reason, needs))
    elif run.phase == "sealed":
        failed = _unfinished(run, f"{reason} The next start finishes this run.", needs)
        needs.states.save(failed, head.token)
        summary = summarize(failed)
    else:
        summary = summarize(abandon(run, head.token, "failed", reason, needs))
    needs.states.release_lock(sync, head.token)
    return summary


def _refused(name: str, head: Head, execution: str, mode: Mode, key: str, needs: Failing) -> Run | None:
    """Begins the record of a run that never began; None when there is one of this name. It has no definition."""
    if needs.states.run(head.sync, name) is not None:
        return None
    now = needs.clock.now()
    asked = _asked(head.sync, mode, key, now, needs)
    run = Run(
        sync=head.sync,
        run=name,
        mode=mode,
        requested_by=asked.by,
        because=asked.because,
        decides=asked.run,
        generation=head.generation,
        execution=execution,
        definition="",
        started_at=now,
        owed_before=head.owed,
        owed_after=head.owed,
        owed_since=head.owed_since,
    )
    needs.states.begin(run, head.token)
    return run


def _asked(sync: str, mode: Mode, key: str, now: float, needs: Failing) -> Request:
    """The request as far as it can be read: it may be what was refused."""
    data = needs.documents.get(key) if key.startswith(f"requests/{sync}/") else None
    try:
        return msgspec.json.decode(data or b"", type=Request)
    except msgspec.MsgspecError:
        return Request(sync=sync, mode=mode, by="", at=now)


def _unfinished(run: Run, reason: str, needs: Failing) -> Run:
    """A sealed run as it stands: what no worker has recorded is in doubt until the next start finishes it (I9)."""
    states = needs.changes.states(run.sync, run.run)
    names = Counter(outcome.outcome for state in states for outcome in state.outcomes if outcome is not None)
    accepted, rejected = names["accepted"], names["rejected"]
    return msgspec.structs.replace(
        run,
        status="failed",
        reason=reason,
        ended_at=needs.clock.now(),
        accepted=accepted,
        rejected=rejected,
        in_doubt=run.added + run.changed + run.removed - accepted - rejected,
    )


def reason_of(error: dict[str, Any]) -> str:
    """A caught error's own words: a handler's errors hold no row value, and Step Functions' name only the state."""
    cause = error.get("Cause") or ""
    try:
        told = from_json(cause)
    except msgspec.DecodeError:
        told = {}
    message = told.get("errorMessage") if isinstance(told, dict) else None
    return str(message or error.get("Error") or "The run ended without saying why.")
