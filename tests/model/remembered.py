"""An engine that remembers: the same statements over the same files give the same rows and files, without DuckDB.

A sweep takes the same snapshots and diffs thousands of times. What is not remembered is asked of DuckDB itself.
A folder lets the processes of a sweep remember together.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from rowcast import arrow, diff
from rowcast.engine import engine, kept_engine
from tests.model.inline import without_threads

_connect, _batches = duckdb.connect, arrow.batches
_RUN = re.compile(r"\d{8}T\d{6}\.\d{3}Z")  # what a run is called makes no difference to the engine
Remembered = tuple[list[Any] | None, dict[str, bytes]]


class Memory:
    """What statements answered and wrote, by all that was said and lay there before."""

    def __init__(self) -> None:
        self._known: dict[bytes, Remembered] = {}
        self.folder: Path | None = None

    def get(self, key: bytes) -> Remembered | None:
        found = self._known.get(key)
        if found is None and self.folder is not None:
            with suppress(FileNotFoundError):
                found = self._known[key] = pickle.loads((self.folder / key.hex()).read_bytes())
        return found

    def put(self, key: bytes, found: Remembered) -> Remembered:
        self._known[key] = found
        if self.folder is not None:
            half = self.folder / f"{key.hex()}.{os.getpid()}"
            half.write_bytes(pickle.dumps(found))
            half.rename(self.folder / key.hex())
        return found


_memory = Memory()


@contextmanager
def remembered_engine(shared: Path | None = None) -> Iterator[None]:
    """Within, `duckdb.connect` gives connections that remember, with the processes of a `shared` folder too. One thread
    does all, so that a process can be forked, and statements come in the order that is remembered. None is kept: each
    knows the files of its own folder alone."""
    duckdb.connect = Connection  # type: ignore[assignment,misc]
    diff.kept_engine = engine
    arrow.batches = _remembered_batches  # type: ignore[assignment]
    _memory.folder = shared
    try:
        with without_threads():
            yield
    finally:
        duckdb.connect, arrow.batches, diff.kept_engine = _connect, _batches, kept_engine
        _memory.folder = None


@contextmanager
def quick_engine() -> Iterator[None]:
    """A remembered engine, and scratch folders in memory where the machine has them."""
    before = tempfile.tempdir
    if Path("/dev/shm").is_dir():
        tempfile.tempdir = "/dev/shm"
    try:
        with remembered_engine():
            yield
    finally:
        tempfile.tempdir = before


class Rows:
    def __init__(self, rows: list[Any] | None) -> None:
        self._rows = list(rows or ())

    def fetchall(self) -> list[Any]:
        return self.fetchmany(len(self._rows))

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchnumpy(self) -> dict[int, Any]:
        """Of a result with rows that is UBIGINT throughout; names are not remembered."""
        return dict(enumerate(np.array(self.fetchall(), np.uint64).T))

    def fetchmany(self, size: int = 1) -> list[Any]:
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows


def _do(connection: Any, how: str, statement: str, parameters: Any) -> list[Any] | None:
    if how == "unregister":
        connection.unregister(statement)
        return None
    if how == "batches":
        return list(_batches(connection, statement))
    asked = getattr(connection, how)(statement, parameters)
    return asked.fetchall() if how != "register" and asked.description else None


def _remembered_batches(connection: Any, statement: str) -> Iterator[Any]:
    return iter(connection.batches(statement))


class Connection:
    """Stands in for a DuckDB connection whose files all lie in one scratch folder."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = {**config, "threads": 1}
        self._scratch = Path(config["temp_directory"]).parent
        self._key = b""
        self._runs: dict[str, int] = {}
        self._done: list[tuple[str, str, Any, set[str]]] = []
        self._real: Any = None

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> Rows:
        return self._run("execute", statement, parameters)

    def register(self, name: str, arrays: dict[str, Any]) -> None:
        self._run("register", name, arrays)

    def unregister(self, name: str) -> None:
        self._run("unregister", name, None)

    def executemany(self, statement: str, parameters: Sequence[Any]) -> Rows:
        return self._run("executemany", statement, parameters)

    def batches(self, statement: str) -> list[Any]:
        return self._run("batches", statement, None).fetchall()

    def close(self) -> None:
        if self._real is not None:
            self._real.close()

    def _run(self, how: str, statement: str, parameters: Any) -> Rows:
        before = self._files()
        text = statement.replace(str(self._scratch), "<scratch>")
        told = {n: a.tolist() for n, a in parameters.items()} if how == "register" else parameters
        said = repr((text, told, sorted((name, hashlib.sha256(data).digest()) for name, data in before.items())))
        said = _RUN.sub(lambda run: str(self._runs.setdefault(run[0], len(self._runs))), said)
        self._key = hashlib.sha256(self._key + said.encode()).digest()
        known = _memory.get(self._key)
        if known is None:
            asked = self._ask(how, statement, parameters)
            written = {name: data for name, data in self._files().items() if before.get(name) != data}
            known = _memory.put(self._key, (asked, written))
        elif self._real is not None:
            self._ask(how, statement, parameters)
        rows, files = known
        for name, data in files.items():
            path = self._scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self._done.append((how, statement, parameters, set(files)))
        return Rows(rows)

    def _ask(self, how: str, statement: str, parameters: Any) -> list[Any] | None:
        if self._real is None:
            self._catch_up()
        return _do(self._real, how, statement, parameters)

    def _catch_up(self) -> None:
        """Brings DuckDB to where the remembered statements left off, and the folder with it."""
        self._real = _connect(config=self._config)
        present = self._files()
        for how, statement, parameters, wrote in self._done:
            for name in wrote:
                (self._scratch / name).unlink(missing_ok=True)
                with suppress(OSError):
                    (self._scratch / name).parent.rmdir()
            _do(self._real, how, statement, parameters)
        for name in self._files().keys() - present.keys():
            (self._scratch / name).unlink()

    def _files(self) -> dict[str, bytes]:
        paths = (path for path in self._scratch.rglob("*.parquet") if path.is_file())
        return {str(path.relative_to(self._scratch)): path.read_bytes() for path in paths}
