"""A user's folder and the command line on it, for end-to-end tests."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 180


IMPORTED = (
    "asyncio",
    "boto3.s3.inject",
    "encodings.idna",
    "project",
    "rapidfuzz",
    "rich.console",
    "rich.table",
    "rowcast.chunks",
    "rowcast.message",
    "rowcast.stores.debts",
    "rowcast.stores.objects",
    "rowcast.stores.state",
    "sqlglot.dialects.duckdb",
    "workbench.cli",
    "workbench.info",
    "workbench.local.deploy",
    "workbench.running",
)
"""By the process that forks for each command: that takes longer than most commands. Nothing that asks the terminal."""


class Folder:
    """A user's folder and the command line on it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """The command as a user starts it: in an interpreter that has imported nothing yet."""
        paths = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "core" / "python")])
        return subprocess.Popen(
            [sys.executable, "-c", "from workbench.cli import main; main()", *self._whole(arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**_environment(variables), "PYTHONPATH": paths},
        )

    def typed(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=RUN_SECONDS)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def rowcast(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The same in a process that is forked from one which has imported what most commands need."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            given = (self._whole(arguments), _environment(variables), out, err)
            process = _forking().Process(target=_command, args=given)
            process.start()
            process.join(RUN_SECONDS)
            if process.exitcode is None:
                process.kill()
                raise TimeoutError(f"rowcast {' '.join(arguments)} takes more than {RUN_SECONDS} s")
            return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())

    def _whole(self, arguments: tuple[str, ...]) -> list[str]:
        return ["--project", str(self.path), *arguments]

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.rowcast(*arguments, "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def run(self, sync: str, **variables: str) -> dict[str, Any]:
        """The last line of a run; its exit code must agree with its status."""
        done = self.rowcast("run", sync, "--local", "--json", **variables)
        assert done.stdout, done.stderr
        last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert done.returncode == (0 if last["status"] == "completed" else 1), done.stderr
        assert last["added"] + last["changed"] + last["removed"] == sum(
            last[name] for name in ("accepted", "rejected", "in_doubt")
        )
        return last

    def events(self, sync: str, run: str | None = None) -> list[dict[str, Any]]:
        return self.lines("events", "--sync", sync, *(["--run", run] if run else []))

    def write(self, file: str, text: str) -> None:
        path = self.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def sync(self, name: str, **changes: Any) -> None:
        """A sync on `data/<name>.csv` to the bus `things`, with these parts replaced."""
        trigger = {"bus": "things", "source": "com.example", "detail_type": "Thing"}
        whole = {
            "model": {"source": "here", "query": f"SELECT * FROM '{name}.csv'", "primary_key": "id"},
            "schedule": "manual",
            "destination": {"type": "eventbridge"},
            "triggers": dict.fromkeys(("added", "changed", "removed"), trigger),
            "initial_sync": "backfill",
            "guard": {"max_removed": "100%", "max_changed": "100%", "max_rejected": "100%", "allow_empty": True},
            **changes,
        }
        self.write(f"syncs/{name}.yaml", yaml.safe_dump(whole))

    def table(self, name: str, *rows: dict[str, Any]) -> None:
        columns = list(rows[0]) if rows else ["id"]
        text = [",".join(columns), *(",".join(str(row[column]) for column in columns) for row in rows)]
        self.write(f"data/{name}.csv", "\n".join(text) + "\n")


def _environment(variables: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"ROWCAST_LOCAL_OWNER": str(os.getpid()), "COLUMNS": "200", **variables}


@cache
def _forking() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context


def _command(arguments: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    """Ends the process with the command's exit code."""
    for stream, file in ((sys.stdout, out), (sys.stderr, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["rowcast", *arguments]
    from workbench.cli import main

    main()


def to_function(place: str, **more: Any) -> dict[str, Any]:
    """The parts of a sync whose destination is a function of the folder."""
    return {
        "destination": {"type": "lambda", "function": place, **more},
        "triggers": dict.fromkeys(("added", "changed", "removed"), True),
        "retry": {"immediate": 0},
    }
