"""The events that are announced have the documented form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rowcast.alerting import judge_run
from rowcast.errors import SourceFailed
from rowcast.stores.alerts import EventBridgeAnnouncer
from tests.unit.test_alerting import EVERYTHING, RAISING
from tests.unit.test_alerting import summary as made
from tests.world import World

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGE = (REFERENCE / "events.md").read_text(encoding="utf-8")


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((REFERENCE / "events" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


def test_the_end_of_every_run_has_the_documented_form() -> None:
    world = World()
    world.source.rows = [{"id": 1, "v": "a"}]
    completed = world.run()
    world.source.rows = []
    held = world.run()
    world.source.fail = SourceFailed("The server is gone.")
    failed = world.run()
    assert [one["status"] for one in (completed, held, failed)] == ["completed", "held", "failed"]
    for detail in (completed, held, failed):
        jsonschema.validate(detail, schema("run"))
        assert set(detail) <= set(schema("run")["properties"])


@pytest.mark.parametrize("kind", RAISING)
def test_every_alert_has_the_documented_form(kind: str) -> None:
    details: list[dict[str, Any]] = []

    class Client:
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, int]:  # noqa: N803 - AWS's name
            details.extend(json.loads(entry["Detail"]) for entry in Entries)
            return {"FailedEntryCount": 0}

    book = judge_run(EVERYTHING, None, made(1), "Shop", 1.0)
    for ended in RAISING[kind]:
        book = judge_run(EVERYTHING, book, ended, "Shop", 2.0)
    EventBridgeAnnouncer(client=Client(), bus="default", deployment="Shop").announce(book.outbox)  # type: ignore[arg-type]
    assert kind in {detail["alert"] for detail in details}
    for detail in details:
        jsonschema.validate(detail, schema("alert"))
        assert set(detail) == set(schema("alert")["properties"])


def test_the_page_s_samples_have_the_documented_form_and_name_every_alert() -> None:
    samples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    jsonschema.validate(samples[0]["detail"], schema("run"))
    assert set(samples[1]["detail"]) == set(schema("alert")["properties"])
    for kind in schema("alert")["properties"]["alert"]["enum"]:
        assert f"| `{kind}` |" in PAGE
