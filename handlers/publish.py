"""publish: event {sync, run, token, chunks} → {done}; fans a share of chunks out to EventBridge.

Event {sync, test, definition, chunk} → {done}: sends a chunk of one row as a test.
Event {sync, check: a definition's digest} → {done}: looks at the target with the delivery role's rights.
"""

from typing import Any

from rowcast.delivering import FanningOut
from rowcast.fan_out import fan_out_run
from rowcast.trial import check_target, send_trial
from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> dict[str, bool]:
    needs = _needs(step)
    if "check" in event:
        check_target(event["sync"], event["check"], needs)
        return {"done": True}
    if "test" in event:
        return {"done": send_trial(event["sync"], event["test"], event["definition"], event["chunk"], needs)}
    chunks = event["chunks"] if "chunks" in event else event["chunk"]  # an execution from before there were shares
    return {"done": fan_out_run(event["sync"], event["run"], event["token"], chunks, needs)}


def _needs(step: Step) -> FanningOut:
    services = step.services
    return FanningOut(
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
