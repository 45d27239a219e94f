"""What AWS does to a run that is not its day: each fault, over the real handlers and adapters, costs no change."""

from __future__ import annotations

import errno
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rowcast.definition import Guard, LambdaDestination, Retry, Trigger, Triggers
from tests import aws_faults
from tests.model.aws_world import MESSAGE, AwsWorld, Died, aws_world
from tests.model.evidence import keep
from tests.world import sync_definition

ANY = Guard(max_removed=1, max_changed=1, max_rejected=1, allow_empty=True)
DEFINITION = sync_definition(message=MESSAGE, guard=ANY, retry=Retry(immediate=1))
STORE_CALLS = {
    "dynamodb": ["GetItem", "PutItem", "UpdateItem", "TransactWriteItems", "Query", "BatchGetItem"],
    "s3": ["GetObject", "PutObject", "ListObjectsV2", "DeleteObjects"],
    "sqs": ["ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch"],
    "ssm": ["GetParameter"],
    "stepfunctions": ["DescribeExecution"],
    "sts": ["AssumeRole"],
    "events": ["DescribeEventBus"],
}
CALLS = [(service, call) for service, calls in STORE_CALLS.items() for call in calls]
Fault = Callable[[Any, str], None]
FAULTS: dict[str, Fault] = {
    "throttled": lambda client, call: aws_faults.answer_error(client, call, "ThrottlingException", 400),
    "a 500": lambda client, call: aws_faults.answer_error(client, call, "InternalServerError", 500),
    "a 503": lambda client, call: aws_faults.answer_error(client, call, "ServiceUnavailable", 503),
    "no connection": aws_faults.fail_to_connect,
    "broken off": aws_faults.break_off,
    "its reply lost": aws_faults.lose_reply,
}
DELIVERY_FAULTS = [name for name in FAULTS if name != "its reply lost"]  # for that the target itself stands in
counted = {"fault_kinds": 0, "faults_injected": 0}


@pytest.fixture
def world() -> Iterator[AwsWorld]:
    with aws_world(DEFINITION) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def evidence() -> Iterator[None]:
    yield
    keep("faults", **counted, violations=0)


def put(world: AwsWorld, value: str, *keys: int) -> None:
    for key in keys:
        world.source.put(id=key, v=value)
    world.oracle.note()


def injected(times: int = 1) -> None:
    counted["fault_kinds"] += 1
    counted["faults_injected"] += times


def survive(world: AwsWorld, calls: list[tuple[str, str]], faults: list[Fault]) -> None:
    """A run with debts, removals and news meets each fault once; the next run makes up for it."""
    put(world, "a", 1, 2, 3)
    world.run()
    for number, ((service, call), fault) in enumerate(zip(calls, faults, strict=True)):
        world.answer = lambda key, attempt: "rejected" if key == 2 else "accepted"
        put(world, f"{number}", 1, 2)
        world.run()
        put(world, f"{number} again", 1, 2, 3)
        fault(world.watched[service], call)
        world.run()
        world.deaths += 1
        world.settle()
    injected(len(calls))


def test_each_store_call_that_fails_in_one_of_six_ways_costs_no_change(world: AwsWorld) -> None:
    kinds = list(FAULTS.values())
    survive(world, CALLS, [kinds[number % len(kinds)] for number in range(len(CALLS))])


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_each_store_call_that_fails_in_any_way_costs_no_change(world: AwsWorld, name: str) -> None:
    survive(world, CALLS, [FAULTS[name]] * len(CALLS))


def test_a_delivery_call_that_fails_once_is_made_again_and_its_rows_arrive(world: AwsWorld) -> None:
    put(world, "a", 1, 2)
    world.run()
    for name in DELIVERY_FAULTS:
        put(world, name, 1, 2)
        FAULTS[name](world.watched["events"], "PutEvents")
        summary = world.run()
        assert (summary["accepted"], summary["owed_after"]) == (2, 0), name
    world.settle()
    injected(len(DELIVERY_FAULTS))


def test_a_delivery_call_that_fails_on_every_attempt_leaves_its_rows_owed(world: AwsWorld) -> None:
    """In doubt where the call may have arrived."""
    put(world, "a", 1, 2)
    world.run()
    for name in DELIVERY_FAULTS:
        put(world, name, 1, 2)
        for _ in range(2):
            FAULTS[name](world.watched["events"], "PutEvents")
        summary = world.run()
        doubtful = name in ("a 500", "broken off")
        assert (summary["rejected"], summary["in_doubt"]) == ((0, 2) if doubtful else (2, 0)), name
        world.settle()
    injected(2 * len(DELIVERY_FAULTS))


