"""fan out: send chunks' messages and record what became of each, whatever happens on the way.

A chunk is claimed before its first call. A claim that another worker left behind means that anything of the chunk may
have been sent: its changes are sent again with the same ids and bytes, and one that is then rejected stays in doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

from rowcast import in_flight
from rowcast.calling import PAUSE_SECONDS
from rowcast.delivering import FanningOut, Sending
from rowcast.lock import held
from rowcast.models import Chunk, ChunkState, Run
from rowcast.progress import state_of, taken_over
from rowcast.under_way import UnderWay
from rowcast.worker import Worker


def fan_out_run(sync: str, name: str, token: int, chunks: Sequence[str] | str, needs: FanningOut) -> bool:
    """Sends a share of chunks; False when the time ran out and it must be called again.

    A single chunk comes from a run that was sealed before there were shares. Raises LockLost, having recorded nothing
    more but what had been sent, when the run is no longer ours.
    """
    head, run = held(needs.states, sync, name, token)
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
        under_way=UnderWay(definition.limits.calls_per_worker),
        resumed=head.holder != run.execution,
    )
    share = [chunks] if isinstance(chunks, str) else chunks
    return in_flight.finish(send_share(run, token, share, sending))


async def send_share(run: Run, token: int, share: Sequence[str], needs: Sending) -> bool:
    """Sends the chunks in their order, several at once; `run` is as it was just now.

    When one cannot be worked, no further call is made, and what has become of the others' is recorded first.
    """
    failures: list[Exception] = []

    async def send(chunk: str) -> bool:
        try:
            return await _send_chunk(run, token, chunk, chunk == share[0], needs)
        except Exception as error:
            failures.append(error)
            needs.under_way.fail()
            return False

    done = await in_flight.each(send, share, len(share))
    if failures:
        raise failures[0]
    return all(done)


async def _send_chunk(run: Run, token: int, chunk_id: str, is_first: bool, needs: Sending) -> bool:
    """Sends what the chunk still owes and records it; False when something is left for a further call."""
    async with needs.under_way.opening():
        if needs.under_way.paused:
            return False
        # not enough for calls of a further chunk
        if not is_first and needs.budget.seconds_left() < 1.5 * PAUSE_SECONDS:
            return False
        claiming = _claim(run, token, chunk_id, is_first, needs)
        reading = in_flight.in_thread(needs.changes.chunk_and_size, run.sync, run.run, chunk_id)  # it never changes
        (run, before, deadline), (chunk, size) = await in_flight.both(claiming, reading)
        if before is not None and before.done:
            return True
        await _outlive(before, token, needs)
    with needs.under_way.holding(size):
        return await _work(run, token, chunk, before, deadline, needs)


async def _claim(
    run: Run, token: int, chunk_id: str, is_first: bool, needs: Sending
) -> tuple[Run, ChunkState | None, float]:
    """The run as it is before the claim, the chunk's state as it was, and until when it is claimed."""
    if needs.resumed:  # before the claim, so that whoever comes after one that dies waiting sees for whom it waited
        await _outlive(await in_flight.in_thread(state_of, needs.changes, run, chunk_id), token, needs)
    if not is_first:
        _, run = await in_flight.in_thread(held, needs.states, run.sync, run.run, token)  # it may have been stopped
    needs.under_way.stopped = needs.under_way.stopped or run.stopped
    deadline = needs.clock.now() + needs.budget.seconds_left()
    claim = (run.sync, run.run, chunk_id, token, needs.claim, deadline)
    return run, await in_flight.in_thread(needs.changes.claim, *claim), deadline


async def _work(run: Run, token: int, chunk: Chunk, before: ChunkState | None, deadline: float, needs: Sending) -> bool:
    now = needs.clock.now()
    state = taken_over(before, run, chunk, token=token, claim=needs.claim, deadline=deadline, now=now)
    worker = Worker(run, chunk, state, needs)
    await worker.work(token)
    return worker.state.done


async def _outlive(before: ChunkState | None, token: int, needs: Sending) -> None:
    """Waits until a worker of an earlier lock holder can't send any more, so that no older state follows ours (I4)."""
    if before is not None and before.token != token and not before.paused:
        await needs.clock.wait(max(0.0, before.deadline - needs.clock.now()))
