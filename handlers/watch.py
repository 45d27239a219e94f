"""watch: event {syncs} → {looked}: tells of syncs that are late, which no run of theirs can do."""

from typing import Any

from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> dict[str, int]:
    return {"looked": sum(step.watch(sync) for sync in event["syncs"])}
