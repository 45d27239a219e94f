"""A sync gets another name and goes on from its baseline and its debts, in the embedded AWS."""

from __future__ import annotations

import pytest

from tests.e2e.folder import Folder, to_function

pytestmark = pytest.mark.emulator
MODEL = {"source": "here", "query": "SELECT * FROM 'renamed.csv'", "primary_key": "id"}
SYNCS = {
    "before": {**to_function("./targets/picky.py:handler", batch_size=10), "model": MODEL},
    "untried": {},
    "once": {},
    "taken": {},
}


def test_a_renamed_sync_sends_what_changed_and_what_was_owed_and_the_old_name_runs_no_more(folder: Folder) -> None:
    folder.table("renamed", {"id": 1, "name": "a"}, {"id": 2, "name": "bad"})
    first = folder.run("before")
    assert (first["accepted"], first["rejected"]) == (1, 1)

    unasked = folder.rowcast("rename", "before", "after", "--local")
    assert (unasked.returncode, "Nobody is there to answer" in unasked.stderr) == (2, True)
    assert "take its baseline and 1 row that it owes along to after?" in unasked.stderr
    said = folder.rowcast("rename", "before", "after", "--local", "--yes", "--because", "ticket 12")
    assert (said.returncode, said.stdout.splitlines()) == (
        0,
        [
            "before is after now, with its baseline and 1 row that it owes.",
            "Rename its file to syncs/after.yaml and deploy. Until then neither runs.",
        ],
    )
    stopped = folder.run("before")
    assert (stopped["status"], stopped["reason"]) == (
        "failed",
        "before was renamed to after: deploy the project in which it is.",
    )

    (folder.path / "syncs" / "before.yaml").rename(folder.path / "syncs" / "after.yaml")
    folder.table("renamed", {"id": 1, "name": "a"}, {"id": 2, "name": "good"}, {"id": 3, "name": "new"})
    again = folder.lines("rename", "before", "after", "--local")[-1]
    assert (again["name"], again["debts"], again["generation"]) == ("after", 1, 1), "repeating it goes on"
    last = folder.run("after")
    assert [last[name] for name in ("owed_before", "added", "changed", "accepted", "owed_after")] == [1, 2, 0, 2, 0]
    _, record = folder.lines("runs", "after", "--json")
    assert (record["mode"], record["because"], record["requested_by"][-7:]) == ("rename", "ticket 12", "(local)")
    assert folder.lines("runs", "before")[-1]["run"] == first["run"]
    assert [one["run"] for one in folder.lines("run-info", first["run"], "--sync", "before")] == [first["run"]]
    assert {one["run"] for one in folder.lines("calls", "before")} == {first["run"]}
    assert [one["run"] for one in folder.lines("history", "before", "--key", "1")] == [first["run"]]
    assert {one["run"] for one in folder.events("before")} == {first["run"]}
    assert folder.lines("rejects", "before") == [], "what it owed went along"


def test_what_cannot_be_renamed_is_said(folder: Folder) -> None:
    for name in ("once", "taken"):
        folder.table(name, {"id": 1, "name": "a"})
        folder.run(name)
    assert folder.rowcast("rename", "nobody", "somebody", "--local").returncode == 2
    assert folder.rowcast("rename", "events", "No Name", "--local").returncode == 2
    never = folder.rowcast("rename", "untried", "calm", "--local")
    assert (never.returncode, never.stderr) == (1, "error: untried has never run: there is nothing to take along.\n")
    taken = folder.rowcast("rename", "once", "taken", "--local", "--yes")
    assert (taken.returncode, taken.stderr) == (1, "error: taken has run before: take another name.\n")
    assert folder.run("once")["status"] == folder.run("taken")["status"] == "completed"
