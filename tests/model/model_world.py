"""The whole route over fakes under the oracle's eyes, with workers that can die at any call of a port."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rowcast.definition import Definition
from rowcast.delivering import FanningOut
from rowcast.fan_out import fan_out_run
from rowcast.models import Mode, Replay, Run, to_json
from rowcast.ports import CallResult, MessageToSend, Render
from tests import fakes
from tests.model.noting import NotingSource
from tests.model.oracle import Arrival, Oracle, carry
from tests.world import World, share

PORTS = ("states", "snapshots", "definitions", "changes", "debts", "queue", "calls", "target", "executions")


class Died(BaseException):
    """No `except Exception` hides it."""


class Watched:
    """A port whose calls `around` sees: before they are made and after their effect."""

    def __init__(self, inner: Any, around: Callable[[str, str], None]) -> None:
        self.__dict__.update(inner=inner, around=around)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.inner, name)
        if not callable(value) or name.startswith("_"):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            self.around("before", name)
            answer = value(*arguments, **named)
            self.around("after", name)
            return answer

        async def awaited(*arguments: Any, **named: Any) -> Any:
            self.around("before", name)
            answer = await value(*arguments, **named)
            self.around("after", name)
            return answer

        return awaited if inspect.iscoroutinefunction(value) else call

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.inner, name, value)


class LoggingTarget(fakes.FakeDestination):
    """Tells the oracle what came, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Arrival] = []

    async def send(self, batch: Sequence[MessageToSend], batch_id: str, attempt: int) -> CallResult:
        result = await super().send(batch, batch_id, attempt)
        for message, verdict in zip(batch, result.verdicts, strict=True):
            change = message.change
            self.log.append(
                Arrival(
                    key=change.key[0],
                    id=change.id,
                    row=change.after,
                    previous=change.before,
                    body=message.body,
                    run=message.run,
                    took_effect=verdict.kind == "accepted" or (verdict.kind == "in_doubt" and self.in_doubt_arrives),
                    said=verdict.kind == "accepted",
                    replay=batch_id.split("-", maxsplit=1)[0] if change.first is not None else "",
                )
            )
        self.calls.clear()
        return result


class ModelWorld(World):
    """`around(side, name)` sees each call of a port while an execution goes on."""

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.around: Callable[[str, str], None] = lambda side, name: None
        self.bare = {name: getattr(self, name) for name in PORTS}
        self.bare["target"] = LoggingTarget()
        for name, port in self.bare.items():
            setattr(self, name, Watched(port, lambda side, call: self.around(side, call)))
        self._reading: dict[int, str] = {}
        self.source = NotingSource(on_query=self._read)
        self.oracle = Oracle(self.source)
        self.taken: dict[str, list[dict[str, Any]]] = {}
        self.runs = 0
        self.deaths = 0

    # --- what is watched and noted on the way ---

    def snapshot(self, run: str, token: int) -> Any:
        self._reading[threading.get_ident()] = run
        return super().snapshot(run, token)

    def _read(self) -> None:
        self.taken.setdefault(self._reading[threading.get_ident()], [dict(row) for row in self.source.rows])

    def commit(self, run: str, token: int) -> Any:
        answer = super().commit(run, token)
        self.look(run)
        return answer

    def fan_out(self, run: str, token: int, chunks: str | Sequence[str], seconds: float = 900.0) -> bool:
        needs = FanningOut(
            states=self.states,
            definitions=self.definitions,
            changes=self.changes,
            calls=self.calls,
            destination=lambda definition, deployment: self.target,
            render=self.rendering,
            pace=lambda definition: fakes.FakePace(self.clock),
            clock=self.clock,
            budget=fakes.FakeBudget(seconds, self.clock),
            claim=self._claim(),
            jitter=random.Random(0),
        )
        return fan_out_run(self.sync, run, token, share(chunks), needs)

    def render(self, definition: Definition, run: Run) -> Render:
        return lambda change: _body(definition, run, change)

    def start(
        self, dies: Callable[[str, str], bool] | None = None, mode: Mode | None = None, **options: Any
    ) -> dict[str, Any]:
        """One execution, which ends with its worker when `dies(side, call)` says so. With a mode, a person asked."""
        dead = []

        def around(side: str, name: str) -> None:
            if dead or (dies is not None and dies(side, name)):
                dead.append(True)
                raise Died

        self.oracle.note()
        self.runs += 1
        self.around = around
        try:
            return self.run(**options) if mode is None else self.steer(mode, **options)
        except Died:
            self.deaths += 1
            return {"status": "gone"}
        finally:
            self.around = lambda side, name: None
            self.look()

    def look(self, run: str | None = None) -> None:
        around, self.around = self.around, lambda side, name: None
        head = self.bare["states"].head(self.sync)
        runs = self.bare["states"].runs(self.sync, 1000)
        carry(runs, self.taken)
        record = self.bare["states"].run(self.sync, run) if run else None
        definition = self.bare["definitions"].pinned(self.sync, record.definition) if record else self.definition
        self.oracle.look(head, runs, list(self.owed().values()), self.bare["target"].log, self.taken, definition)
        self.around = around

    def replay(self, back: int, dies: Callable[[str, str], bool] | None = None) -> dict[str, Any]:
        """Sends again what the run did that was committed so many before the last."""
        wanted = max(0, self.bare["states"].head(self.sync).generation - 1 - back)
        return self.start(dies, "replay", replays=Replay(first=wanted, last=wanted))

    def settle(self) -> None:
        """The target takes everything; one run must bring it to what the source holds, and the next must be quiet."""
        target = self.bare["target"]
        target.refuse, target.script = "", {}
        target.answer = fakes.FakeDestination().answer
        self.source.fail = None
        summary = self.start()
        assert summary["status"] == "completed", f"I8: the next start ended {summary}"
        self.oracle.converged(self.bare["states"].head(self.sync), list(self.owed().values()))
        self.oracle.repeats(self.deaths)
        before = len(target.log)
        self.start()
        assert len(target.log) == before, "I10: something was sent though nothing changed"


def _body(definition: Definition, run: Run, change: Any) -> bytes:
    return to_json({"template": definition.message.template, "row": change.row, "run": run.run, "at": run.started_at})


def count_calls(world: ModelWorld) -> int:
    """How often the next run calls a port or comes back from one."""
    calls = []

    def dies(side: str, name: str) -> bool:
        calls.append(name)
        return False

    world.start(dies)
    return len(calls)


def nth(number: int) -> Callable[[str, str], bool]:
    """Dies at the n-th crossing of a port's border."""
    left = [number]

    def dies(side: str, name: str) -> bool:
        left[0] -= 1
        return left[0] == 0

    return dies
