"""Owed rows are told apart: rejected, in doubt, invalid (no message could be made) and unsent (the run had stopped)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rowcast.errors import MessageInvalid
from rowcast.models import Change, to_json
from rowcast.ports import Verdict
from tests.world import World, sync_definition
from workbench import info

pytestmark = pytest.mark.usefixtures("remembered")


def kinds(world: World) -> dict[Any, tuple[str, str]]:
    place: Any = SimpleNamespace(debts=world.debts, was_renamed=lambda sync: False)
    return {one["key"]: (one["kind"], one["outcome"]) for one in info.rejects(place, world.sync)}


@pytest.mark.parametrize("kind", ["rejected", "in_doubt"])
def test_a_row_that_was_sent_is_what_the_destination_made_of_it(kind: Any) -> None:
    world = World(sync_definition())
    world.source.put(id=1, v="a")
    world.target.answer = lambda message, attempt: Verdict(kind=kind, reason="why")
    world.run()
    assert kinds(world) == {1: (kind, kind)}


def test_a_row_without_a_message_is_invalid_even_where_an_earlier_run_sent_it() -> None:
    world = World(sync_definition())
    world.source.put(id=1, v="a")
    world.source.put(id=2, v="a")
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="why")
    world.run()

    def render(change: Change) -> bytes:
        if change.key == [1]:
            raise MessageInvalid("no message")
        return to_json(change.row)

    world.render = lambda definition, run: render  # type: ignore[method-assign]
    world.run()
    assert kinds(world) == {1: ("invalid", "rejected"), 2: ("rejected", "rejected")}


def test_a_row_that_a_stopped_run_did_not_come_to_is_unsent() -> None:
    world = World(sync_definition())
    for number in range(30):
        world.source.put(id=number, v="a")

    def answer(message: Any, attempt: int) -> Verdict:
        world.target.refuse = "The event bus b does not exist."
        return Verdict(kind="accepted")

    world.target.answer = answer
    world.run()
    assert {kind for kind, _ in kinds(world).values()} == {"unsent"}
