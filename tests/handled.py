"""A world whose steps go through the handlers, with everything that leaves them kept: what Step Functions and the logs
would hold."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec

from handlers import commit, diff, fail, publish, seal, snapshot
from handlers import open as open_
from rowcast import wiring
from rowcast.alert import Alerting
from rowcast.alerting import Alert, Book
from rowcast.definition import Definition
from rowcast.errors import RowcastError
from rowcast.models import from_json, to_json
from rowcast.ports import Source
from tests import fakes
from tests.world import World, share


class KeptAlerts:
    """The alerts of all syncs; `announced` holds what people were told."""

    def __init__(self) -> None:
        self.books: dict[str, tuple[Book, int]] = {}
        self.announced: list[Alert] = []

    def book(self, sync: str) -> tuple[Book | None, int]:
        return self.books.get(sync, (None, 0))

    def keep(self, book: Book, version: int) -> bool:
        self.books[book.sync] = (book, version + 1)
        return True

    def announce(self, alerts: Sequence[Alert]) -> None:
        self.announced += alerts


CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)


class HandledWorld(World):
    """`source_of` makes the source from a scratch folder; by default it is the world's table."""

    def __init__(self, monkeypatch: Any, definition: Definition | None = None) -> None:
        super().__init__(definition)
        self.kept: list[str] = []
        self.alerts = KeptAlerts()
        self.log = io.StringIO()
        self.source_of: Callable[[Path], Source] = lambda scratch: self.source
        monkeypatch.setattr(wiring, "services", lambda: self._services())
        self._listen(monkeypatch)

    @property
    def outside(self) -> str:
        """Everything that left the handlers: inputs, answers, errors with their tracebacks, log lines, alerts."""
        alerts = msgspec.json.encode(self.alerts.announced).decode()
        return "\n".join([*self.kept, self.log.getvalue(), alerts])

    def source_in(self, scratch: Path) -> Source:
        return self.source_of(scratch)

    def _listen(self, monkeypatch: Any) -> None:
        logger = logging.getLogger("rowcast")
        handler = logging.StreamHandler(self.log)
        handler.setFormatter(wiring._logger().handlers[0].formatter)
        monkeypatch.setattr(logger, "handlers", [handler])

    def _services(self) -> Any:
        return SimpleNamespace(
            **{name: getattr(self, name) for name in self.STORES},
            destination=lambda definition, deployment: self.target,
            queue=lambda deployment: self.queue,
            source=lambda definition, scratch: self.source_in(scratch),
            render=self.render,
            pace=lambda definition: fakes.FakePace(self.clock),
            engine_mb=500,
            deployment="shop",
            alerting=Alerting(alerts=self.alerts, announcer=self.alerts, clock=self.clock, deployment="shop"),
        )

    STORES = ("states", "snapshots", "definitions", "changes", "debts", "calls", "executions", "objects", "clock")

    def _handled(self, module: ModuleType, **event: Any) -> Any:
        """What the handler answers to the event; its input, answer and error are kept."""
        self.kept.append(to_json(event).decode())
        try:
            answer = module.handler(from_json(to_json(event)), CONTEXT)
        except RowcastError as error:
            self.kept.append("".join(traceback.format_exception(error)))
            raise
        self.kept.append(msgspec.json.encode(answer).decode())
        return SimpleNamespace(**answer) if isinstance(answer, dict) else answer

    def open(self, scheduled_at: str, execution: str, **steer: Any) -> Any:
        start = {"sync": self.sync, "scheduled_at": scheduled_at}
        return self._handled(open_, **start, execution=execution, input={**start, **steer})

    def snapshot(self, run: str, token: int) -> Any:
        return self._handled(snapshot, sync=self.sync, run=run, token=token)

    def diff(self, run: str, token: int, partition: int) -> Any:
        return self._handled(diff, sync=self.sync, run=run, token=token, partition=partition)

    def seal(self, run: str, token: int) -> Any:
        return self._handled(seal, sync=self.sync, run=run, token=token)

    def fan_out(self, run: str, token: int, chunks: str | Sequence[str], seconds: float = 900.0) -> bool:
        return bool(self._handled(publish, sync=self.sync, run=run, token=token, chunks=share(chunks)).done)

    def commit(self, run: str, token: int) -> Any:
        return self._handled(commit, sync=self.sync, run=run, token=token)

    def fail(self, scheduled_at: str, execution: str, error: RowcastError, **steer: Any) -> dict[str, Any]:
        """As Lambda tells Step Functions of an error: with its type, its text and its stack."""
        stack = traceback.format_list(traceback.extract_tb(error.__traceback__))
        kind = type(error).__name__
        cause = to_json({"errorMessage": str(error), "errorType": kind, "stackTrace": stack}).decode()
        event = {"scheduled_at": scheduled_at, "execution": execution, "error": {"Error": kind, "Cause": cause}}
        return dict(self._handled(fail, sync=self.sync, input=steer, **event).summary)
