"""The whole route in one process: the real core over the fakes, driven as `infra/sync.asl.json` drives the handlers."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from rowcast import ports
from rowcast.arrival import check_names
from rowcast.commit import Committing, commit_run
from rowcast.definition import (
    Definition,
    EventBridgeDestination,
    FilesSource,
    Limits,
    Retry,
    Trigger,
    Triggers,
)
from rowcast.delivering import FanningOut
from rowcast.diff import Diffing, diff_run
from rowcast.errors import RowcastError
from rowcast.fail import Failing, fail_run
from rowcast.fan_out import fan_out_run
from rowcast.models import Column, ColumnType, FirstSend, Mode, Request, Run, to_json
from rowcast.open import Opening, open_run
from rowcast.ports import Render, Source, SourceResult
from rowcast.replay import as_first_sent
from rowcast.seal import Sealing, seal_run
from rowcast.snapshot import Taking, snapshot_run
from tests import fakes

ON = Trigger(bus="bus", source="com.shop", detail_type="Row")
ALL_ON = Triggers(added=ON, changed=ON, removed=ON)
_TYPES = {"integer": "BIGINT", "text": "VARCHAR", "decimal": "DECIMAL(38, 4)", "boolean": "BOOLEAN", "float": "DOUBLE"}


def sync_definition(name: str = "orders", **changes: Any) -> Definition:
    """A backfilling sync of `id` to EventBridge without immediate retries; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "sync": name,
        "source": FilesSource(name="shop", prefix="sources/shop/"),
        "query": "SELECT * FROM orders",
        "primary_key": ("id",),
        "destination": EventBridgeDestination(),
        "triggers": ALL_ON,
        "initial_sync": "backfill",
        "retry": Retry(immediate=0),
        "limits": Limits(concurrency=1),
    }
    return Definition(**{**fields, **changes})


def share(chunks: str | Sequence[str]) -> Sequence[str]:
    """What one fan-out task sends: one chunk, or several."""
    return [chunks] if isinstance(chunks, str) else chunks


@dataclass
class TableSource:
    """A table that a test writes: rows by name of column, and the columns' types. `fail`: raised by the next query."""

    columns: dict[str, ColumnType] = field(default_factory=lambda: {"id": "integer", "v": "text"})
    rows: list[dict[str, Any]] = field(default_factory=list)
    fail: Exception | None = None

    @contextmanager
    def query(self, query: str, connection: duckdb.DuckDBPyConnection) -> Iterator[SourceResult]:
        if self.fail is not None:
            raise self.fail
        check_names(list(self.columns))
        names = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in self.columns.items())
        connection.execute(f"CREATE TABLE source_rows ({names})")
        marks = ", ".join("?" for _ in self.columns)
        if self.rows:
            values = [[row.get(name) for name in self.columns] for row in self.rows]
            connection.executemany(f"INSERT INTO source_rows VALUES ({marks})", values)
        yield SourceResult(
            relation="source_rows", columns=tuple(Column(name, kind) for name, kind in self.columns.items())
        )

    def put(self, **row: Any) -> None:
        """Inserts or replaces the row of its `id`."""
        self.remove(row["id"])
        self.rows.append(row)

    def remove(self, key: Any) -> None:
        self.rows = [row for row in self.rows if row["id"] != key]


