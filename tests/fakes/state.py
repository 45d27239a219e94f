from __future__ import annotations

from rowcast.errors import LockLost
from rowcast.models import PHASES, Head, Run
from tests.fakes.copies import copied


class FakeStateStore:
    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.records: dict[tuple[str, str], Run] = {}
        self.rejections: dict[tuple[str, str], dict[str, int]] = {}
        self.run_tokens: dict[tuple[str, str], int] = {}

    def head(self, sync: str) -> Head:
        return copied(self.heads.get(sync, Head(sync=sync)))

    def run(self, sync: str, run: str) -> Run | None:
        return copied(self.records.get((sync, run)))

    def runs(self, sync: str, limit: int) -> list[Run]:
        mine = sorted((run for (owner, run) in self.records if owner == sync), reverse=True)
        return [copied(self.records[sync, run]) for run in mine[:limit]]

    def take_lock(self, seen: Head, execution: str) -> Head | None:
        head = self.heads.setdefault(seen.sync, Head(sync=seen.sync))
        if head.token == seen.token + 1 and head.holder == execution:
            return copied(head)
        if (head.token, head.holder, head.open_run) != (seen.token, seen.holder, seen.open_run):
            return None
        head.token += 1
        head.holder = execution
        if head.open_run is not None:
            self.run_tokens[seen.sync, head.open_run] = head.token
        return copied(head)

    def release_lock(self, sync: str, token: int) -> None:
        head = self.heads.get(sync)
        if head is not None and head.token == token:
            head.holder = None

    def begin(self, run: Run, token: int) -> None:
        head = self._current(run.sync, token)
        key = (run.sync, run.run)
        if head.open_run == run.run and key in self.records:
            return
        if head.open_run is not None or key in self.records:
            raise LockLost(f"Run {head.open_run or run.run} of {run.sync} was begun before.")
        head.open_run = run.run
        self.records[key] = copied(run)
        self.run_tokens[key] = token

    def save(self, run: Run, token: int) -> None:
        head = self._current(run.sync, token)
        stored = self.records[run.sync, run.run]
        if head.open_run != run.run or PHASES.index(stored.phase) > PHASES.index(run.phase):
            raise LockLost(f"Run {run.run} of {run.sync} has gone on.")
        self._store(run, token)

    def stop(self, sync: str, run: str, token: int, reason: str) -> None:
        record = self._fenced(sync, run, token)
        record.stopped = record.stopped or reason

    def add_rejections(self, sync: str, run: str, token: int, reasons: dict[str, int]) -> dict[str, int]:
        self._fenced(sync, run, token)
        totals = self.rejections.setdefault((sync, run), {})
        for reason, count in reasons.items():
            totals[reason] = totals.get(reason, 0) + count
        return {reason: totals[reason] for reason in reasons}

    def commit(self, head: Head, run: Run, token: int) -> None:
        current = self._current(head.sync, token)
        if current.generation == head.generation and current.open_run is None and current.history == head.history:
            return
        if current.generation != head.generation - 1 or current.open_run != run.run:
            raise LockLost(f"The head of {head.sync} has moved.")
        current.generation, current.history, current.owed = head.generation, list(head.history), head.owed
        current.owed_since = head.owed_since
        current.open_run = current.held = None
        self._store(run, token)

    def close(self, run: Run, token: int) -> None:
        current = self._current(run.sync, token)
        if current.open_run not in (None, run.run):
            raise LockLost(f"Another run of {run.sync} is open.")
        current.open_run = None
        if run.status == "held" or run.mode == "reject":
            current.held = run.run if run.status == "held" else None
        self._store(run, token)

    def _current(self, sync: str, token: int) -> Head:
        head = self.heads.get(sync)
        if head is None or head.token != token:
            raise LockLost(f"Another run holds the lock of {sync}.")
        return head

    def _fenced(self, sync: str, run: str, token: int) -> Run:
        if self.run_tokens.get((sync, run)) != token:
            raise LockLost(f"Another run holds the lock of {sync}.")
        return self.records[sync, run]

    def _store(self, run: Run, token: int) -> None:
        key = (run.sync, run.run)
        stopped = self.records[key].stopped if key in self.records else run.stopped
        self.records[key] = copied(run)
        self.records[key].stopped = stopped
        self.run_tokens[key] = token
