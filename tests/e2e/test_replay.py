"""What a run sent is sent again, through the command line, in the embedded AWS."""

from __future__ import annotations

import pytest

from tests.e2e.folder import Folder

pytestmark = pytest.mark.emulator
SYNCS = {
    "replayed": {"message": {"template": '{"old": "{{ row.name }}", "run": "{{ run.id }}"}'}},
    "replayed-row": {},
    "replayed-not": {},
}


def test_a_run_is_sent_again_but_for_what_moved_on(folder: Folder) -> None:
    folder.table("replayed", {"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"})
    first = folder.run("replayed")["run"]
    folder.sync("replayed", message={"template": '{"new": "{{ row.name }}"}'})
    folder.table("replayed", {"id": 1, "name": "other"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"})
    folder.run("replayed")
    sent = {one["change_id"]: one for one in folder.events("replayed")}
    assert len(sent) == 4

    unasked = folder.rowcast("replay", "replayed", "--local", "--run", first)
    assert (unasked.returncode, "send 2 past changes again" in unasked.stderr) == (2, True)
    assert "Left out 1 change: the row changed again since." in unasked.stdout
    assert len(folder.events("replayed")) == 4

    again = folder.lines("replay", "replayed", "--local", "--run", first, "--yes", "--because", "lost")[-1]
    assert [again[name] for name in ("status", "mode", "added", "accepted", "because")] == [
        "completed",
        "replay",
        2,
        2,
        "lost",
    ]
    assert (sum(again["left_out"].values()), bool(again["requested_by"])) == (1, True)
    repeats = folder.events("replayed")[4:]
    assert len(repeats) == 2
    for one in repeats:
        assert {**sent[one["change_id"]], "time": 0, "id": 0} == {**one, "time": 0, "id": 0}
    assert folder.run("replayed")["accepted"] == 0


def test_one_row_is_sent_again_and_its_history_shows_both_sends(folder: Folder) -> None:
    folder.table("replayed-row", {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    first = folder.run("replayed-row")["run"]
    again = folder.lines("replay", "replayed-row", "--local", "--since", "2h", "--key", "2", "--yes")[-1]
    assert [again[name] for name in ("status", "accepted")] == ["completed", 1]
    moments = folder.lines("history", "replayed-row", "--key", "2")
    assert [(one["run"], one["replay_of"], one["outcome"]) for one in moments] == [
        (first, None, "accepted"),
        (again["run"], first, "accepted"),
    ]
    assert len({one["change_id"] for one in moments}) == 1


def test_what_cannot_be_sent_again_is_said(folder: Folder) -> None:
    folder.table("replayed-not", {"id": 1, "name": "a"})
    folder.run("replayed-not")
    quiet = folder.run("replayed-not")["run"]
    nothing = folder.lines("replay", "replayed-not", "--local", "--run", quiet, "--yes")[-1]
    assert (nothing["status"], quiet in nothing["reason"]) == ("nothing", True)
    assert folder.rowcast("replay", "replayed-not", "--local", "--run", "never", "--yes").returncode == 2
    assert folder.rowcast("replay", "replayed-not", "--local", "--since", "noon", "--yes").returncode == 2
    assert folder.rowcast("replay", "replayed-not", "--local", "--yes").returncode == 2
    nobody = folder.lines("replay", "replayed-not", "--local", "--since", "1h", "--key", "x", "--yes")[-1]
    assert nobody["status"] == "nothing"
