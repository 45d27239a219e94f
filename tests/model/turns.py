"""Executions that take turns at their calls of ports, as a schedule says: the same schedule gives the same story."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from rowcast import fan_out
from tests.model.inline import Inline
from tests.model.model_world import Died, ModelWorld

SECONDS = 900.0
PATIENCE = 60.0


class Execution:
    """One execution in a thread that moves only when told to. Aborted, it enters no further state, while the worker
    that it had called goes on until its time is over."""

    def __init__(self, world: ModelWorld, scheduled_at: str) -> None:
        self._world = world
        self._scheduled_at = scheduled_at
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._name = ""
        self.aborted = False
        self.deadline = 0.0
        self.moves = 0
        self.done = False
        self.summary: dict[str, Any] = {"status": "gone"}
        self.error: BaseException | None = None
        self._thread.start()

    def move(self) -> None:
        """Lets it go on to its next call."""
        self.moves += 1
        self._go.release()
        assert self._back.acquire(timeout=PATIENCE), "an execution does not come to its next call"

    def abort(self) -> None:
        self.aborted = True
        running = self._world.bare["executions"].running
        running -= {name for name in running if name.startswith(f"execution-{self._scheduled_at}-")}

    def owns(self, thread: threading.Thread) -> bool:
        return thread is self._thread

    def cross(self) -> None:
        """At each call: waits for its turn."""
        self._back.release()
        self._go.acquire()
        if self.aborted and self._world.clock.time >= self.deadline:
            raise Died

    def _enter(self, state: str) -> None:
        if self.aborted:
            raise Died
        self.deadline = self._world.clock.time + SECONDS

    def _work(self) -> None:
        self._go.acquire()
        try:
            self.summary = self._world.run(self._scheduled_at, on=self._enter)
        except Died:
            pass
        except BaseException as error:
            self.error = error
        self.done = True
        self._back.release()


Choice = Callable[[Sequence[Execution], int], Execution | None]


def take_turns(world: ModelWorld, executions: Sequence[Execution], choose: Choice) -> int:
    """Runs all to their ends; `choose` picks who moves, and may abort. Answers the number of moves."""

    def around(side: str, name: str) -> None:
        mine = next((one for one in executions if one.owns(threading.current_thread())), None)
        if mine is not None and side == "before":
            mine.cross()

    world.around, pool = around, fan_out.ThreadPoolExecutor
    fan_out.ThreadPoolExecutor = Inline  # type: ignore[assignment,misc]
    moves = 0
    try:
        while alive := [one for one in executions if not one.done]:
            chosen = choose(alive, moves)
            (chosen or alive[0]).move()
            moves += 1
    finally:
        fan_out.ThreadPoolExecutor = pool  # type: ignore[misc]
        world.around = lambda side, name: None
    for one in executions:
        if one.error is not None:
            raise one.error
    return moves
