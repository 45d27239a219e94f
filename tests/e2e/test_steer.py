"""Looking ahead and steering, through the command line, in the embedded AWS."""

from __future__ import annotations

import json

import pytest

from tests.e2e.folder import Folder, to_function

pytestmark = pytest.mark.emulator
SYNCS = {
    "guarded": {"guard": {"allow_empty": False}},
    "steered": to_function("./targets/picky.py:handler", batch_size=10),
    "planned": {},
    "planned-ill": {},
    "resent": {},
}


def test_a_held_run_is_approved_or_rejected_by_its_name(folder: Folder) -> None:
    folder.table("guarded", {"id": "a", "name": "x"}, {"id": "b", "name": "y"})
    folder.run("guarded")
    folder.write("data/guarded.csv", "id,name\n")
    [first] = folder.lines("run", "guarded", "--local")[-1:]
    assert first["status"] == "held"
    [rejected] = folder.lines("reject-run", first["run"], "--local", "--yes", "--because", "no")[-1:]
    assert [rejected[name] for name in ("status", "mode", "decides")] == ["completed", "reject", first["run"]]
    assert folder.rowcast("approve", first["run"], "--local", "--yes").returncode == 2
    [second] = folder.lines("run", "guarded", "--local")[-1:]
    folder.table("guarded", {"id": "c", "name": "z"})
    [approved] = folder.lines("approve", second["run"], "--local", "--yes")[-1:]
    assert [approved[name] for name in ("status", "removed", "accepted")] == ["completed", 2, 2]
    assert folder.run("guarded")["added"] == 1


def test_rows_that_are_owed_are_retried_or_discarded_one_by_one(folder: Folder) -> None:
    folder.table("steered", *({"id": number, "name": "bad"} for number in (1, 2, 3)))
    folder.run("steered")
    again = folder.lines("retry", "steered", "--local", "--key", "1", "--yes")[-1]
    assert [again[name] for name in ("status", "mode", "added", "rejected", "owed_after")] == [
        "completed",
        "retry",
        1,
        1,
        3,
    ]
    no = folder.rowcast("discard", "steered", "--local", "--all")
    assert (no.returncode, "--because" in no.stderr) == (2, True)
    done = folder.lines("discard", "steered", "--local", "--key", "2", "--because", "a test", "--yes")[-1]
    assert [done[name] for name in ("status", "skipped", "owed_after", "because")] == ["completed", 1, 2, "a test"]
    assert done["requested_by"]
    assert sorted(row["key"] for row in folder.lines("rejects", "steered")) == [1, 3]
    none = folder.lines("discard", "steered", "--local", "--reason", "no such reason", "--because", "x", "--yes")[-1]
    assert none["status"] == "nothing"
    base = folder.lines("rebaseline", "steered", "--local", "--yes")[-1]
    assert [base[name] for name in ("status", "owed_after", "skipped")] == ["completed", 0, 2]
    assert folder.run("steered")["added"] == 0


def test_a_plan_shows_what_a_run_would_send_and_sends_nothing(folder: Folder) -> None:
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
    assert plan["cost"]["units"]["events_event"]["count"] == 1 + 3
    assert f"At least 3 calls; about {plan['cost']['cost']:,.4f} USD for the run" in seen.stdout
    assert len(folder.events("planned")) == sent
    assert [one["mode"] for one in folder.lines("runs", "planned")] == ["plan", "plan", "run"]
    assert folder.run("planned")["accepted"] == 3
    shown = [one["run"] for one in folder.lines("history", "planned", "--key", "1")]
    assert shown == [one["run"] for one in folder.lines("runs", "planned")[::-1] if one["mode"] == "run"]
    nothing = folder.rowcast("plan", "planned", "--local", "--detailed-exitcode")
    assert nothing.returncode == 0
    assert "Nothing to send" in nothing.stdout


def test_every_row_is_sent_again_after_the_count_was_confirmed(folder: Folder) -> None:
    folder.table("resent", {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    folder.run("resent")
    unasked = folder.rowcast("resync", "resent", "--local")
    assert (unasked.returncode, "send all 2 rows" in unasked.stderr) == (2, True)
    [again] = folder.lines("resync", "resent", "--local", "--yes")[-1:]
    assert [again[name] for name in ("status", "mode", "changed", "accepted")] == ["completed", "resync", 2, 2]
    assert len(folder.events("resent", again["run"])) == 2


def test_a_plan_that_fails_tells_who_asked_and_fails_no_execution(folder: Folder) -> None:
    folder.table("planned-ill", {"id": 1, "name": "a"}, {"id": 1, "name": "b"})
    done = folder.rowcast("plan", "planned-ill", "--local", "--json", "--detailed-exitcode")
    said = json.loads(done.stdout)
    assert (done.returncode, said["status"], "share a key" in said["reason"]) == (1, "failed", True)
    [record] = folder.lines("runs", "planned-ill")
    assert (record["mode"], record["status"]) == ("plan", "failed")
