from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.constructs.workflow import DEFINITION
from tests.infra.template import Template

State = dict[str, Any]
POINTERS = {"sync", "run", "token", "partition", "chunks", "scheduled_at", "execution", "error", "input"}
PAYLOADS = {
    "Open": {"sync", "scheduled_at", "execution", "input"},
    "Snapshot": {"sync", "run", "token"},
    "DiffPartition": {"sync", "run", "token", "partition"},
    "Seal": {"sync", "run", "token"},
    "SendChunks": {"sync", "run", "token", "chunks"},
    "Commit": {"sync", "run", "token"},
    "Fail": {"sync", "scheduled_at", "execution", "input", "error"},
}


@pytest.fixture(scope="module")
def machine() -> State:
    loaded: State = json.loads(DEFINITION.read_text())
    return loaded


def processors(machine: State) -> Iterator[State]:
    """The machine, and the machines inside its maps."""
    yield machine
    for state in machine["States"].values():
        if "ItemProcessor" in state:
            yield from processors(state["ItemProcessor"])


def states(machine: State) -> Iterator[tuple[str, State]]:
    for processor in processors(machine):
        yield from processor["States"].items()


def successors(state: State) -> Iterator[str]:
    for field in ("Next", "Default"):
        if field in state:
            yield state[field]
    for branch in (*state.get("Choices", []), *state.get("Catch", [])):
        yield branch["Next"]


def tasks(machine: State) -> dict[str, State]:
    return {name: state for name, state in states(machine) if state["Type"] == "Task"}


def lambdas(machine: State) -> dict[str, State]:
    return {name: one for name, one in tasks(machine).items() if one["Resource"].endswith(":lambda:invoke")}


def test_every_transition_leads_to_a_state_and_every_state_is_reached(machine: State) -> None:
    for processor in processors(machine):
        reached, ahead = set(), [processor["StartAt"]]
        while ahead:
            name = ahead.pop()
            if name not in reached:
                reached.add(name)
                ahead += successors(processor["States"][name])
        assert reached == set(processor["States"])


def test_every_failure_is_caught_and_ends_in_an_announcement(machine: State) -> None:
    for name, state in machine["States"].items():
        if state["Type"] in ("Task", "Map"):
            assert [catch["ErrorEquals"] for catch in state["Catch"]] == [["States.ALL"]], name
    caught = {state["Catch"][0]["Next"] for state in machine["States"].values() if "Catch" in state}
    assert caught == {"Fail", "FailedUnrecorded", "HowItEnded"}
    assert machine["States"]["Fail"]["Next"] == "Failed"
    assert machine["States"]["Failed"]["Next"] == machine["States"]["FailedUnrecorded"]["Next"] == "WhoIsTold"
    assert machine["States"]["WhoIsTold"]["Default"] == "Announce"


def test_a_plan_that_failed_is_told_to_nobody_and_fails_no_execution(machine: State) -> None:
    [choice] = machine["States"]["WhoIsTold"]["Choices"]
    assert {"Variable": "$.mode", "StringEquals": "plan"} in choice["And"]
    assert (choice["Next"], machine["States"]["Done"]["Type"]) == ("Done", "Succeed")


def test_a_chunk_whose_worker_keeps_failing_is_left_to_commit(machine: State) -> None:
    send = machine["States"]["FanOut"]["ItemProcessor"]["States"]["SendChunks"]
    assert send["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "LeftToCommit"}]


def test_a_partition_that_cannot_be_diffed_fails_the_run(machine: State) -> None:
    diff = machine["States"]["Diff"]
    assert "Catch" not in diff["ItemProcessor"]["States"]["DiffPartition"]
    assert not {"ToleratedFailureCount", "ToleratedFailurePercentage"} & set(diff)


def test_handlers_get_pointers_and_nothing_else(machine: State) -> None:
    payloads = {name: set(one["Parameters"]["Payload"]) for name, one in lambdas(machine).items()}
    assert payloads == {name: {f"{field}.$" for field in fields} for name, fields in PAYLOADS.items()}
    assert set().union(*PAYLOADS.values()) == POINTERS


def test_every_call_of_a_function_is_repeated_with_jitter_when_the_service_fails(machine: State) -> None:
    for state in lambdas(machine).values():
        assert "Lambda.TooManyRequestsException" in state["Retry"][0]["ErrorEquals"]
        assert all(retry["JitterStrategy"] == "FULL" for retry in state["Retry"])


def test_every_task_and_the_whole_run_have_a_time_limit(machine: State) -> None:
    assert all(0 < state["TimeoutSeconds"] <= 960 for state in tasks(machine).values())
    assert machine["TimeoutSeconds"] <= 2 * 24 * 3600


def test_maps_are_bounded_read_their_items_from_s3_and_keep_no_result(machine: State) -> None:
    for name in ("Diff", "FanOut"):
        state = machine["States"][name]
        assert {"MaxConcurrency", "MaxConcurrencyPath"} & set(state)
        assert state["ItemReader"]["Resource"] == "arn:aws:states:::s3:getObject"
        assert state["ResultPath"] is None
        assert state["ResultWriter"]["Parameters"]["Prefix"] == "maps"
        assert state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        last = [one for one in state["ItemProcessor"]["States"].values() if one.get("End")]
        assert last
        assert all(one["Result"] == {} for one in last)


def test_every_placeholder_is_filled_in(machine: State, template: Template) -> None:
    filled = template.named("AWS::StepFunctions::StateMachine", "")["Properties"]["DefinitionSubstitutions"]
    wanted = {text.partition("}")[0] for text in DEFINITION.read_text().split("${")[1:]}
    assert set(filled) == wanted | {"Partition"}


def test_the_deployed_definition_is_the_file(machine: State, template: Template) -> None:
    deployed = template.named("AWS::StepFunctions::StateMachine", "")["Properties"]["DefinitionString"]
    assert json.loads(deployed.replace("arn:${Partition}:", "arn:aws:")) == machine


def test_integrations_are_those_of_the_partition_that_is_deployed_to(template: Template) -> None:
    made = template.named("AWS::StepFunctions::StateMachine", "StateMachine")["Properties"]
    assert "arn:aws:" not in json.dumps(made)
    assert made["DefinitionString"].count("arn:${Partition}:states:::") == DEFINITION.read_text().count("arn:aws:")
    assert made["DefinitionSubstitutions"]["Partition"] == {"Ref": "AWS::Partition"}


def test_the_linter_of_state_machines_finds_nothing(linter: Path) -> None:
    done = subprocess.run(
        [linter, "--json-path", str(DEFINITION)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_of_state_machines_finds_a_fault(linter: Path, tmp_path: Path, machine: State) -> None:
    broken = tmp_path / "broken.asl.json"
    broken.write_text(json.dumps({**machine, "StartAt": "Nowhere"}))
    done = subprocess.run([linter, "--json-path", str(broken)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
