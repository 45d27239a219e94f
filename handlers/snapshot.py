"""snapshot: event {sync, run, token} → Taken."""

from pathlib import Path
from typing import Any

from rowcast.snapshot import Taken, Taking, snapshot_run
from rowcast.wiring import Step, scratch, step


@step
def handler(event: dict[str, Any], step: Step) -> Taken:
    services = step.services
    with scratch() as folder:
        needs = Taking(
            states=services.states,
            definitions=services.definitions,
            snapshots=services.snapshots,
            debts=services.debts,
            source=services.source,
            scratch=Path(folder),
            clock=services.clock,
            attempt=step.claim,
            engine_mb=services.engine_mb,
        )
        return snapshot_run(event["sync"], event["run"], event["token"], needs)
