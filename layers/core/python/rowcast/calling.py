"""The calls of one chunk: each in its turn, within the worker's time, and recorded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rowcast import in_flight
from rowcast.delivering import Sending
from rowcast.errors import DestinationRefused
from rowcast.masking import masked_result
from rowcast.models import Run
from rowcast.ports import CallRecord, CallResult, MessageToSend

PAUSE_SECONDS = 20.0
"""A worker starts no call with less time left than this and half again its slowest call: what it has must be stored."""
MAX_SLOW_SECONDS = 900.0
READY_SECONDS = 1.0
"""So long before its time a call's way is looked at again: an idle connection may have ended meanwhile."""
OVERSLEPT = 0.05
"""The part of a window by which a call may come later than its time."""


class Calls:
    """The calls of one chunk. `attempts`: calls that carried a change, by its id."""

    def __init__(self, run: Run, chunk: str, needs: Sending) -> None:
        self._run = run
        self._chunk = chunk
        self._needs = needs
        self._under_way = needs.under_way
        self.records: list[CallRecord] = []
        self.attempts: Counter[str] = Counter()

    async def call(self, batch: Sequence[MessageToSend], name: str, attempt: int) -> CallResult | None:
        """One call, recorded, in a place that was expected; None when it was not made, since the run stopped or the
        worker pauses."""
        async with self._under_way.place():
            if self._under_way.stopped or self._short_of_time():
                return None
            if not await self._turn(len(batch)) or self._under_way.stopped or self._under_way.failed:
                return None
            return await self._made(batch, name, attempt)

    async def _made(self, batch: Sequence[MessageToSend], name: str, attempt: int) -> CallResult:
        started = self._needs.clock.now()
        self.attempts.update(message.change.id for message in batch)
        try:
            answered = await self._needs.destination.send(batch, f"{self._run.run}-{name}", attempt)
            result = masked_result(answered, batch, self._needs.definition.mask, self._needs.render)
        except DestinationRefused as error:
            self._under_way.stopped = self._under_way.stopped or str(error)
            result = CallResult(verdicts=[], request=None, reply=None, error=str(error))
        self._record(batch, name, attempt, started, result)
        await self._slow(result, attempt)
        return result

    async def _turn(self, count: int) -> bool:
        """Waits for the right to send. It is taken no longer than a window ahead, so that with a worker that dies no
        more is lost; one that was overslept is given up.

        False when it comes too late for this worker, which then waits all its time, so that it is not called again at
        once for nothing.
        """
        rate = self._needs.definition.limits.rate
        ahead = rate.seconds if rate is not None else math.inf
        clock = self._needs.clock
        await self._ready()
        while True:
            most = max(0.0, self._time_for_waiting())
            wait = await self._reserve(count, min(most, ahead))
            if wait <= min(most, ahead):
                due = clock.now() + wait
                await self._wait(wait - READY_SECONDS)
                await self._ready()
                await self._wait(due - clock.now())
                if clock.now() - due <= OVERSLEPT * ahead:
                    return True
                continue
            if wait > most:
                self._under_way.pause()
                await self._wait(most)
                return False
            await self._wait(wait - ahead)

    async def _ready(self) -> None:
        """A call that had to open its way first would come late, and others on time behind it: too many in a window."""
        if self._needs.definition.limits.rate is not None:
            await self._needs.destination.ready()

    async def _reserve(self, count: int, within: float) -> float:
        """A rate stands in a table, which is asked in a thread; without one nobody is asked."""
        if self._needs.definition.limits.rate is None:
            return self._needs.pace.reserve(count, within)
        return await in_flight.in_thread(self._needs.pace.reserve, count, within)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self._needs.clock.wait(seconds)

    async def _slow(self, result: CallResult, attempt: int) -> None:
        """Slows all who share the pace when the destination asks for it, by name or by refusing."""
        asked = [verdict.slow for verdict in result.verdicts if verdict.slow is not None]
        if asked:
            seconds = max(asked) or self._needs.definition.retry.backoff_seconds * 2 ** (attempt - 1)
            await in_flight.in_thread(self._needs.pace.slow, min(MAX_SLOW_SECONDS, seconds))

    def _short_of_time(self) -> bool:
        if self._time_for_waiting() < 0:
            self._under_way.pause()
        return self._under_way.paused

    def _time_for_waiting(self) -> float:
        return self._needs.budget.seconds_left() - PAUSE_SECONDS - 1.5 * self._under_way.slowest

    def _record(
        self, batch: Sequence[MessageToSend], name: str, attempt: int, started: float, result: CallResult
    ) -> None:
        seconds = self._needs.clock.now() - started
        self._under_way.slowest = max(self._under_way.slowest, seconds)
        self.records.append(
            CallRecord(
                sync=self._run.sync,
                run=self._run.run,
                chunk=self._chunk,
                call=name,
                attempt=attempt,
                started_at=started,
                seconds=seconds,
                request=result.request,
                reply=result.reply,
                error=result.error,
                change_ids=[message.change.id for message in batch],
                keys=[message.change.key for message in batch],
                outcomes=[verdict.kind for verdict in result.verdicts],
            )
        )
