from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast import ports
from rowcast.definition import Definition, Limits, Message, Rate, SecretRef
from rowcast.errors import DefinitionInvalid, MessageInvalid, RunFailed
from rowcast.models import from_json
from rowcast.ports import CallRecord
from rowcast.stores import pace
from tests import aws_faults, fakes
from tests.contract.conftest import BUCKET, Stores, definition
from tests.contract.test_destinations import a_message

# --- definitions ------------------------------------------------------------------------------------------------------


def test_a_deployed_sync_is_found_with_its_definition(stores: Stores) -> None:
    stores.deploy(definition())
    assert stores.definitions.deployed_definition(stores.definitions.deployment("orders")) == definition()


def test_a_sync_that_is_not_deployed_is_named(stores: Stores) -> None:
    stores.deploy(definition("orders-2"))
    with pytest.raises(DefinitionInvalid, match="orders "):
        stores.definitions.deployment("orders")


def test_a_pinned_definition_outlives_later_deployments(stores: Stores) -> None:
    digest = stores.definitions.pin(definition(query="SELECT 1 AS id"))
    other = stores.definitions.pin(definition(query="SELECT 2 AS id"))
    assert stores.definitions.pin(definition(query="SELECT 1 AS id")) == digest != other
    assert stores.definitions.pinned("orders", digest).query == "SELECT 1 AS id"


def test_a_pin_that_is_gone_fails_the_run(stores: Stores) -> None:
    with pytest.raises(DefinitionInvalid, match="gone"):
        stores.definitions.pinned("orders", "0" * 64)


def test_another_process_reads_the_pinned_definition(aws: Stores) -> None:
    from rowcast.stores.definitions import AwsDefinitions
    from rowcast.stores.objects import Objects

    digest = aws.definitions.pin(definition())
    objects = Objects(client=aws.clients["s3"], bucket=BUCKET)
    other = AwsDefinitions(ssm=aws.clients["ssm"], objects=objects, prefix="/stack/syncs/")
    assert other.pinned("orders", digest) == definition()
    aws.clients["s3"].delete_object(Bucket=BUCKET, Key=f"definitions/orders/{digest}.json")
    assert other.pinned("orders", digest) == definition()


def test_a_deployment_of_another_release_says_to_deploy_again(aws: Stores) -> None:
    aws.clients["ssm"].put_parameter(Name="/stack/syncs/orders", Value='{"some": "field"}', Type="String")
    with pytest.raises(DefinitionInvalid, match="deploy again"):
        aws.definitions.deployment("orders")


# --- call records -----------------------------------------------------------------------------------------------------


def a_call(call: str = "c1-1", **reply: object) -> CallRecord:
    return CallRecord(
        sync="orders",
        run="r1",
        chunk="c1",
        call=call,
        attempt=1,
        started_at=1.5,
        seconds=0.25,
        request={"rows": [{"price": Decimal("1.10"), "text": 'line\nbreak\u2028"'}]},
        reply=reply,
        error="",
        change_ids=["x"],
        keys=[[1, "a"]],
        outcomes=["accepted"],
    )


def test_call_records_come_back_exactly(stores: Stores) -> None:
    records = [a_call("1", errors=[]), a_call("2")]
    stores.calls.put("orders", "r1", "c1", "claim", records)
    assert list(stores.calls.calls("orders", "r1")) == records


def test_calls_of_every_claim_and_chunk_of_the_run_alone_are_listed(stores: Stores) -> None:
    for chunk, claim in (("c1", "a"), ("c1", "b"), ("c2", "a")):
        stores.calls.put("orders", "r1", chunk, claim, [a_call(f"{chunk}{claim}")])
    stores.calls.put("orders", "r10", "c1", "a", [a_call("other run")])
    stores.calls.put("orders-2", "r1", "c1", "a", [a_call("other sync")])
    assert [call.call for call in stores.calls.calls("orders", "r1")] == ["c1a", "c1b", "c2a"]


def test_a_claims_last_put_stands(stores: Stores) -> None:
    stores.calls.put("orders", "r1", "c1", "a", [a_call("1")])
    stores.calls.put("orders", "r1", "c1", "a", [a_call("1"), a_call("2")])
    assert [call.call for call in stores.calls.calls("orders", "r1")] == ["1", "2"]


def test_a_request_that_is_json_already_is_stored_as_it_is(stores: Stores) -> None:
    record = a_call()
    record.request = msgspec.Raw(b'{"price": 1.10}')
    stores.calls.put("orders", "r1", "c1", "a", [record])
    (found,) = stores.calls.calls("orders", "r1")
    assert found.request == {"price": Decimal("1.10")}


