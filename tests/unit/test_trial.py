"""A test of one row: really sent once, recorded as a test, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest

from rowcast.delivering import Delivering
from rowcast.errors import DestinationRefused, MessageInvalid, RunFailed
from rowcast.models import Change, Chunk, to_json
from rowcast.ports import Verdict
from rowcast.trial import send_trial
from tests.world import World, sync_definition

pytestmark = pytest.mark.usefixtures("remembered")

TRIAL = "test-20261120T160000.000Z"
ROW = {"id": 1, "v": "Canary"}


class TrialWorld(World):
    def __init__(self, **definition: Any) -> None:
        super().__init__(sync_definition(**definition))
        self.digest = self.definitions.pin(self.definition)
        change = Change(operation="added", key=[1], key_hash="0" * 32, id="c", after=ROW)
        self.changes.put_chunk(Chunk(sync=self.sync, run=TRIAL, id="test", changes=[change]))

    def test(self, name: str = TRIAL) -> bool:
        needs = Delivering(
            definitions=self.definitions,
            changes=self.changes,
            calls=self.calls,
            destination=lambda definition, deployment: self.target,
            render=self.render,
            pace=lambda definition: self.pace,
            clock=self.clock,
            claim=self._claim(),
        )
        return send_trial(self.sync, name, self.digest, "test", needs)


def test_a_test_sends_the_row_and_leaves_a_call_record_and_nothing_else() -> None:
    world = TrialWorld()
    before = world.head
    assert world.test()
    [record] = world.calls.calls(world.sync, TRIAL)
    assert (record.run, record.outcomes, record.keys) == (TRIAL, ["accepted"], [[1]])
    assert [message.body for message in world.target.sent] == [to_json(ROW)]
    assert world.head == before
    assert world.states.runs(world.sync, 10) == []
    assert world.owed() == {}
    assert world.queue.visible == []


def test_a_repeated_start_sends_nothing_again() -> None:
    world = TrialWorld()
    assert world.test()
    assert not world.test()
    assert len(world.target.sent) == 1


def test_a_rejected_test_is_recorded_without_masked_values_and_owes_nothing() -> None:
    world = TrialWorld(mask=("v",))
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="canary?")
    assert world.test()
    records = to_json([list(world.calls.calls(world.sync, TRIAL))]).lower()
    assert b"rejected" in records
    assert b"canary" not in records
    assert world.owed() == {}


def test_a_target_that_cannot_be_used_is_named_before_anything_is_sent() -> None:
    world = TrialWorld()
    world.target.refuse = "The event bus b does not exist."
    with pytest.raises(DestinationRefused, match="bus b"):
        world.test()


def test_a_message_that_no_call_carries_is_told() -> None:
    world = TrialWorld()
    world.target.max_bytes = 1
    with pytest.raises(MessageInvalid, match="too large"):
        world.test()


def test_a_run_s_chunk_is_never_sent_as_a_test() -> None:
    with pytest.raises(RunFailed):
        TrialWorld().test("20261120T160000.000Z")
