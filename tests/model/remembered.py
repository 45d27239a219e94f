"""An engine that remembers: the same statements over the same files give the same rows and files, without DuckDB.

A sweep takes the same snapshots and diffs thousands of times. What is not remembered is asked of DuckDB itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

_connect = duckdb.connect
_RUN = re.compile(r"\d{8}T\d{6}\.\d{3}Z")  # what a run is called makes no difference to the engine
_memory: dict[bytes, tuple[list[Any] | None, dict[str, bytes]]] = {}


@contextmanager
def remembered_engine() -> Iterator[None]:
    """Within, `duckdb.connect` gives connections that remember. One thread each, so that a process can be forked."""
    duckdb.connect = Connection  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        duckdb.connect = _connect


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
    asked = getattr(connection, how)(statement, parameters)
    return asked.fetchall() if how != "register" and asked.description else None


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
        if self._key not in _memory:
            rows = self._ask(how, statement, parameters)
            _memory[self._key] = rows, {n: data for n, data in self._files().items() if before.get(n) != data}
        elif self._real is not None:
            self._ask(how, statement, parameters)
        rows, files = _memory[self._key]
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
