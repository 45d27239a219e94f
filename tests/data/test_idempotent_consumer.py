"""The recipe of docs/how-to/idempotent-consumer.md, fed with what Rowcast's destinations really send."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from rowcast.models import Change, from_json
from rowcast.ports import MessageToSend, Verdict
from tests.contract.test_destinations import a_bridge
from tests.contract.test_destinations_lambda import a_function
from tests.world import ALL_ON, World

CONSUMER = Path(__file__).parents[2] / "examples" / "idempotent_consumer" / "consumer.py"
RECIPE = Path(__file__).parents[2] / "docs" / "how-to" / "idempotent-consumer.md"
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000, function_name="consumer")


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example with its table, imported as Lambda would; `acted` lists the rows that it acted on."""
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("IDEMPOTENCY_TABLE", "acted")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "consumer")
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName="acted",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        spec = importlib.util.spec_from_file_location("consumer", CONSUMER)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        acted: list[Any] = []
        act = module.act

        def noted(row: dict[str, Any]) -> None:
            act(row)
            acted.append(row["id"])

        monkeypatch.setattr(module, "acted", acted, raising=False)
        monkeypatch.setattr(module, "act", noted)
        yield module


def message(key: int, change_id: str, email: str = "a@example.com") -> MessageToSend:
    row = {"id": key, "email": email}
    change = Change(operation="added", key=[key], key_hash=f"{key:032x}", id=change_id, after=row)
    body = b'{"id":%d,"email":"%s"}' % (key, email.encode())
    return MessageToSend(change=change, body=body, time=1_760_000_000.0, sync="orders", run="r1")


def event_of(sent: MessageToSend) -> dict[str, Any]:
    """The event that a rule hands to its target for this message's entry."""
    entry = a_bridge(SimpleNamespace(), ALL_ON)._entry(sent)
    return {
        "id": "some-id",
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "resources": entry["Resources"],
        "detail": from_json(entry["Detail"]),
    }


def payload_of(*sent: MessageToSend, attempt: int = 1) -> dict[str, Any]:
    payload = a_function(SimpleNamespace())._payload(sent, "b1", attempt)
    return dict(from_json(payload))


def test_an_event_that_comes_twice_is_acted_on_once(consumer: ModuleType) -> None:
    for sent in (message(1, "c1"), message(1, "c1"), message(1, "c2"), message(2, "c3")):
        consumer.on_event(event_of(sent), CONTEXT)
    assert consumer.acted == [1, 1, 2]


def test_an_event_that_failed_is_acted_on_when_it_comes_again(consumer: ModuleType) -> None:
    with pytest.raises(ValueError, match="no email"):
        consumer.on_event(event_of(message(1, "c1", email="")), CONTEXT)
    consumer.on_event(event_of(message(1, "c1")), CONTEXT)
    assert consumer.acted == [1]


def test_rows_that_come_again_are_acted_on_once_and_failed_ones_are_named(consumer: ModuleType) -> None:
    batch = (message(1, "c1"), message(2, "c2", email=""), message(3, "c3"))
    expected = {"errors": [{"primary_key_value": 2, "reason": "ValueError: the row has no email"}]}
    assert consumer.on_rows(payload_of(*batch), CONTEXT) == expected
    assert consumer.on_rows(payload_of(*batch, attempt=2), CONTEXT) == expected
    assert consumer.on_rows(payload_of(message(2, "c2"), attempt=3), CONTEXT) == {"errors": []}
    assert consumer.acted == [1, 3, 2]


def test_a_doubt_that_outlives_its_run_comes_under_another_id_and_is_the_same_state(consumer: ModuleType) -> None:
    import boto3

    world = World()
    world.source.put(id=1, v="a")
    world.target.answer = lambda message, attempt: Verdict(kind="in_doubt", reason="Timed out")
    world.run()
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    world.run()
    world.source.put(id=1, v="b")
    world.run()
    world.source.put(id=1, v="a")
    world.run()
    changes = [message.change for message in world.target.sent]
    assert len({change.id for change in changes}) == 4
    table = boto3.resource("dynamodb").Table("acted")
    new = [consumer.is_new(table, str(change.key[0]), change.operation, change.row) for change in changes]
    assert new == [True, False, True, True]


def test_the_recipe_shows_the_code_that_is_tested(consumer: ModuleType) -> None:
    assert inspect.getsource(consumer.is_new) in RECIPE.read_text()
