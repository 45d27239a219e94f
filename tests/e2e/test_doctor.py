"""What a sync needs is checked before its first run; nothing is sent."""

from __future__ import annotations

import pytest

from tests.e2e.folder import Folder, to_function

pytestmark = pytest.mark.emulator
SYNCS = {
    "healthy": to_function("./targets/picky.py:handler"),
    "healthy-events": {},
    "ill": to_function("arn:aws:lambda:us-east-1:000000000000:function:nobody"),
}


def statuses(folder: Folder, sync: str) -> dict[str, str]:
    return {one["check"]: one["status"] for one in folder.lines("doctor", sync)}


def test_a_sync_that_can_run_is_found_healthy_and_nothing_is_sent(folder: Folder) -> None:
    folder.table("healthy", {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    folder.table("healthy-events", {"id": 1, "name": "a"})
    assert folder.rowcast("local", "up").returncode == 0
    found = statuses(folder, "healthy")
    assert {
        name: found[name] for name in ("deployed", "source", "key", "target", "permitted", "function")
    } == dict.fromkeys(("deployed", "source", "key", "target", "permitted", "function"), "ok")
    found = statuses(folder, "healthy-events")
    assert found["target"] == "ok"
    assert folder.events("healthy") == folder.events("healthy-events") == []
    assert "things" in {bus["name"] for bus in folder.lines("buses", "--region", "us-east-1")}


def test_what_is_missing_is_named_with_what_to_paste(folder: Folder) -> None:
    folder.table("ill", {"id": 1, "name": "a"}, {"id": 1, "name": "b"})
    assert folder.rowcast("local", "up").returncode == 0
    found = {one["check"]: one for one in folder.lines("doctor", "ill")}
    assert (found["key"]["status"], found["target"]["status"]) == ("fail", "fail")
    assert found["target"]["rights"] == "the delivery role's"
    [policy] = found["target"]["policies"].values()
    assert policy["Statement"][0]["Resource"] == ["arn:aws:lambda:us-east-1:000000000000:function:nobody"]
    told = folder.rowcast("doctor", "ill")
    assert told.returncode == 1
    assert "lambda:InvokeFunction" in told.stdout
    folder.table("ill")
    assert "no column" not in folder.rowcast("doctor", "ill").stdout
