"""Alerts reach a topic's subscriber in the embedded AWS: from the run or the command, over the bus and its rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from tests.e2e.folder import Folder

pytestmark = pytest.mark.emulator
SYNCS = {name: {"alerts": ["team"]} for name in ("alarming", "hushed")}


@pytest.fixture
def client(folder: Folder) -> Callable[[str], Any]:
    folder.rowcast("local", "up")
    here = folder.lines("local", "status")[0]
    keys = {"aws_access_key_id": here["account"], "aws_secret_access_key": "x"}
    return lambda service: boto3.client(  # type: ignore[call-overload]
        service, endpoint_url=here["endpoint"], region_name=here["region"], **keys
    )


@pytest.fixture
def inbox(folder: Folder, client: Callable[[str], Any]) -> Iterator[Callable[[], list[str]]]:
    """What the mail channel's topic has published since the last look."""
    sns, sqs = client("sns"), client("sqs")
    [topic] = [one["TopicArn"] for one in sns.list_topics()["Topics"] if "Channelsteam" in one["TopicArn"]]
    url = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)

    def arrived() -> list[str]:
        found = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"])["Message"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    yield arrived
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sqs.delete_queue(QueueUrl=url)


def test_a_failing_run_is_told_once_and_its_recovery_once(folder: Folder, inbox: Callable[[], list[str]]) -> None:
    folder.write("data/alarming.csv", "id,name\n1,secret-value\n1,secret-value\n")
    for _ in range(2):
        assert folder.run("alarming")["status"] == "failed"
    [failed] = inbox()
    assert failed.startswith('"alarming: a run failed"')
    assert "rowcast run-info " in failed
    assert "secret-value" not in failed
    [raised] = folder.lines("alerts", "list", "alarming")
    assert [(one["alert"], one["told"]) for one in raised["alerts"]] == [("failed", True)]
    folder.table("alarming", {"id": 1, "name": "a"})
    for _ in range(2):
        folder.run("alarming")
    [recovered] = inbox()
    assert recovered.startswith('"alarming: recovered (a run failed)"')


def test_what_is_muted_is_told_when_it_is_unmuted(folder: Folder, inbox: Callable[[], list[str]]) -> None:
    folder.write("data/hushed.csv", "id,name\n1,a\n1,b\n")
    assert folder.rowcast("local", "up").returncode == 0
    [muted] = folder.lines("alerts", "mute", "hushed", "--for", "2h")
    assert muted["muted_until"]
    folder.run("hushed")
    assert inbox() == []
    [raised] = folder.lines("alerts", "list", "hushed")
    assert [(one["alert"], one["told"]) for one in raised["alerts"]] == [("failed", False)]
    [heard] = folder.lines("alerts", "unmute", "hushed")
    assert heard["muted_until"] is None
    folder.run("hushed")
    assert len(inbox()) == 1


def test_a_channel_is_tested_by_the_way_that_alerts_take(folder: Folder, inbox: Callable[[], list[str]]) -> None:
    [sent] = folder.lines("alerts", "test", "team")
    assert (sent["channel"], sent["type"], sent["status"]) == ("team", "email", "raised")
    folder.lines("alerts", "test", "team", "--recovered")
    first, second = inbox()
    assert first.startswith('"test-of-team: this is a test"')
    assert second.startswith('"test-of-team: recovered')
    missing = folder.rowcast("alerts", "test", "teem")
    assert missing.returncode == 2
    assert "Did you mean team?" in missing.stderr
    unspoken = folder.rowcast("alerts", "test", "chat")
    assert unspoken.returncode == 1
    assert "slack" in unspoken.stderr
