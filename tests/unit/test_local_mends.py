"""A canary for each mend: fails when ministack moves what the mend holds on to, or no longer needs it."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.core import lambda_runtime
from ministack.services import eventbridge, lambda_svc, stepfunctions
from ministack.services.cloudformation import provisioners

from tests.fakes import FakeClock
from workbench.local import mends, recorder


@pytest.fixture(autouse=True)
def ministack_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes every mend back after the test, and ends the workers that it started."""
    for module, names in {
        stepfunctions: ("_run_distributed_map", "_start_execution", "_run_sub_machine"),
        lambda_runtime: ("_PYTHON_WORKER_SCRIPT", "_detect_runtime_binary"),
        lambda_runtime.Worker: ("invoke", "_drain_stderr_bounded"),
        lambda_svc: ("_execute_function_warm", "handle_request", "_resolve_layer_zip"),
        eventbridge: ("_put_events",),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))
    layers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::LayerVersion"]
    monkeypatch.setitem(layers, "create", layers["create"])
    for name in ("PYTHONPATH", "PYTHONNOUSERSITE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    yield
    lambda_runtime.reset()
    gc.collect()
    stepfunctions._executions.clear()


def zipped(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/") + ".py", text)
    return out.getvalue()


def function(code: str) -> dict[str, Any]:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:canary"
    config = {"FunctionName": "canary", "FunctionArn": arn, "Handler": "main.handler", "Runtime": "python3.13"}
    return {"config": {**config, "Timeout": 20}, "code_zip": zipped(main=code)}


def run_map(state: dict[str, Any], items: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many items of a Distributed Map were worked at once."""
    lock, now, most = threading.Lock(), [0], [0]

    def work(*_: Any) -> dict[str, Any]:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return {}

    monkeypatch.setattr(stepfunctions, "_run_sub_machine", work)
    execution = {
        "executionArn": "arn:aws:states:us-east-1:000000000000:execution:canary:1",
        "stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:canary",
    }
    effective = {"n": 3, "items": list(range(items))}
    state = {"ItemsPath": "$.items", "End": True, **state}
    stepfunctions._run_distributed_map(state, effective, effective, {"States": {}}, execution, {})
    return most[0]


def test_a_distributed_map_takes_its_concurrency_from_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_map({"MaxConcurrencyPath": "$.n"}, 12, monkeypatch) > 3
    mends.map_concurrency(limit=8)
    assert run_map({"MaxConcurrencyPath": "$.n"}, 12, monkeypatch) == 3


def test_a_distributed_map_starts_no_more_workers_than_this_machine_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    mends.map_concurrency(limit=4)
    assert run_map({"MaxConcurrency": 40}, 12, monkeypatch) <= 4


def test_the_children_of_a_finished_map_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    run_map({}, 5, monkeypatch)
    assert len(stepfunctions._executions) == 5
    stepfunctions._executions.clear()
    mends.map_concurrency(limit=4)
    run_map({}, 5, monkeypatch)
    assert len(stepfunctions._executions) == 0


def test_only_the_newest_closed_executions_are_kept() -> None:
    mends.bounded_history(keep=10)
    for number in range(30):
        stepfunctions._executions[f"arn:{number}"] = {"status": "RUNNING" if number == 0 else "SUCCEEDED"}
    stepfunctions._start_execution({"stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:none"})
    kept = list(stepfunctions._executions)
    assert kept[0] == "arn:0"
    assert kept[-1] == "arn:29"
    assert len(kept) == 10


def test_a_reply_does_not_wait_for_log_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that comes 10 ms after the function has returned comes after the reply."""
    told: list[str] = []
    clock = FakeClock(0.0)
    monkeypatch.setattr(lambda_runtime, "time", SimpleNamespace(time=clock.now, sleep=lambda s: pass_time(s)))
    mends.quick_replies()
    worker = lambda_runtime.Worker("canary", {}, b"")

    def pass_time(seconds: float) -> None:
        clock.time += seconds
        if clock.time >= 0.01 and "line" not in told:
            worker._stderr_queue.put("line")
            told.append("line")

    worker._drain_stderr_bounded()
    told.append("reply")
    pass_time(0.01)
    assert told == ["reply", "line"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # ministack leaves the pipes open
def test_an_error_is_named_by_the_class_of_its_exception() -> None:
    mends.error_types()
    result = lambda_svc._execute_function_warm(function("def handler(e, c): raise KeyError('k')"), {}, "request")
    assert result["error"]
    assert result["body"]["errorType"] == "KeyError"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_function_sees_the_standard_library_and_boto3_and_nothing_of_this_environment(tmp_path: Path) -> None:
    mends.bare_runtime(tmp_path)
    code = (
        "import importlib.util as u\n"
        "def handler(e, c): return [u.find_spec(n) is not None for n in ('json', 'boto3', 'rowcast', 'ministack')]\n"
    )
    result = lambda_svc._execute_function_warm(function(code), {}, "request")
    assert result["body"] == [True, True, False, False]


def test_a_layer_is_unpacked_once_and_kept_as_a_pointer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mends.shared_layers(tmp_path)
    archive = zipped(python__ours="X = 42\n")
    monkeypatch.setattr(provisioners._s3, "_get_object_data", lambda *_: archive)
    create = provisioners._RESOURCE_HANDLERS["AWS::Lambda::LayerVersion"]["create"]
    monkeypatch.setattr(lambda_svc, "s3_code_region_message", lambda *_, **__: None)
    arn, _ = create("Layer", {"Content": {"S3Bucket": "b", "S3Key": "k"}, "LayerName": "canary"}, "stack")
    pointer = zipfile.ZipFile(io.BytesIO(lambda_svc._resolve_layer_zip(arn)))
    [unpacked] = tmp_path.iterdir()
    assert (unpacked / "python" / "ours.py").read_text() == "X = 42\n"
    [link] = [name for name in pointer.namelist() if name.endswith(".pth")]
    assert str(unpacked / "python") in pointer.read(link).decode()
    shutil.rmtree(unpacked)
    lambda_svc._resolve_layer_zip(arn)
    assert (unpacked / "python" / "ours.py").exists()


def lines(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def test_entries_on_a_bus_that_exists_are_written_down_in_order(tmp_path: Path) -> None:
    recorder.record(tmp_path / "journal")
    eventbridge._create_event_bus({"Name": "canary"})
    entry = {"Source": "s", "DetailType": "d", "Resources": ["rowcast:change/1"], "Time": 1.5}
    entries = [{**entry, "Detail": json.dumps({"n": n}), "EventBusName": bus} for n, bus in enumerate(["canary", "no"])]
    eventbridge._put_events({"Entries": entries})
    assert lines(tmp_path / "journal") == [
        {
            "kind": "event",
            "bus": "canary",
            "source": "s",
            "detail-type": "d",
            "detail": '{"n": 0}',
            "time": 1.5,
            "resources": ["rowcast:change/1"],
        }
    ]


def test_invocations_are_written_down_with_the_bytes_that_went_in_and_came_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage": "1.10"}'

    monkeypatch.setattr(lambda_svc, "handle_request", answer)
    recorder.record(tmp_path / "journal")
    path = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Awelcome%3Alive/invocations"
    asyncio.run(lambda_svc.handle_request("POST", path, {}, b'{"total": 1.10}', {}))
    [line] = lines(tmp_path / "journal")
    assert (line["function"], line["payload"]) == ("welcome", '{"total": 1.10}')
    assert (line["reply"], line["function_error"]) == ('{"errorMessage": "1.10"}', "Unhandled")


def test_the_policies_of_a_role_with_a_path_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from ministack.core import iam_evaluator
    from ministack.services import iam

    monkeypatch.setattr(iam_evaluator, "_gather_role_policies", iam_evaluator._gather_role_policies)
    mends.roles_with_paths()
    policy = '{"Statement": [{"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}]}'
    roles = SimpleNamespace(get_scoped=lambda account, region, name: {"r": {"InlinePolicies": {"p": policy}}}.get(name))
    monkeypatch.setattr(iam, "_roles", roles)
    assert len(iam_evaluator._gather_role_policies("rowcast/Shop/r", "000000000000")) == 1


def test_what_an_update_leaves_as_it_is_in_a_nested_stack_keeps_its_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    from ministack.services import cloudformation
    from ministack.services.cloudformation import provisioners

    monkeypatch.setattr(provisioners, "_update_resource", lambda kind, physical, *rest: (physical, {}))
    held = {"child": {"_resources": {"Queue": {"PhysicalResourceId": "url", "Attributes": {"QueueName": "retry"}}}}}
    monkeypatch.setattr(cloudformation, "_stacks", held)
    mends.nested_updates()
    answered = provisioners._update_resource("AWS::SQS::Queue", "url", {}, {}, "child", "Queue")
    assert answered == ("url", {"QueueName": "retry"})
