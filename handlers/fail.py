"""fail: event {sync, scheduled_at, execution, error} → {summary}."""

from typing import Any

from rowcast.fail import fail_run
from rowcast.metrics import of_end
from rowcast.open import Closing
from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> dict[str, Any]:
    services = step.services
    needs = Closing(states=services.states, snapshots=services.snapshots, clock=services.clock)
    summary = fail_run(event["sync"], event["scheduled_at"], event["execution"], event["error"], needs)
    step.measure(of_end(summary))
    return {"summary": summary}
