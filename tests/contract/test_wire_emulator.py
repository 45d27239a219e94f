"""The wire of deliveries against the embedded AWS: what is sent over it arrives where rules and functions are."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import boto3
import pytest

from rowcast import destinations
from rowcast.definition import Trigger, Triggers
from rowcast.destinations.function import LambdaFunction
from rowcast.destinations.session import delivery_config
from tests.contract.conftest import REGION, send
from tests.contract.test_destinations import a_bridge, a_message, refuse_oversize

pytestmark = pytest.mark.emulator
ACCOUNT = "200000000001"
TRIGGERS = Triggers(added=Trigger(bus="orders", source="com.shop", detail_type="Order placed"))
CODE = """
def handler(event, context):
    if event["rows"][0]["id"] == 13:
        raise ValueError("unlucky")
    return {"errors": [{"primary_key_value": row["id"], "reason": "odd"} for row in event["rows"] if row["id"] % 2]}
"""


@pytest.fixture
def session(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator)
    return boto3.Session(region_name=REGION, aws_access_key_id=ACCOUNT, aws_secret_access_key="secret")


def connect(session: Any, client: Any) -> Any:
    return lambda operation: destinations.connect(client, session, operation)


def test_events_arrive_at_the_targets_of_their_rules(session: Any) -> None:
    events, sqs = session.client("events", config=delivery_config()), session.client("sqs")
    queue = sqs.create_queue(QueueName="arrived")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name="orders")
    events.put_rule(Name="all", EventBusName="orders", EventPattern='{"source": ["com.shop"]}', State="ENABLED")
    events.put_targets(Rule="all", EventBusName="orders", Targets=[{"Id": "1", "Arn": arn}])
    bridge = a_bridge(events, TRIGGERS, connect=connect(session, events))
    bridge.check()
    [batch], _ = bridge.batches([a_message(number) for number in range(3)])
    result = send(bridge, batch)
    assert [verdict.kind for verdict in result.verdicts] == ["accepted"] * 3
    arrived = []
    for _ in range(20):
        reply = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        arrived += [json.loads(message["Body"]) for message in reply.get("Messages", [])]
        if len(arrived) >= 3:
            break
    assert sorted(event["detail"]["id"] for event in arrived) == [0, 1, 2]
    assert {event["detail-type"] for event in arrived} == {"Order placed"}
    assert "rowcast:change/change-1" in [name for event in arrived for name in event["resources"]]


def test_a_function_answers_for_its_rows(session: Any) -> None:
    client = session.client("lambda", config=delivery_config())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("code.py", CODE)
    client.create_function(
        FunctionName="welcome",
        Runtime="python3.13",
        Role=f"arn:aws:iam::{ACCOUNT}:role/r",
        Handler="code.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    function = LambdaFunction(
        client=client,
        connect=connect(session, client),
        function=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:welcome",
        batch_size=10,
        primary_key=("id",),
        oversize=refuse_oversize,
    )
    function.check()
    verdicts = send(function, [a_message(1), a_message(2)]).verdicts
    assert [(verdict.kind, verdict.reason) for verdict in verdicts] == [("rejected", "odd"), ("accepted", "")]
    failed = send(function, [a_message(13)]).verdicts[0]
    assert (failed.kind, "unlucky" in failed.reason) == ("in_doubt", True)