class World:
    """One sync, its source and its destination; `run` is one execution of the state machine."""

    def __init__(self, definition: Definition | None = None) -> None:
        self.clock = fakes.FakeClock()
        self.source = TableSource()
        self.states = fakes.FakeStateStore()
        self.snapshots = fakes.FakeSnapshotStore()
        self.definitions = fakes.FakeDefinitionStore()
        self.changes = fakes.FakeChangeStore()
        self.debts = fakes.FakeDebtStore(self.states)
        self.queue = fakes.FakeRetryQueue()
        self.calls = fakes.FakeCallStore()
        self.executions = fakes.FakeExecutions()
        self.objects: ports.Documents = fakes.FakeDocuments()
        self.target = fakes.FakeDestination()
        self.pace: ports.Pace = fakes.FakePace(self.clock)
        self.definition = definition or sync_definition()
        self.sync = self.definition.sync
        self.deploy(self.definition)
        self.starts = 0
        self.claims = 0

    def deploy(self, definition: Definition) -> None:
        self.definition = definition
        self.definitions.deploy(definition)

    # --- the steps, each as its handler calls it ---

    def open(self, scheduled_at: str, execution: str, **steer: Any) -> Any:
        needs = Opening(
            states=self.states,
            snapshots=self.snapshots,
            definitions=self.definitions,
            debts=self.debts,
            executions=self.executions,
            documents=self.objects,
            clock=self.clock,
            destination=lambda definition, deployment: self.target,
            queue=lambda deployment: self.queue,
        )
        return open_run(self.sync, scheduled_at, execution, needs, **steer)

    def snapshot(self, run: str, token: int) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            needs = Taking(
                states=self.states,
                definitions=self.definitions,
                snapshots=self.snapshots,
                debts=self.debts,
                source=lambda definition, scratch: self.source_in(scratch),
                clock=self.clock,
                scratch=Path(folder),
                attempt=self._claim(),
                engine_mb=500,
            )
            return snapshot_run(self.sync, run, token, needs)

    def diff(self, run: str, token: int, partition: int) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            needs = Diffing(
                states=self.states,
                definitions=self.definitions,
                snapshots=self.snapshots,
                changes=self.changes,
                debts=self.debts,
                scratch=Path(folder),
                engine_mb=500,
            )
            return diff_run(self.sync, run, token, partition, needs)

    def seal(self, run: str, token: int) -> Any:
        needs = Sealing(
            states=self.states,
            snapshots=self.snapshots,
            definitions=self.definitions,
            changes=self.changes,
            clock=self.clock,
            documents=self.objects,
            render=self.rendering,
        )
        return seal_run(self.sync, run, token, needs)

    def fan_out(self, run: str, token: int, chunks: str | Sequence[str], seconds: float = 900.0) -> bool:
        needs = FanningOut(
            states=self.states,
            definitions=self.definitions,
            changes=self.changes,
            calls=self.calls,
            destination=lambda definition, deployment: self.target,
            render=self.rendering,
            pace=lambda definition: self.pace,
            clock=self.clock,
            budget=fakes.FakeBudget(seconds, self.clock),
            claim=self._claim(),
            jitter=random.Random(0),
        )
        return fan_out_run(self.sync, run, token, share(chunks), needs)

    def commit(self, run: str, token: int) -> Any:
        needs = Committing(
            states=self.states,
            snapshots=self.snapshots,
            clock=self.clock,
            definitions=self.definitions,
            changes=self.changes,
            debts=self.debts,
            queue=lambda deployment: self.queue,
            budget=fakes.FakeBudget(900.0, self.clock),
            claim=self._claim(),
        )
        return commit_run(self.sync, run, token, needs)

    def fail(self, scheduled_at: str, execution: str, error: RowcastError, **steer: Any) -> dict[str, Any]:
        needs = Failing(
            states=self.states,
            snapshots=self.snapshots,
            clock=self.clock,
            changes=self.changes,
            documents=self.objects,
        )
        cause = to_json({"errorMessage": str(error), "errorType": type(error).__name__}).decode()
        caught = {"Error": type(error).__name__, "Cause": cause}
        return fail_run(self.sync, scheduled_at, execution, caught, needs, **steer)

    def source_in(self, scratch: Path) -> Source:
        """Where the definition's query is asked; it may put files into `scratch`."""
        return self.source

    def render(self, definition: Definition, run: Run) -> Render:
        return lambda change: to_json(change.row)

    def rendering(self, definition: Definition, run: Run) -> Render:
        """As the wiring ties it: what is sent again is rendered as it was at first."""

        def of(first: FirstSend) -> Render:
            then = Run(
                sync=run.sync,
                run=first.run,
                generation=0,
                execution="",
                definition=first.definition,
                started_at=first.started_at,
            )
            return self.render(self.definitions.pinned(run.sync, first.definition), then)

        return as_first_sent(self.render(definition, run), of)

    def _claim(self) -> str:
        self.claims += 1
        return f"claim-{self.claims}"

    # --- the state machine ---

    def run(
        self, scheduled_at: str | None = None, on: Callable[[str], None] = lambda state: None, **steer: Any
    ) -> dict[str, Any]:
        """One execution; answers the summary. `on` sees each state's name before it: raise there to die. `steer`: what
        more its input holds."""
        scheduled_at = scheduled_at or self.next_time()
        execution = f"execution-{scheduled_at}-{self.starts}"
        self.executions.running.add(execution)
        try:
            return self._machine(scheduled_at, execution, on, steer)
        except RowcastError as error:
            return self.fail(scheduled_at, execution, error, **steer)
        finally:
            self.executions.running.discard(execution)

    def next_time(self) -> str:
        """A scheduled time that no start had yet."""
        self.starts += 1
        self.clock.time += 60
        return datetime.fromtimestamp(self.clock.time, UTC).isoformat()

    def steer(self, mode: Mode, *, on: Callable[[str], None] = lambda state: None, **asked: Any) -> dict[str, Any]:
        """One execution that a person asked for."""
        return self.run(on=on, **self.ask(mode, **asked))

    def ask(self, mode: Mode, **asked: Any) -> dict[str, Any]:
        """Writes a person's request down; answers what the execution's input says of it."""
        request = Request(sync=self.sync, mode=mode, by="arn:aws:iam::1:user/ann", at=self.clock.now(), **asked)
        key = f"requests/{self.sync}/{self.starts}-{mode}.json"
        self.objects.put(key, to_json(request))
        return {"mode": mode, "request": key}

    def _machine(
        self, scheduled_at: str, execution: str, on: Callable[[str], None], steer: dict[str, Any]
    ) -> dict[str, Any]:
        while True:
            on("open")
            opened = self.open(scheduled_at, execution, **steer)
            if opened.next in ("busy", "duplicate", "ended"):
                return dict(opened.summary)
            step, work = opened.next, opened.work_key
            if step == "snapshot":
                on("snapshot")
                taken = self.snapshot(opened.run, opened.token)
                for partition in self.snapshots.work(taken.work_key) if taken.partitions else []:
                    on("diff")
                    self.diff(opened.run, opened.token, partition)
                on("seal")
                sealed = self.seal(opened.run, opened.token)
                if sealed.next in ("held", "planned"):
                    return dict(sealed.summary)
                step, work = sealed.next, sealed.work_key
            for chunks in self.snapshots.work(work) if step == "fan_out" else []:
                on("fan_out")
                while not self.fan_out(opened.run, opened.token, chunks):
                    on("fan_out")
            on("commit")
            committed = self.commit(opened.run, opened.token)
            while not committed.done:
                committed = self.commit(opened.run, opened.token)
            if not committed.again:
                return dict(committed.summary)

    # --- what a test looks at ---

    @property
    def head(self) -> Any:
        return self.states.head(self.sync)

    def owed(self) -> dict[Any, Any]:
        """Debts by the first key value."""
        return {debt.key[0]: debt for debt in self.debts.debts(self.sync, "0" * 32, "f" * 32)}

    def sent(self) -> list[tuple[str, Any]]:
        """(operation, key) of every message since the last look, in order."""
        messages = [(message.change.operation, message.change.key[0]) for message in self.target.sent]
        self.target.calls.clear()
        return messages

    def arrived(self) -> dict[Any, Any]:
        """The rows that the target holds, by id."""
        return {row["id"]: row for row in self.target.arrived.values()}  # type: ignore[index]
