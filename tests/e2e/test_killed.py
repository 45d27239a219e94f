"""Functions that are killed in the middle of their work: SIGKILL, which nothing can catch, at a few dozen points."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.e2e.folder import Folder
from tests.model.evidence import keep

pytestmark = [pytest.mark.emulator, pytest.mark.long]
POINTS = int(os.environ.get("ROWCAST_KILLS", "36"))
SEED = int(os.environ.get("ROWCAST_SEED", "20261120"))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    folder.write("rowcast.yaml", yaml.safe_dump({"sources": {"here": {"type": "files", "path": "data"}}}))
    folder.sync("things", retry={"immediate": 1, "backoff": "100ms"})
    folder.table("things", *({"id": key, "name": "first"} for key in range(300)))
    yield folder
    folder.rowcast("local", "down")


def kill_functions(folder: Folder) -> int:
    """Ends every process that the emulator runs a function in; answers how many there were."""
    emulator = psutil.Process(json.loads((folder.path / ".rowcast" / "local.json").read_text())["pid"])
    functions = emulator.children(recursive=True)
    for process in functions:
        process.kill()
    return len(functions)


def test_functions_that_are_killed_cost_no_change(shop: Folder) -> None:
    chance = random.Random(SEED)
    print(f"ROWCAST_SEED={SEED}")
    shop.run("things")
    killed = 0
    for point in range(POINTS):
        changed = chance.sample(range(300), 40)
        rows = [{"id": key, "name": f"{point}" if key in changed else "same"} for key in range(300)]
        shop.table("things", *rows)
        start = shop.start("run", "things", "--local", "--json")
        time.sleep(0.3 + chance.random() * 1.7)
        killed += bool(kill_functions(shop))
        start.communicate(timeout=900)
        shop.run("things")
        assert held_by_target(shop.events("things")) == {row["id"]: row["name"] for row in rows}, f"after kill {point}"
    assert killed > POINTS // 2
    keep("killed", runs_killed=killed, violations=0)


def held_by_target(events: list[dict[str, Any]]) -> dict[int, str]:
    """What a consumer holds that applies the events in the order in which they arrived."""
    held: dict[int, str] = {}
    for event in events:
        if event["operation"] == "removed":
            held.pop(event["detail"]["id"], None)
        else:
            held[event["detail"]["id"]] = event["detail"]["name"]
    return held
