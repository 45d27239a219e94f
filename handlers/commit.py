"""commit: event {sync, run, token} → Committed."""

from typing import Any

from rowcast.commit import Committed, Committing, commit_run
from rowcast.metrics import of_commit
from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> Committed:
    services = step.services
    needs = Committing(
        states=services.states,
        snapshots=services.snapshots,
        clock=services.clock,
        definitions=services.definitions,
        changes=services.changes,
        debts=services.debts,
        queue=services.queue,
        budget=step.budget,
        claim=step.claim,
    )
    committed = commit_run(event["sync"], event["run"], event["token"], needs)
    if committed.done:
        step.measure(of_commit(committed.summary))
        step.alert(committed.summary, committed=True)
    return committed
