"""Runs of the whole route on files, through the command line, in the embedded AWS."""

from __future__ import annotations

import time

import pytest

from tests.e2e.folder import Folder

pytestmark = pytest.mark.emulator


def test_a_run_sends_exactly_the_rows_that_were_added_changed_and_removed(folder: Folder) -> None:
    rows = [{"id": number, "name": f"n{number}", "price": f"{number}.10"} for number in range(1, 6)]
    folder.table("events", *rows)
    first = folder.run("events")
    assert (first["status"], first["added"], first["accepted"]) == ("completed", 5, 5)
    folder.table("events", *rows[1:4], {**rows[4], "name": "new"}, {"id": 6, "name": "n6", "price": "6.10"})
    second = folder.run("events")
    assert (second["added"], second["changed"], second["removed"]) == (1, 1, 1)
    arrived = folder.events("events", second["run"])
    assert {event["operation"]: event["detail"]["id"] for event in arrived} == {"added": 6, "changed": 5, "removed": 1}
    assert {(event["bus"], event["source"], event["detail-type"]) for event in arrived} == {
        ("things", "com.example", "Thing")
    }
    assert len({event["change_id"] for event in arrived}) == 3


def test_a_run_without_changes_sends_nothing_and_is_quick(folder: Folder) -> None:
    folder.table("quiet", *({"id": number, "name": "x"} for number in range(100)))
    folder.run("quiet")
    before = time.monotonic()
    second = folder.run("quiet")
    took = time.monotonic() - before
    assert (second["status"], second["rows"]) == ("completed", 100)
    assert folder.events("quiet", second["run"]) == []
    assert took < 3


def test_rejected_rows_are_owed_with_their_reason_until_they_are_accepted(folder: Folder) -> None:
    folder.table("rejecting", {"id": 1, "name": "good"}, {"id": 2, "name": "bad"}, {"id": 3, "name": "bad"})
    first = folder.run("rejecting")
    assert (first["accepted"], first["rejected"], first["owed_after"]) == (1, 2, 2)
    owed = folder.lines("rejects", "rejecting")
    assert [(row["key"], row["operation"], row["outcome"]) for row in sorted(owed, key=lambda row: row["key"])] == [
        (2, "added", "rejected"),
        (3, "added", "rejected"),
    ]
    assert all("no such name" in row["reason"] and row["first_run"] == first["run"] for row in owed)
    folder.table("rejecting", {"id": 1, "name": "good"}, {"id": 2, "name": "better"}, {"id": 3, "name": "best"})
    second = folder.run("rejecting")
    assert (second["added"], second["accepted"], second["owed_before"], second["owed_after"]) == (2, 2, 2, 0)
    [call] = folder.events("rejecting", second["run"])
    assert sorted(row["name"] for row in call["payload"]["rows"]) == ["best", "better"]
    assert (call["target"], call["reply"]) == ("picky", {"errors": []})
    assert folder.lines("rejects", "rejecting") == []


def test_a_function_that_fails_leaves_its_rows_in_doubt(folder: Folder) -> None:
    folder.table("failing", {"id": 1, "name": "a"})
    last = folder.run("failing")
    assert (last["in_doubt"], last["owed_after"]) == (1, 1)
    [row] = folder.lines("rejects", "failing")
    assert row["outcome"] == "in_doubt"
    assert "LookupError" in row["reason"]


def test_a_reply_that_is_not_of_the_contract_leaves_its_rows_in_doubt(folder: Folder) -> None:
    folder.table("misspoken", {"id": 1, "name": "a"})
    assert folder.run("misspoken")["in_doubt"] == 1


def test_a_function_that_does_not_exist_ends_the_run_with_its_name(folder: Folder) -> None:
    folder.table("missing", {"id": 1, "name": "a"})
    last = folder.run("missing")
    assert last["status"] == "failed"
    assert "nobody" in last["reason"]


def test_a_bus_that_does_not_exist_ends_the_run_with_its_name_and_sends_nothing(folder: Folder) -> None:
    import boto3

    folder.table("gone", {"id": 1, "name": "a"})
    folder.rowcast("local", "up")
    endpoint = folder.lines("local", "status")[0]["endpoint"]
    keys = {"aws_access_key_id": "000000000000", "aws_secret_access_key": "x"}
    events = boto3.client("events", endpoint_url=endpoint, region_name="us-east-1", **keys)
    events.delete_event_bus(Name="things")
    try:
        last = folder.run("gone")
    finally:
        events.create_event_bus(Name="things")
    assert last["status"] == "failed"
    assert "things" in last["reason"]
    assert folder.events("gone") == []
    assert folder.run("gone")["accepted"] == 1


def test_a_row_whose_message_is_no_json_is_rejected_and_the_others_are_sent(folder: Folder) -> None:
    folder.write("data/shaped.csv", "id,size\n1,3\n2,4\n")
    last = folder.run("shaped")
    assert (last["accepted"], last["rejected"]) == (1, 1)
    assert [row["key"] for row in folder.lines("rejects", "shaped")] == [2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,name\n1,a\n1,b\n", "share a key"),
        ("id,name\n1,a\n,b\n", "null"),
        ("other,name\n1,a\n", "id"),
        (None, "unreadable.csv"),
    ],
)
def test_an_unusable_result_ends_the_run_before_anything_is_sent(
    folder: Folder, content: str | None, said: str
) -> None:
    file = folder.path / "data" / "unreadable.csv"
    file.unlink(missing_ok=True)
    if content is not None:
        folder.write("data/unreadable.csv", content)
    last = folder.run("unreadable")
    assert last["status"] == "failed"
    assert said in last["reason"].lower()
    assert folder.events("unreadable") == []


def test_a_second_start_while_one_runs_starts_nothing_and_says_so(folder: Folder) -> None:
    folder.table("slow", {"id": 1, "name": "a"})
    first = folder.start("run", "slow", "--local", "--json")
    deadline = time.monotonic() + 60
    while not any(one["status"] == "running" for one in folder.lines("runs", "slow")):
        assert time.monotonic() < deadline
    second = folder.rowcast("run", "slow", "--local", "--json")
    out, _ = first.communicate(timeout=60)
    assert second.returncode == 1
    assert '"status":"already_running"' in second.stdout
    assert '"status":"completed"' in out
    assert len(folder.events("slow")) == 1
    assert len(folder.lines("runs", "slow")) == 1


def test_runs_are_listed_newest_first_and_each_can_be_looked_at(folder: Folder) -> None:
    folder.table("twice", {"id": 1, "name": "a"})
    first, second = folder.run("twice"), folder.run("twice")
    listed = folder.lines("runs", "twice")
    assert [one["run"] for one in listed] == [second["run"], first["run"]]
    assert listed[1]["accepted"] == 1
    [told] = folder.lines("run-info", first["run"])
    assert (told["sync"], told["added"], told["reasons"]) == ("twice", 1, [])
