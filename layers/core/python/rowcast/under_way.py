"""What one worker of fan out has under way at once: calls, and the chunks that they belong to.

So many calls wait for their answers side by side that a slow destination does not hold the worker up. A chunk is not
opened long before its calls are wanted, since what a worker that dies had claimed is in doubt.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

HELD_BYTES = 16_000_000
"""Of the JSON of the chunks that a worker works on: beyond that it opens no further one. Those that are being looked up
count as the largest so far."""
OPENING = 8
"""Chunks that are looked up at the same time, at most: while one is, a worker sends the calls of some."""
AT_ONCE = 3
"""So many are looked up in any case, before it is known how large they are and how many calls they make."""


class UnderWay:
    """`calls`: so many places there are. `stopped`: why the run stopped, if it did. `paused`: the time is short, and no
    call asks for its turn any more. `failed`: a chunk could not be worked, and no call is made. `slowest`: the seconds
    of the longest call."""

    def __init__(self, calls: int) -> None:
        self.stopped = ""
        self.paused = False
        self.failed = False
        self.slowest = 0.0
        self._most = calls
        self._places = asyncio.Semaphore(calls)
        self._in_turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._opening = 0
        self._to_make = 0
        self._usual = 1
        self._held = 0
        self._largest = 0

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[None]:
        """Waits, in the order of asking, until another chunk is wanted: when all places are taken, fewer calls of the
        open ones wait than there are places. So the next chunk is ready in time. One that is being opened counts as a
        call or as many as the one before it made, and with a single place no chunk is opened before the last one's
        calls are done."""
        async with self._in_turn:
            while not self._wants_another():
                self._changed.clear()
                await self._changed.wait()
            self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1
            self._changed.set()

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """While a chunk of so many bytes is in memory."""
        self._held += size
        self._largest = max(self._largest, size)
        try:
            yield
        finally:
            self._held -= size
            self._changed.set()

    def expect(self, calls: int) -> None:
        """So many calls will ask for a place."""
        self._to_make += calls
        self._usual = max(1, calls)
        self._changed.set()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for a place, in the order of asking: the calls of a chunk that was opened first go first."""
        try:
            async with self._places:
                yield
        finally:
            self._to_make -= 1
            self._changed.set()

    def pause(self) -> None:
        self.paused = True
        self._changed.set()

    def fail(self) -> None:
        self.failed = True
        self.pause()

    def _wants_another(self) -> bool:
        if self.paused:
            return True
        if self._held >= HELD_BYTES or self._to_make + self._opening >= 2 * self._most - 1:
            return False
        if self._opening < min(AT_ONCE, OPENING):
            return True
        room = self._largest and self._held + self._opening * self._largest < HELD_BYTES
        enough = self._to_make + self._opening * self._usual >= 2 * self._most - 1
        return bool(room) and not enough and self._opening < OPENING