# --- executions -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("aws")
def test_an_execution_runs_until_it_has_ended() -> None:
    import boto3

    from rowcast.stores.executions import StepFunctionsExecutions

    client: Any = boto3.client("stepfunctions", region_name="eu-west-1")
    machine = client.create_state_machine(
        name="sync",
        definition='{"StartAt": "Wait", "States": {"Wait": {"Type": "Pass", "End": true}}}',
        roleArn="arn:aws:iam::123456789012:role/machine",
    )
    execution = client.start_execution(stateMachineArn=machine["stateMachineArn"], name="e1")["executionArn"]
    executions = StepFunctionsExecutions(client=client)
    assert executions.is_running(execution)
    client.stop_execution(executionArn=execution)
    assert not executions.is_running(execution)
    assert not executions.is_running(execution + "-never-started")
    aws_faults.answer_error(client, "DescribeExecution", "ThrottlingException")
    with pytest.raises(Exception, match="Throttling"):
        executions.is_running(execution)


def test_the_fake_executions_run_until_they_are_taken_out() -> None:
    executions = fakes.FakeExecutions("e1")
    assert executions.is_running("e1")
    executions.running.clear()
    assert not executions.is_running("e1")


# --- messages that no destination can carry ---------------------------------------------------------------------------


def oversize(aws: Stores, **message: Any) -> Any:
    from rowcast.stores.objects import Objects
    from rowcast.stores.oversize import S3Oversize

    objects = Objects(client=aws.clients["s3"], bucket=BUCKET)
    return S3Oversize(definition=msgspec.structs.replace(definition(), message=Message(**message)), objects=objects)


def test_an_oversized_message_is_kept_and_a_pointer_stands_for_it(aws: Stores) -> None:
    given = a_message(size=1000)
    sent = oversize(aws, oversize="s3")(given, "too large")
    pointer = from_json(sent.body)["rowcast_s3"]
    body = aws.clients["s3"].get_object(Bucket=pointer["bucket"], Key=pointer["key"])["Body"].read()
    assert body == given.body
    assert pointer == {
        "bucket": BUCKET,
        "key": "oversize/orders/r1/change-1.json",
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": len(body),
    }
    assert sent.change == given.change


def test_what_was_kept_first_stands(aws: Stores) -> None:
    first = oversize(aws, oversize="s3")(a_message(size=1000), "too large")
    again = a_message(size=2000)
    assert oversize(aws, oversize="s3")(again, "too large").body == first.body


def test_without_the_setting_an_oversized_message_is_rejected_with_the_reason(aws: Stores) -> None:
    with pytest.raises(MessageInvalid, match="too large"):
        oversize(aws)(a_message(size=1000), "too large")
    assert aws.clients["s3"].list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


# --- pace -------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "aws"])
def paced(request: pytest.FixtureRequest) -> Iterator[tuple[ports.Pace, fakes.FakeClock]]:
    if request.param == "fake":
        clock = fakes.FakeClock()
        yield fakes.FakePace(clock, count=10, seconds=60), clock
        return
    stores: Stores = request.getfixturevalue("aws")
    made = pace.DynamoPace(
        client=stores.clients["dynamodb"],
        table="state",
        name="orders",
        rate=Rate(count=10, seconds=60),
        clock=stores.clock,
    )
    yield made, stores.clock