def test_one_failing_entry_at_each_index_of_a_put_events_costs_the_others_nothing(world: AwsWorld) -> None:
    for index in range(10):
        put(world, f"v{index}", *range(10))
        order: list[Any] = []

        def answer(key: Any, attempt: int, order: list[Any] = order, index: int = index) -> str:
            order.append(key)
            kind = ("throttled", "refused", "rejected")[index % 3]
            return kind if order.index(key) == index else "accepted"

        world.answer = answer
        summary = world.run()
        assert (summary["accepted"], summary["rejected"], summary["owed_after"]) == (9, 1, 1)
        world.settle()
    injected(10)


def test_keys_that_dynamodb_leaves_unread_are_read_in_the_end(world: AwsWorld) -> None:
    put(world, "a", *range(6))
    world.answer = lambda key, attempt: "rejected"
    world.run()
    aws_faults.leave_keys_unread(world.watched["dynamodb"], times=3)
    put(world, "b", *range(6))
    world.run()
    world.settle()
    injected(3)


def test_sqs_batches_that_succeed_in_part_delay_and_lose_nothing(world: AwsWorld) -> None:
    for call in ("SendMessageBatch", "DeleteMessageBatch"):
        for sender_fault in (False, True):
            put(world, f"{call} {sender_fault}", 1, 2)
            world.answer = lambda key, attempt: "rejected"
            aws_faults.fail_entries(world.watched["sqs"], call, "0", sender_fault=sender_fault)
            world.run()
            world.run()
            world.settle()
    injected(4)


def test_a_conditional_write_that_s3_refuses_is_tried_again_or_read_as_taken(world: AwsWorld) -> None:
    put(world, "a", 1, 2)
    world.run()
    for status, code in ((409, "ConditionalRequestConflict"), (412, "PreconditionFailed")):
        for number in range(4):
            put(world, f"{status} {number}", 1, 2)
            seen: list[str] = []

            def hook(side: str, name: str, seen: list[str] = seen) -> None:
                if (side, name) == ("before", "PutObject"):
                    seen.append(name)

            world.hook = hook
            _refuse_nth(world.watched["s3"], "PutObject", number, code, status)
            world.run()
            assert len(seen) > number
            world.settle()
    injected(8)


def _refuse_nth(client: Any, call: str, number: int, code: str, status: int) -> None:
    made = []

    def refuse(**_: Any) -> Any:
        made.append(call)
        if len(made) - 1 != number:
            return None
        error = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return SimpleNamespace(status_code=status), error

    client.meta.events.register_last(f"before-call.s3.{call}", refuse)


def test_credentials_that_expire_in_mid_chunk_cost_no_change(world: AwsWorld) -> None:
    code = "ExpiredTokenException"
    put(world, "a", *range(25))
    world.run()
    put(world, "b", *range(25))
    calls = []

    def hook(side: str, name: str) -> None:
        if (side, name) == ("before", "PutEvents"):
            calls.append(name)
            if len(calls) == 2:
                aws_faults.answer_error(world.watched["events"], "PutEvents", code, 400)

    world.hook = hook
    world.run()
    world.hook = lambda side, name: None
    world.settle()
    injected()


HANDLERS = ("open", "snapshot", "diff", "seal", "publish", "commit")


def test_a_handler_invoked_twice_one_after_the_other_does_its_work_once(world: AwsWorld) -> None:
    """So is a child of a Map that Step Functions runs again."""
    put(world, "a", 1, 2, 3)
    world.run()
    for handler in HANDLERS:
        put(world, handler, 1, 2, 3)
        inside: list[str] = []

        def twice(name: str, event: dict[str, Any], handler: str = handler, inside: list[str] = inside) -> None:
            if name == handler and not inside:
                inside.append(name)
                world.invoke(name, event)
                inside.clear()

        world.answer = lambda key, attempt: "rejected" if key == 2 else "accepted"
        world.on_invoke = twice
        summary = world.run()
        assert summary["status"] == "completed"
        assert (summary["accepted"], summary["owed_after"]) == (2, 1), handler
        world.on_invoke = lambda name, event: None
        world.settle()
    world.is_quiet()
    injected(len(HANDLERS))


