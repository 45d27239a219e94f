"""fan out: send chunks' messages and record what became of each, whatever happens on the way.

A chunk is claimed before its first call. A claim that another worker left behind means that anything of the chunk may
have been sent: its changes are sent again with the same ids and bytes, and one that is then rejected stays in doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

from rowcast.calling import PAUSE_SECONDS
from rowcast.delivering import FanningOut, Sending
from rowcast.lock import held
from rowcast.models import ChunkState, Run
from rowcast.progress import taken_over
from rowcast.worker import Worker


def fan_out_run(sync: str, name: str, token: int, chunks: Sequence[str] | str, needs: FanningOut) -> bool:
    """Sends a share of chunks, one after the other; False when the time ran out and it must be called again.

    A single chunk comes from a run that was sealed before there were shares. Raises LockLost, having recorded nothing
    more, when the run is no longer ours.
    """
    _, run = held(needs.states, sync, name, token)
    definition = needs.definitions.pinned(sync, run.definition)
    sending = Sending(
        definition=definition,
        states=needs.states,
        changes=needs.changes,
        calls=needs.calls,
        destination=needs.destination(definition, needs.definitions.deployment(sync)),
        render=needs.render(definition, run),
        pace=needs.pace(definition),
        clock=needs.clock,
        budget=needs.budget,
        claim=needs.claim,
        jitter=needs.jitter,
    )
    for number, chunk in enumerate([chunks] if isinstance(chunks, str) else chunks):
        if number:
            if needs.budget.seconds_left() < 1.5 * PAUSE_SECONDS:  # not enough for calls of a further chunk
                return False
            _, run = held(needs.states, sync, name, token)  # another worker may have stopped the run
        if not send_chunk(run, token, chunk, sending):
            return False
    return True


def send_chunk(run: Run, token: int, chunk_id: str, needs: Sending) -> bool:
    """Sends what the chunk still owes and records it; False when something is left for a further call."""
    deadline = needs.clock.now() + needs.budget.seconds_left()
    before = needs.changes.claim(run.sync, run.run, chunk_id, token, needs.claim, deadline)
    if before is not None and before.done:
        return True
    _outlive(before, token, needs)
    chunk = needs.changes.chunk(run.sync, run.run, chunk_id)
    now = needs.clock.now()
    state = taken_over(before, run, chunk, token=token, claim=needs.claim, deadline=deadline, now=now)
    worker = Worker(run, chunk, state, needs)
    worker.work(token)
    return worker.state.done


def _outlive(before: ChunkState | None, token: int, needs: Sending) -> None:
    """Waits until a worker of an earlier lock holder can't send any more, so that no older state follows ours (I4)."""
    if before is not None and before.token != token and not before.paused:
        needs.clock.sleep(max(0.0, before.deadline - needs.clock.now()))
