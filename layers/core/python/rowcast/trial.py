"""trial: really send one row's message, as a test: no lock, no run, no outcome, no baseline; only a call record."""

from __future__ import annotations

from rowcast import in_flight
from rowcast.delivering import Delivering
from rowcast.errors import MessageInvalid, RunFailed
from rowcast.masking import masked_result
from rowcast.models import Run
from rowcast.ports import CallRecord, CallResult, MessageToSend

TEST = "test-"
"""What the name of a trial begins with, where others have the name of a run."""
_SURELY_OVER = 900.0


def check_target(sync: str, digest: str, needs: Delivering) -> None:
    """Looks at the target with the rights with which runs send. Raises DestinationRefused; sends nothing."""
    needs.destination(needs.definitions.pinned(sync, digest), needs.definitions.deployment(sync)).check()


def send_trial(sync: str, trial: str, digest: str, chunk: str, needs: Delivering) -> bool:
    """Sends the chunk's one change by the definition of this digest; False when that was done before.

    Raises MessageInvalid when no message can be made, DestinationRefused when the target cannot be used.
    """
    if not trial.startswith(TEST):
        raise RunFailed(f"{trial} is not the name of a test.")
    definition = needs.definitions.pinned(sync, digest)
    [change] = needs.changes.chunk(sync, trial, chunk).changes
    started = needs.clock.now()
    render = needs.render(
        definition, Run(sync=sync, run=trial, generation=0, execution="", definition=digest, started_at=started)
    )
    message = MessageToSend(change=change, body=render(change), time=started, sync=sync, run=trial)
    destination = needs.destination(definition, needs.definitions.deployment(sync))
    destination.check()
    batches, impossible = destination.batches([message])
    if impossible:
        raise MessageInvalid(impossible[0][1])
    if needs.changes.claim(sync, trial, chunk, 0, needs.claim, started + _SURELY_OVER) is not None:
        return False
    needs.clock.sleep(needs.pace(definition).reserve(1))
    begun = needs.clock.now()
    answered = in_flight.finish(destination.send(batches[0], f"{trial}-1", 1))
    result = masked_result(answered, batches[0], definition.mask, render)
    seconds = needs.clock.now() - begun
    needs.calls.put(sync, trial, chunk, needs.claim, [_record(message, chunk, begun, seconds, result)])
    return True


def _record(message: MessageToSend, chunk: str, begun: float, seconds: float, result: CallResult) -> CallRecord:
    return CallRecord(
        sync=message.sync,
        run=message.run,
        chunk=chunk,
        call="1",
        attempt=1,
        started_at=begun,
        seconds=seconds,
        request=result.request,
        reply=result.reply,
        error=result.error,
        change_ids=[message.change.id],
        keys=[message.change.key],
        outcomes=[verdict.kind for verdict in result.verdicts],
    )
