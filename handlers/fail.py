"""fail: event {sync, scheduled_at, execution, error, input: {mode, request} or without} → {summary}."""

from typing import Any

from rowcast.fail import Failing, fail_run
from rowcast.metrics import of_end
from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> dict[str, Any]:
    services = step.services
    needs = Failing(
        states=services.states,
        snapshots=services.snapshots,
        clock=services.clock,
        changes=services.changes,
        documents=services.objects,
    )
    steer = {name: event["input"][name] for name in ("mode", "request") if name in event.get("input", {})}
    summary = fail_run(event["sync"], event["scheduled_at"], event["execution"], event["error"], needs, **steer)
    if summary["mode"] != "plan":  # who asked sees it fail
        step.measure(of_end(summary))
        step.alert(summary)
    return {"summary": summary}
