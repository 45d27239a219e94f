"""fail: note why a run stopped, and free the lock for the next start."""

from __future__ import annotations

from typing import Any

import msgspec

from rowcast.models import from_json
from rowcast.open import Closing, abandon, run_id
from rowcast.summary import summarize


def fail_run(sync: str, scheduled_at: str, execution: str, error: dict[str, Any], needs: Closing) -> dict[str, Any]:
    """Answers the failed run's summary. A run that may have sent something stays open for the next start to finish."""
    reason = reason_of(error)
    head = needs.states.head(sync)
    nothing = {"run": run_id(scheduled_at), "sync": sync, "status": "failed", "reason": reason}
    if head.holder != execution:
        return nothing
    run = needs.states.run(sync, head.open_run) if head.open_run else None
    if run is None:
        summary = nothing
    elif run.phase == "sealed":
        failed = msgspec.structs.replace(
            run, status="failed", reason=f"{reason} The next start finishes this run.", ended_at=needs.clock.now()
        )
        needs.states.save(failed, head.token)
        summary = summarize(failed)
    else:
        summary = summarize(abandon(run, head.token, "failed", reason, needs))
    needs.states.release_lock(sync, head.token)
    return summary


def reason_of(error: dict[str, Any]) -> str:
    """A caught error's own words: a handler's errors hold no row value, and Step Functions' name only the state."""
    cause = error.get("Cause") or ""
    try:
        told = from_json(cause)
    except msgspec.DecodeError:
        told = {}
    message = told.get("errorMessage") if isinstance(told, dict) else None
    return str(message or error.get("Error") or "The run ended without saying why.")
