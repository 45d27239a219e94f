"""The short way of the sweeps' calls to DynamoDB answers what the way over HTTP answers."""

from __future__ import annotations

import copy
import itertools
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from rowcast import wiring
from rowcast.stores import objects
from tests.model.aws_world import AwsWorld, aws_world
from tests.model.histories import go_on
from tests.model.remembered import remembered_engine
from tests.model.short_way import METHODS, made_once


def told(monkeypatch: pytest.MonkeyPatch, *, short: bool) -> list[tuple[str, Any]]:
    """What DynamoDB answered in a story of runs, in which nothing is drawn at random."""
    count = itertools.count()

    def drawn() -> UUID:
        return UUID(int=next(count) << 64)

    monkeypatch.setattr(wiring, "uuid", SimpleNamespace(uuid4=drawn))
    monkeypatch.setattr(objects, "uuid4", drawn)
    replies: list[tuple[str, Any]] = []

    def note(model: Any, parsed: Any, **_: Any) -> None:
        said = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
        replies.append((model.name, copy.deepcopy(said)))

    with aws_world(go_on().definition, short=short) as world:
        world.client("dynamodb").meta.events.register_last("after-call.dynamodb.*", note)
        story(world)
    return replies


def story(world: AwsWorld) -> None:
    history = go_on()
    history.before(world)
    world.run()
    world.run(world.next_time(), **world.ask("resync", because="lost"))
    history.between(world)
    world.settle()


def test_the_short_way_answers_as_the_way_over_http_does(monkeypatch: pytest.MonkeyPatch) -> None:
    with remembered_engine():
        long = told(monkeypatch, short=False)
        with made_once():
            short = told(monkeypatch, short=True)
    assert {name for name, _ in short} >= set(METHODS) - {"DeleteItem", "BatchWriteItem"}
    assert short == long
