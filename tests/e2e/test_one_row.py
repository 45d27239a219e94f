"""The message of one real row: shown, and really sent as a test."""

from __future__ import annotations

import pytest

from tests.e2e.folder import Folder, to_function

pytestmark = pytest.mark.emulator
SYNCS = {
    "shown": {"message": {"columns": {"who.id": "id", "who.name": "name"}}},
    "trying": {**to_function("./targets/picky.py:handler"), "initial_sync": "skip"},
}


def test_a_row_is_previewed_and_tested_without_moving_the_baseline(folder: Folder) -> None:
    folder.table("shown", {"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"})
    assert folder.rowcast("preview", "shown", "--key", "1").returncode == 1
    folder.run("shown")
    folder.table("shown", {"id": 1, "name": "a"}, {"id": 2, "name": "bb"})
    folder.run("shown")
    before = folder.events("shown")

    [one] = folder.lines("preview", "shown", "--key", "1")
    assert (one["operation"], one["message"]) == ("added", {"who": {"id": 1, "name": "a"}})
    assert (one["target"], one["source"], one["detail-type"]) == ("things", "com.example", "Thing")
    [changed] = folder.lines("preview", "shown", "--key", "2", "--as", "changed")
    assert (changed["columns"], changed["message"]["who"]["name"]) == (["name"], "bb")
    [gone] = folder.lines("preview", "shown", "--key", "3")
    assert (gone["operation"], gone["message"]["who"]["name"]) == ("removed", "c")
    assert folder.rowcast("preview", "shown", "--key", "9").returncode == 2
    assert "things" in folder.rowcast("preview", "shown", "--key", "1").stdout
    assert folder.events("shown") == before

    [tested] = folder.lines("test-row", "shown", "--key", "1", "--as", "added")
    assert (tested["test"], tested["outcomes"], tested["keys"]) == (True, ["accepted"], [1])
    new = folder.events("shown")[len(before) :]
    assert [(event["run"], event["detail"]["who"]["id"]) for event in new] == [(tested["run"], 1)]
    assert folder.lines("calls", "shown", "--run", tested["run"])[0]["test"]
    assert len(folder.lines("runs", "shown")) == 2
    assert folder.run("shown")["added"] == 0


def test_a_tested_row_that_a_function_rejects_is_told_and_owes_nothing(folder: Folder) -> None:
    folder.table("trying", {"id": 1, "name": "bad"})
    folder.run("trying")
    done = folder.rowcast("test-row", "trying", "--key", "1", "--as", "added")
    assert done.returncode == 1, done.stderr
    assert "no such name" in done.stdout
    assert folder.lines("rejects", "trying") == []
