"""What was sent, as the command line tells it, with nothing of a masked column."""

from __future__ import annotations

import pytest

from tests.e2e.folder import Folder, to_function

pytestmark = pytest.mark.emulator

STRICT = '''
def handler(event, context):
    """Rejects rows whose name is "bad", and repeats in its reply what it was sent."""
    key = event["metadata"]["primary_key_column"]
    bad = [row for row in event["rows"] if row["name"] == "bad"]
    return {"errors": [{"primary_key_value": row[key], "reason": "bad name of " + row["email"]} for row in bad]}
'''
TARGETS = {"strict": STRICT}
SYNCS = {
    "told": {**to_function("./targets/strict.py:handler", batch_size=10), "mask": ["email"]},
    "grouped": {"message": {"template": '{"id": {{ row.id }}{% if row.name == "odd" %} and more{% endif %}}'}},
}


def test_a_row_s_life_is_told_over_its_runs_without_masked_values(folder: Folder) -> None:
    folder.table("told", *({"id": n, "name": "bad" if n == 2 else "ok", "email": f"canary{n}@e.com"} for n in (1, 2)))
    first = folder.run("told")
    assert (first["accepted"], first["rejected"]) == (1, 1)
    [owed] = folder.lines("rejects", "told")
    assert (owed["key"], owed["kind"], owed["outcome"], owed["reason"]) == (
        2,
        "rejected",
        "rejected",
        "bad name of ***",
    )
    for command in (["rejects", "told"], ["rejects", "told", "--rows"], ["run-info", first["run"]]):
        for done in (folder.rowcast(*command), folder.rowcast(*command, "--json")):
            assert "bad name of ***" in done.stdout, done.stderr
            assert "canary" not in done.stdout
    folder.table("told", *({"id": n, "name": f"ok{n}", "email": f"canary{n}@f.com"} for n in (1, 2)))
    second = folder.run("told")
    assert second["owed_after"] == 0

    added, changed = folder.lines("history", "told", "--key", "1")
    assert [one["operation"] for one in (added, changed)] == ["added", "changed"]
    assert sorted(changed["columns"]) == ["email", "name"]
    assert (changed["before"], changed["after"]) == ({"name": "ok", "email": "***"}, {"name": "ok1", "email": "***"})
    assert changed["message"] == {"id": 1, "name": "ok1", "email": "***"}
    assert [(one["run"], one["outcome"], one["attempts"]) for one in (added, changed)] == [
        (first["run"], "accepted", 1),
        (second["run"], "accepted", 1),
    ]
    rejected, mended = folder.lines("history", "told", "--key", "2")
    assert (rejected["outcome"], rejected["reason"], mended["retry_of"]) == (
        "rejected",
        "bad name of ***",
        first["run"],
    )
    assert [one["outcome"] for one in rejected["calls"]] == ["rejected"]

    calls = folder.lines("calls", "told", "--full")
    assert {one["run"] for one in calls} == {first["run"], second["run"]}
    assert [one["run"] for one in folder.lines("calls", "told", "--outcome", "rejected")] == [first["run"]]
    assert len(folder.lines("calls", "told", "--key", "1")) == 2
    assert {one["run"] for one in folder.lines("calls", "told", "--run", first["run"], "--since", "1h")} == {
        first["run"]
    }
    assert len(folder.lines("calls", "told", "--limit", "1")) == 1
    assert folder.lines("calls", "told", "--since", "2999-01-01") == []

    everything = [["calls", "told", "--full"], ["history", "told", "--key", "1"], ["history", "told", "--key", "2"]]
    for command in [*everything, *([*one, "--json"] for one in everything)]:
        done = folder.rowcast(*command)
        assert done.returncode == 0, done.stderr
        assert "***" in done.stdout
        assert "canary" not in done.stdout
    assert folder.rowcast("history", "told", "--key", "nobody").returncode == 1
    folder.table("told", {"id": 1, "name": "x", "email": "canary9@e.com"})
    for command in (["preview", "told", "--key", "1"], ["plan", "told", "--local"]):
        for done in (folder.rowcast(*command), folder.rowcast(*command, "--json")):
            assert "***" in done.stdout, done.stderr
            assert "canary" not in done.stdout
    sent = [row for event in folder.events("told") for row in event["payload"]["rows"]]
    assert "canary1@e.com" in [row["email"] for row in sent]


def test_rejects_are_grouped_by_reason_and_invalid_rows_are_told_apart(folder: Folder) -> None:
    folder.table("grouped", *({"id": n, "name": "odd" if n > 2 else "even"} for n in range(1, 6)))
    assert folder.run("grouped")["rejected"] == 3
    assert {one["kind"] for one in folder.lines("rejects", "grouped")} == {"invalid"}
    grouped = folder.rowcast("rejects", "grouped").stdout
    assert [line.split()[:2] for line in grouped.splitlines() if "invalid" in line] == [["3", "invalid"]]
    assert len(folder.rowcast("rejects", "grouped", "--rows").stdout.splitlines()) == 4
