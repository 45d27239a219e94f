"""Starts a run, follows it and answers how it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from rowcast.errors import RowcastError
from rowcast.summary import summarize
from workbench.deployment import Place

COUNTS = (
    "rows",
    "added",
    "changed",
    "removed",
    "skipped",
    "accepted",
    "rejected",
    "in_doubt",
    "owed_before",
    "owed_after",
)
POLL_SECONDS = 0.05
PROGRESS_SECONDS = 0.5
PROGRESS_SHARE = 0.05
"""Of the time at most: a look reads the outcomes of all chunks, and a run may have tens of thousands."""


class Progress(msgspec.Struct, kw_only=True):
    """How far a run is. A count is None while it is not known yet."""

    phase: str = "starting"
    rows: int | None = None
    partitions: int | None = None
    diffed: int = 0
    changes: int | None = None
    sent: int = 0


class Execution:
    """One start of the state machine."""

    def __init__(self, place: Place, sync: str, **steer: str) -> None:
        """`steer`: what more its input holds."""
        self._place = place
        self.sync = sync
        now = datetime.now(UTC)
        self.started = time.monotonic()
        self._client = place.aws.client("stepfunctions")
        self.arn: str = self._client.start_execution(
            stateMachineArn=place.output("StateMachine"),
            name=f"{sync[:50]}-{now:%Y%m%dT%H%M%S}-{now.microsecond:06d}",
            input=json.dumps({"sync": sync, "scheduled_at": now.isoformat(), **steer}),
        )["executionArn"]

    def follow(self, *, watch: bool) -> Iterator[Progress]:
        """Yields while the run goes on; with `watch` it reads how far the run is, now and then."""
        next_look = time.monotonic() + PROGRESS_SECONDS
        progress = Progress()
        while self._description()["status"] == "RUNNING":
            if watch and time.monotonic() >= next_look:
                began = time.monotonic()
                progress = self._progress() or progress
                took = time.monotonic() - began
                next_look = began + max(PROGRESS_SECONDS, took / PROGRESS_SHARE)
            yield progress
            time.sleep(POLL_SECONDS if self._place.aws.local else 1.0)

    def result(self) -> dict[str, Any]:
        """The run's accounting, with every field of the contract."""
        description = self._description()
        if description["status"] == "SUCCEEDED":
            summary = _summary_of(json.loads(description["output"]))
        else:
            summary = self._failed(description)
        counts = {name: summary.get(name, 0) for name in COUNTS}
        seconds = summary.get("seconds") or round(time.monotonic() - self.started, 3)
        known = {"run": summary.get("run"), "sync": self.sync, "status": summary["status"]}
        last = {"seconds": seconds, "reason": summary.get("reason", "")}
        return {
            **known,
            **counts,
            **last,
            **{name: value for name, value in summary.items() if name not in known | counts | last},
        }

    def _failed(self, description: dict[str, Any]) -> dict[str, Any]:
        told = self._told_at_the_end()
        if told:
            return told
        recorded = [run for run in self._place.states.runs(self.sync, 5) if run.execution == self.arn]
        if recorded:
            return summarize(recorded[0], "failed")
        return {
            "status": "failed",
            "reason": description.get("cause") or description.get("error") or "No reason given.",
        }

    def _told_at_the_end(self) -> dict[str, Any] | None:
        """The summary that the state machine announced, from the last events of its history."""
        history = self._client.get_execution_history(executionArn=self.arn, reverseOrder=True, maxResults=40)
        for event in history["events"]:
            output = event.get("stateExitedEventDetails", {}).get("output")
            end = json.loads(output).get("end") if output else None
            if isinstance(end, dict) and isinstance(end.get("summary"), dict):
                return {"status": "failed", **end["summary"]}
        return None

    def _description(self) -> dict[str, Any]:
        return self._client.describe_execution(executionArn=self.arn)  # type: ignore[no-any-return]

    def _progress(self) -> Progress | None:
        """None while the run has not begun, and when it is over."""
        states = self._place.states
        head = states.head(self.sync)
        run = states.run(self.sync, head.open_run) if head.open_run and head.holder == self.arn else None
        if run is None:
            return None
        progress = Progress(phase=run.phase, rows=run.rows or None, partitions=run.partitions_to_diff or None)
        if run.phase == "snapshot":
            progress.diffed = len(self._place.changes.results(self.sync, run.run))
        if run.phase in ("sealed", "committed"):
            progress.diffed = run.partitions_to_diff
            progress.changes = run.added + run.changed + run.removed
            states_of_chunks = self._place.changes.states(self.sync, run.run)
            progress.sent = sum(1 for state in states_of_chunks for outcome in state.outcomes if outcome)
        return progress


def _summary_of(output: dict[str, Any]) -> dict[str, Any]:
    """Of an execution that succeeded: its run's summary, or that another run holds the sync."""
    summary: dict[str, Any] = output.get("summary") or {}
    if output.get("next") in ("busy", "duplicate"):
        return {
            "status": "already_running",
            "run": output.get("run"),
            "reason": "Another run of this sync is going on.",
        }
    if "status" not in summary:
        raise RowcastError("The execution ended without its accounting: deploy again with this release.")
    return summary


def failure(sync: str, reason: str) -> dict[str, Any]:
    """The accounting of a run that could not even start."""
    return {"run": None, "sync": sync, "status": "failed", **dict.fromkeys(COUNTS, 0), "seconds": 0.0, "reason": reason}
