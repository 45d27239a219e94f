"""What messages can be, through the command line, in the embedded AWS."""

from __future__ import annotations

import time

import pytest

from tests.e2e.folder import Folder

pytestmark = pytest.mark.emulator


def test_each_trigger_has_its_own_message_and_address(folder: Folder) -> None:
    folder.table("crafted", {"id": 1, "kind": "tea", "text": "x"}, {"id": 2, "kind": "aws." * 70, "text": "x"})
    first = folder.run("crafted")
    assert (first["accepted"], first["rejected"]) == (1, 1)
    [owed] = folder.lines("rejects", "crafted")
    assert owed["reason"] == "The event's source is longer than the 256 characters that EventBridge takes."
    [event] = folder.events("crafted", first["run"])
    assert (event["source"], event["detail-type"]) == ("com.example.tea", "Thing added")
    assert event["detail"] == {
        "metadata": {
            "version": "1",
            "sync": "crafted",
            "run": first["run"],
            "change_id": event["change_id"],
            "operation": "added",
            "columns": [],
        },
        "data": {"id": 1, "of": {"kind": "tea"}, "version": 2},
        "previous": None,
    }
    large = "y" * 1_100_000
    folder.table("crafted", {"id": 1, "kind": "tea", "text": large})
    second = folder.run("crafted")
    assert (second["changed"], second["accepted"], second["owed_after"]) == (1, 1, 0)
    [event] = folder.events("crafted", second["run"])
    pointer = event["detail"]["rowcast_s3"]
    assert pointer["key"] == f"oversize/crafted/{second['run']}/{event['change_id']}.json"
    assert pointer["bytes"] > len(large)


def test_a_pools_rate_is_kept(folder: Folder) -> None:
    folder.table("pooled", *({"id": number} for number in range(15)))
    before = time.monotonic()
    run = folder.run("pooled")
    assert (run["accepted"], run["rejected"]) == (15, 0)
    assert time.monotonic() - before > 2.0
