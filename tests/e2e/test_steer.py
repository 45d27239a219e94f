"""Looking ahead and steering, through the command line, in the embedded AWS."""

from __future__ import annotations

import json

import pytest

from tests.e2e.folder import Folder

pytestmark = pytest.mark.emulator


def test_a_plan_shows_what_a_run_would_send_and_sends_nothing(folder: Folder) -> None:
    folder.sync("planned")
    folder.table("planned", {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    folder.run("planned")
    sent = len(folder.events("planned"))
    folder.table("planned", {"id": 1, "name": "other"}, {"id": 3, "name": "c"})
    done = folder.rowcast("plan", "planned", "--local", "--json", "--detailed-exitcode")
    plan = json.loads(done.stdout)
    assert done.returncode == 2
    assert [plan[name] for name in ("status", "added", "changed", "removed", "calls")] == ["planned", 1, 1, 1, 3]
    [changed] = [one for one in plan["messages"] if one["operation"] == "changed"]
    assert changed["columns"] == {"name": ["a", "other"]}
    assert changed["message"] == {"id": 1, "name": "other"}
    seen = folder.rowcast("plan", "planned", "--local")
    assert seen.returncode == 0
    assert '"a" → "other"' in seen.stdout
    assert len(folder.events("planned")) == sent
    assert [one["mode"] for one in folder.lines("runs", "planned")] == ["plan", "plan", "run"]
    assert folder.run("planned")["accepted"] == 3
    nothing = folder.rowcast("plan", "planned", "--local", "--detailed-exitcode")
    assert nothing.returncode == 0
    assert "Nothing to send" in nothing.stdout
