"""watch: event {syncs} → {looked}: tells of syncs that are late, or owe for too long, which no run of theirs can do."""

from typing import Any

from rowcast.metrics import of_look
from rowcast.wiring import Step, step


@step
def handler(event: dict[str, Any], step: Step) -> dict[str, int]:
    books = [step.watch(sync) for sync in event["syncs"]]
    step.measure(of_look(books, step.services.clock.now()))
    return {"looked": sum(book is not None for book in books)}