def test_the_failure_handler_invoked_twice_notes_the_failure_once(world: AwsWorld) -> None:
    put(world, "a", 1)
    world.source.fail = RuntimeError("no database")

    def twice(name: str, event: dict[str, Any]) -> None:
        if name == "fail":
            world.on_invoke = lambda name, event: None
            world.invoke(name, event)

    world.on_invoke = twice
    world.run()
    world.source.fail = None
    world.settle()
    injected()


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_clock_that_jumps_an_hour_costs_no_change(world: AwsWorld, seconds: float) -> None:
    put(world, "a", 1, 2)
    world.run()
    for handler in HANDLERS:
        put(world, handler, 1, 2)

        def jump(name: str, event: dict[str, Any], handler: str = handler) -> None:
            if name == handler:
                world.clock.time += seconds

        world.on_invoke = jump
        world.run()
        world.on_invoke = lambda name, event: None
        world.clock.time += 3600
        put(world, f"{handler} later", 1)
        world.settle()
    injected(len(HANDLERS))


@pytest.mark.parametrize("handler", ["snapshot", "diff"])
def test_a_full_tmp_ends_the_run_and_the_next_one_makes_up_for_it(
    world: AwsWorld, handler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(world, "a", 1, 2)
    world.run()
    put(world, "b", 1, 2)
    real = Path.open

    def no_space(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if world.handler == handler and "w" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *arguments, **named)

    def no_folder(*arguments: Any, **named: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", no_space)
    if handler == "snapshot":
        monkeypatch.setattr(tempfile, "mkdtemp", no_folder)
    assert world.run()["status"] == "failed"
    monkeypatch.undo()
    world.settle()
    injected()


@pytest.mark.parametrize("error", [MemoryError, Died])
def test_a_worker_out_of_memory_costs_no_change(world: AwsWorld, error: type[BaseException]) -> None:
    """Python says MemoryError; Lambda ends the process."""
    put(world, "a", 1, 2)
    world.run()
    for handler in HANDLERS:
        put(world, handler, 1, 2)
        calls: list[str] = []

        def hook(side: str, name: str, handler: str = handler, calls: list[str] = calls) -> None:
            if world.handler == handler and side == "after":
                calls.append(name)
                if len(calls) >= 3:
                    world.dead = True
                    raise error

        world.hook = hook
        world.run()
        world.hook = lambda side, name: None
        world.deaths += 3
        world.settle()
    injected(len(HANDLERS))


def test_a_lease_that_runs_out_while_a_call_hangs_lets_no_older_state_follow_a_newer(world: AwsWorld) -> None:
    """The call hangs beyond the worker's life; another start takes the sync over and sends newer rows first."""
    put(world, "a", 1)
    world.run()
    put(world, "b", 1)
    hung = []

    def hook(side: str, name: str) -> None:
        if (world.handler, side, name) == ("publish", "before", "PutEvents") and not hung:
            hung.append(world.clock.time)
            world.clock.time += 1_000
            world.gone_with_worker = world.dead = True
            raise Died

    world.hook = hook
    assert world.run()["status"] == "gone"
    world.gone_with_worker = False
    put(world, "c", 1)
    world.hook = lambda side, name: None
    world.settle()
    assert world.oracle.target[1] == {"id": 1, "v": "c"}
    injected()


NONSENSE = [b"not json", b'{"errors": [{"primary_key_value": 99, "reason": "?"}]}', b'{"errors": "all"}', b"[1, 2]"]


def test_a_function_that_answers_nonsense_leaves_its_rows_in_doubt() -> None:
    on = Trigger()
    target = LambdaDestination(function="target", batch_size=2)
    definition = sync_definition(
        message=MESSAGE, guard=ANY, destination=target, triggers=Triggers(added=on, changed=on, removed=on)
    )
    with aws_world(definition) as world:
        put(world, "a", 1, 2)
        world.run()
        for number, reply in enumerate(NONSENSE):
            put(world, f"{number}", 1, 2)
            aws_faults.answer(world.watched["lambda"], "Invoke", {"StatusCode": 200, "Payload": io.BytesIO(reply)})
            assert world.run()["in_doubt"] == 2
            world.settle()
    injected(len(NONSENSE))


def test_a_function_that_acted_and_timed_out_is_called_again_with_the_same_change(world: AwsWorld) -> None:
    put(world, "a", 1)
    world.run()
    put(world, "b", 1)
    world.answer = lambda key, attempt: "lost" if attempt == 1 else "accepted"
    summary = world.run()
    assert summary["accepted"] == 1
    sent = [arrival for arrival in world.arrivals if arrival.row == {"id": 1, "v": "b"}]
    assert len(sent) == 2
    assert sent[0].id == sent[1].id and sent[0].body == sent[1].body
    world.settle()
    injected()
