"""A user's folder and the command line on it, for end-to-end tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 180


class Folder:
    """A user's folder and the command line on it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        paths = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "core" / "python")])
        environment |= {"ROWCAST_LOCAL_OWNER": str(os.getpid()), "PYTHONPATH": paths, "COLUMNS": "200", **variables}
        return subprocess.Popen(
            [sys.executable, "-c", "from workbench.cli import main; main()", "--project", str(self.path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def rowcast(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=RUN_SECONDS)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

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


def to_function(place: str, **more: Any) -> dict[str, Any]:
    """The parts of a sync whose destination is a function of the folder."""
    return {
        "destination": {"type": "lambda", "function": place, **more},
        "triggers": dict.fromkeys(("added", "changed", "removed"), True),
        "retry": {"immediate": 0},
    }
