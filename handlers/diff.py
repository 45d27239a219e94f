"""diff: event {sync, run, token, partition} → nothing: the result is stored."""

from pathlib import Path
from typing import Any

from rowcast.diff import Diffing, diff_run
from rowcast.wiring import Step, scratch, step


@step
def handler(event: dict[str, Any], step: Step) -> dict[str, Any]:
    services = step.services
    with scratch() as folder:
        needs = Diffing(
            states=services.states,
            definitions=services.definitions,
            snapshots=services.snapshots,
            changes=services.changes,
            debts=services.debts,
            scratch=Path(folder),
            engine_mb=services.engine_mb,
        )
        diff_run(event["sync"], event["run"], event["token"], event["partition"], needs)
    return {}
