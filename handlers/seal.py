"""seal: event {sync, run, token} → Sealed."""

from typing import Any

from rowcast.metrics import of_end
from rowcast.seal import Sealed, Sealing, seal_run
from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> Sealed:
    services = step.services
    needs = Sealing(
        states=services.states,
        snapshots=services.snapshots,
        definitions=services.definitions,
        changes=services.changes,
        clock=services.clock,
        documents=services.objects,
        render=services.render,
    )
    sealed = seal_run(event["sync"], event["run"], event["token"], needs)
    if sealed.next == "held":
        step.measure(of_end(sealed.summary))
        step.alert(sealed.summary)
    return sealed
