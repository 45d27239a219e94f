"""open: event {sync, scheduled_at, execution, input: {mode, request} or without} → Opened."""

from typing import Any

from rowcast.open import Opened, Opening, open_run
from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> Opened:
    services = step.services
    needs = Opening(
        states=services.states,
        snapshots=services.snapshots,
        definitions=services.definitions,
        debts=services.debts,
        executions=services.executions,
        documents=services.objects,
        clock=services.clock,
        destination=services.destination,
        queue=services.queue,
    )
    steer = {name: event["input"][name] for name in ("mode", "request") if name in event.get("input", {})}
    return open_run(event["sync"], event["scheduled_at"], event["execution"], needs, **steer)
