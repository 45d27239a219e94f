"""Workers that take turns at their calls of ports, as a schedule says: the same schedule gives the same story."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.model.inline import inline
from tests.model.model_world import Died, ModelWorld

SECONDS = 900.0
PATIENCE = 60.0


class Worker:
    """Work in a thread that moves only when told to, from one call of a port to the next."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.moves = 0
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._thread.start()

    def move(self) -> None:
        """Lets it go on to its next call, or to its end."""
        self.moves += 1
        self._go.release()
        assert self._back.acquire(timeout=PATIENCE), "a worker does not come to its next call"

    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def cross(self) -> None:
        """At each call: waits for its turn."""
        self._back.release()
        self._go.acquire()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self.result = self._work()
        except BaseException as error:
            self.error = error
        self.done = True
        self._back.release()


class Execution(Worker):
    """An execution of the state machine; `steer`: what more its input holds. Aborted, it enters no further state while
    the invocation that it had made goes on until its time is over."""

    def __init__(self, world: ModelWorld, scheduled_at: str, **steer: Any) -> None:
        self._world = world
        self._scheduled_at = scheduled_at
        self._steer = steer
        self.aborted = False
        self.deadline = 0.0
        super().__init__(self._execute)

    def abort(self) -> None:
        self.aborted = True
        running = self._world.bare["executions"].running
        running -= {name for name in running if name.startswith(f"execution-{self._scheduled_at}-")}

    def cross(self) -> None:
        super().cross()
        if self.aborted and self._world.clock.time >= self.deadline:
            raise Died

    def _execute(self) -> Any:
        try:
            return self._world.run(self._scheduled_at, on=self._enter, **self._steer)
        except Died:
            return {"status": "gone"}

    def _enter(self, state: str) -> None:
        if self.aborted:
            raise Died
        self.deadline = self._world.clock.time + SECONDS


W = TypeVar("W", bound=Worker)


def take_turns(world: ModelWorld, workers: Sequence[W], choose: Callable[[Sequence[W], int], W | None]) -> int:
    """Runs all to their ends; `choose` picks who moves, and may abort. Answers the number of moves."""

    def around(side: str, name: str) -> None:
        mine = next((worker for worker in workers if worker.is_current()), None)
        if mine is not None and side == "before":
            mine.cross()

    outer, world.around = world.around, around
    moves = 0
    try:
        with inline():
            while alive := [worker for worker in workers if not worker.done]:
                (choose(alive, moves) or alive[0]).move()
                moves += 1
    finally:
        world.around = outer
    return moves