def test_what_the_rate_allows_waits_for_nothing(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, _ = paced
    assert [pace_.reserve(5), pace_.reserve(4), pace_.reserve(1)] == [0.0, 0.0, 0.0]


def test_no_window_holds_more_than_the_rate(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, clock = paced
    sent: list[tuple[float, int]] = []
    for count in (7, 3, 1, 4, 10, 2, 5, 6, 1, 1, 1, 9):
        sent.append((clock.time + pace_.reserve(count), count))
        clock.time += 11.7
    for start, _ in sent:
        assert sum(count for time, count in sent if start <= time < start + 60) <= 10
    assert sent == sorted(sent, key=lambda entry: entry[0])


def test_the_rate_is_used_up(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, _ = paced
    assert max(pace_.reserve(2) for _ in range(50)) <= 9 * 60 / 0.9


def test_more_than_the_rate_at_once_still_goes_and_holds_back_the_next(
    paced: tuple[ports.Pace, fakes.FakeClock],
) -> None:
    pace_, _ = paced
    assert pace_.reserve(25) == 0.0
    assert pace_.reserve(1) >= 59


def test_a_right_that_comes_too_late_is_not_taken(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, clock = paced
    pace_.reserve(10)
    assert [pace_.reserve(10, within=30) > 30 for _ in range(3)] == [True] * 3
    clock.time += 64
    assert pace_.reserve(10, within=30) == 0.0


def test_a_worker_that_dies_with_its_right_gives_it_back_with_time(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, clock = paced
    pace_.reserve(10)  # and never sends
    assert 0 < pace_.reserve(10, within=0) <= 64
    clock.time += 64
    assert [pace_.reserve(5), pace_.reserve(5)] == [0.0, 0.0]


def test_who_asks_to_be_sent_less_is_sent_nothing_for_that_time(paced: tuple[ports.Pace, fakes.FakeClock]) -> None:
    pace_, clock = paced
    pace_.slow(30)
    pace_.slow(5)
    assert 30 <= pace_.reserve(1) <= 31
    clock.time += 32
    assert pace_.reserve(1) == 0.0


def a_pace(aws: Stores, rate: Rate, name: str = "orders", clock: Any = None) -> pace.DynamoPace:
    return pace.DynamoPace(
        client=aws.clients["dynamodb"], table="state", name=name, rate=rate, clock=clock or aws.clock
    )


def limited(sync: str, **limits: Any) -> Definition:
    return msgspec.structs.replace(definition(sync), limits=Limits(rate=Rate(count=10, seconds=60), **limits))


@pytest.mark.parametrize("seconds", [1, 60, 3600])
def test_a_rate_holds_per_second_minute_and_hour(aws: Stores, seconds: int) -> None:
    made = a_pace(aws, Rate(count=5, seconds=seconds))
    assert made.reserve(5) == 0.0
    assert seconds < made.reserve(5) < 1.4 * seconds
    assert 2 * seconds < made.reserve(5) < 2.5 * seconds


def test_syncs_of_one_pool_share_its_rate_and_others_do_not(aws: Stores) -> None:
    def made(given: Definition) -> ports.Pace:
        return pace.pace(given, client=aws.clients["dynamodb"], table="state", clock=aws.clock)

    one, other = (made(limited(sync, pool="crm")) for sync in ("orders", "customers"))
    assert one.reserve(10) == 0.0
    assert other.reserve(1) > 55
    assert made(limited("crm")).reserve(10) == 0.0
    other.slow(600)
    assert one.reserve(1) > 590


def test_to_slow_down_while_another_reserves_is_not_lost(aws: Stores) -> None:
    one, other = (a_pace(aws, Rate(count=10, seconds=60)) for _ in range(2))
    aws_faults.before(aws.clients["dynamodb"], "PutItem", lambda: other.slow(300))
    assert one.reserve(1) > 295


def test_a_slot_that_is_over_before_it_is_written_is_given_up(aws: Stores) -> None:
    made = a_pace(aws, Rate(count=10, seconds=1))

    def pause() -> None:
        aws.clock.time += 0.2

    aws_faults.before(aws.clients["dynamodb"], "PutItem", pause)
    made.reserve(10)
    assert made.reserve(10) >= 1, "the second one was taken when the first had been given up"


def test_the_first_window_of_a_rate_per_second_is_longer_since_first_calls_take_longer(aws: Stores) -> None:
    made = a_pace(aws, Rate(count=10, seconds=1))
    assert made.reserve(10) == 0.0
    assert 1.3 <= made.reserve(10) <= 1.34
    assert 2.36 <= made.reserve(10) <= 2.42
    aws.clock.time += 60
    assert made.reserve(10) == 0.0
    assert 1.3 <= made.reserve(10) <= 1.34


def test_threads_that_ask_at_once_are_all_served(aws: Stores) -> None:
    made = a_pace(aws, Rate(count=10, seconds=60))
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(made.reserve, [5] * 16))
    assert [round(wait / 64) for wait in waits] == [window for window in range(8) for _ in range(2)]


def test_eight_workers_keep_the_rate_and_use_nine_tenths_of_it(aws: Stores) -> None:
    rate = Rate(count=50, seconds=1)
    workers = [(aws.clock.time, number, a_pace(aws, rate)) for number in range(8)]
    sent: list[float] = []
    while len(sent) < 400:
        aws.clock.time, number, worker = heapq.heappop(workers)
        wait = worker.reserve(5)
        on_the_way = 0.01 * (number % 2)
        sent += [aws.clock.time + wait + on_the_way] * 5
        heapq.heappush(workers, (aws.clock.time + wait + 0.02 * number, number, worker))
    sent.sort()
    assert max(sum(start <= time < start + 1 for time in sent) for start in sent) <= 50
    assert len(sent) >= 0.9 * 50 * (sent[-1] - sent[0])


def test_workers_that_reserve_at_once_share_one_rate(aws: Stores) -> None:
    rate = Rate(count=10, seconds=60)
    one, other = (a_pace(aws, rate) for _ in range(2))
    aws_faults.before(aws.clients["dynamodb"], "PutItem", lambda: other.reserve(10))
    assert one.reserve(10) > 55


def test_without_a_rate_nothing_waits() -> None:
    assert pace.pace(definition(), client=None, table="").reserve(1_000_000) == 0.0  # type: ignore[arg-type]
    assert fakes.FakePace().reserve(1_000_000) == 0.0


def test_without_a_rate_a_worker_still_slows_its_own_calls() -> None:
    clock = fakes.FakeClock()
    made = pace.NoPace(clock)
    made.slow(30)
    made.slow(3)
    assert made.reserve(1) == 30
    clock.time += 30
    assert made.reserve(1) == 0.0


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=60), st.integers(1, 12))
def test_any_run_of_reservations_keeps_the_rate(steps: list[tuple[int, int]], limit: int) -> None:
    log: pace.Log = {}
    now, placed = 1000, []
    for passed, count in steps:
        now += passed
        slot, log = pace.place(log, now, min(count, limit), limit)
        assert slot >= now
        placed.append((slot, min(count, limit)))
    for start, _ in placed:
        assert sum(count for slot, count in placed if start <= slot <= start + pace.SPAN) <= limit


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def secrets(aws: Stores) -> Any:
    import boto3

    from rowcast.stores.secrets import AwsSecrets

    client: Any = boto3.client("secretsmanager", region_name="eu-west-1")
    for name, value in (
        ("plain", "hunter2"),
        ("json", '{"password": "hunter3", "port": 5432, "user": "me"}'),
        ("list", "[1]"),
        ("digits", "0123"),
        ("keys", '{"access_key_id": "AK", "secret_access_key": "SK"}'),
    ):
        client.create_secret(Name=name, SecretString=value)
    client.create_secret(Name="binary", SecretBinary=b"\xff")
    aws.clients["ssm"].put_parameter(Name="/db/password", Value="hunter4", Type="SecureString")
    return AwsSecrets(secretsmanager=client, ssm=aws.clients["ssm"])


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (SecretRef(name="plain"), "hunter2"),
        (SecretRef(name="json"), "hunter3"),
        (SecretRef(name="json", key="user"), "me"),
        (SecretRef(name="json", key="port"), "5432"),
        (SecretRef(name="digits"), "0123"),
        (SecretRef(name="list"), "[1]"),
        (SecretRef(store="parameter", name="/db/password"), "hunter4"),
    ],
)
def test_a_secret_is_read_from_where_it_is(secrets: Any, ref: SecretRef, expected: str) -> None:
    assert secrets.resolve(ref) == expected


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        (SecretRef(name="missing"), "missing does not exist in Secrets Manager"),
        (SecretRef(store="parameter", name="/missing"), "/missing does not exist in Parameter Store"),
        (SecretRef(name="json", key="pass"), "json .* 'pass'"),
        (SecretRef(name="binary"), "binary .* bytes"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_without_its_value(secrets: Any, ref: SecretRef, reason: str) -> None:
    with pytest.raises(RunFailed, match=reason) as caught:
        secrets.resolve(ref)
    assert "hunter" not in str(caught.value)


def test_a_secrets_fields_are_read_together(secrets: Any) -> None:
    assert secrets.fields(SecretRef(name="keys")) == {"access_key_id": "AK", "secret_access_key": "SK"}
    with pytest.raises(RunFailed, match="plain is not a JSON object"):
        secrets.fields(SecretRef(name="plain"))


def test_the_names_under_which_calls_of_a_sync_are_kept_are_listed(aws: Stores) -> None:
    for sync, run in (("orders", "r1"), ("orders", "test-r2"), ("orders-2", "r3")):
        aws.calls.put(sync, run, "c", "claim", [a_call()])
    assert aws.calls.runs("orders") == ["r1", "test-r2"]  # type: ignore[attr-defined]
    assert aws.calls.runs("nobody") == []  # type: ignore[attr-defined]
