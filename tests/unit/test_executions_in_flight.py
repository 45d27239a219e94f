"""A release is deployed while an execution goes on: its state machine stays the one of before, the handlers are new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.constructs.workflow import DEFINITION
from rowcast.errors import SourceFailed
from rowcast.ports import Verdict
from tests.handled import HandledWorld
from tests.machine import Died, Execution

FROZEN = sorted((Path(__file__).parents[1] / "fixtures").glob("*/sync.asl.json"))
MACHINES = {path.parent.name: path for path in FROZEN} | {"today": DEFINITION}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(MACHINES[request.param].read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> HandledWorld:
    made = HandledWorld(monkeypatch)
    for number in range(250):
        made.source.put(id=number, v="a")
    return made


def test_every_machine_that_was_deployed_runs_to_its_end(machine: dict[str, Any], world: HandledWorld) -> None:
    world.target.answer = lambda message, attempt: Verdict(kind="rejected" if message.change.key == [3] else "accepted")
    first = Execution(machine, world)
    ended, output = first.start()
    assert (ended, first.announced) == ("Done", ["Rowcast Run Completed"])
    assert [output["summary"][name] for name in ("accepted", "rejected", "owed_after")] == [249, 1, 1]
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    _, output = Execution(machine, world).start()
    assert [output["summary"][name] for name in ("accepted", "owed_before", "owed_after")] == [1, 1, 0]


def test_what_today_s_handlers_sealed_is_finished_by_the_machine_of_before(
    machine: dict[str, Any], world: HandledWorld
) -> None:
    def die(state: str) -> None:
        if state == "FanOut":
            raise Died

    with pytest.raises(Died):
        Execution(machine, world, die).start()
    ended, output = Execution(machine, world).start()
    assert (ended, output["status"], len(world.arrived())) == ("Done", "completed", 250)


def test_a_source_that_fails_ends_every_machine_as_a_failed_run(machine: dict[str, Any], world: HandledWorld) -> None:
    world.source.fail = SourceFailed("The server is gone.")
    failing = Execution(machine, world)
    ended, output = failing.start()
    assert (ended, failing.announced) == ("RunFailed", ["Rowcast Run Failed"])
    assert output["end"]["summary"]["reason"] == "The server is gone."


def test_every_machine_plans_without_sending(machine: dict[str, Any], world: HandledWorld) -> None:
    ended, output = Execution(machine, world).start(**world.ask("plan"))
    assert (ended, output["status"], output["summary"]["found"]["added"]) == ("Done", "planned", 250)
    assert world.arrived() == {}
