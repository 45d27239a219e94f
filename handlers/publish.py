"""publish: event {sync, run, token, chunk} → {done}; fans a chunk out to EventBridge."""

from typing import Any

from rowcast.fan_out import FanningOut, fan_out_run
from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> dict[str, bool]:
    services = step.services
    needs = FanningOut(
        states=services.states,
        definitions=services.definitions,
        changes=services.changes,
        calls=step.calls,
        destination=services.destination,
        render=services.render,
        pace=services.pace,
        clock=services.clock,
        budget=step.budget,
        claim=step.claim,
        jitter=step.jitter,
    )
    return {"done": fan_out_run(event["sync"], event["run"], event["token"], event["chunk"], needs)}
