"""The roles are enough: every step works under them, in an embedded AWS that enforces IAM."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from project.model import Sync
from rowcast.definition import Account, Alerts, EventBridgeDestination, LambdaDestination, Limits, Rate, Retry
from rowcast.models import Mode, Request, Selection, to_json
from tests.infra.conftest import synth
from tests.infra.enforcing import Aws, emulator
from tests.infra.projects import SHOP, buses, project, sync

pytestmark = pytest.mark.emulator

PARTNER_ACCOUNT, PARTNER_REGION = "222233334444", "eu-central-1"
PARTNER = f"arn:aws:iam::{PARTNER_ACCOUNT}:role/partner"
ACCEPTS = "def handler(event, context):\n    return {}\n"
REJECTS = (
    "def handler(event, context):\n"
    "    key = event['metadata']['primary_key_column']\n"
    "    return {'errors': [{'primary_key_value': row[key], 'reason': 'no'} for row in event['rows'][:2]]}\n"
)


class Deployed:
    """The deployment, and a clock that gives each run its own scheduled time."""

    def __init__(self, aws: Aws, outputs: dict[str, str]) -> None:
        self.aws, self._outputs, self._minute = aws, outputs, 0

    def rows(self, *rows: tuple[int, str]) -> None:
        text = "order_id,email\n" + "".join(f"order {number},{email}\n" for number, email in rows)
        self.aws.client("s3").put_object(Bucket=self._outputs["Bucket"], Key="sources/shop/orders.csv", Body=text)

    def no_files(self) -> None:
        self.aws.client("s3").delete_object(Bucket=self._outputs["Bucket"], Key="sources/shop/orders.csv")

    def output(self, name: str) -> str:
        """The only output whose name holds this one."""
        (value,) = (value for key, value in self._outputs.items() if name in key)
        return value

    def mail(self) -> Callable[[], list[str]]:
        """Subscribes to the channel `mail`; what it answers gives the texts that came since."""
        sqs, sns = self.aws.client("sqs"), self.aws.client("sns")
        url = sqs.create_queue(QueueName="inbox")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        trust = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [trust]})})
        (topic,) = [one["TopicArn"] for one in sns.list_topics()["Topics"] if "Channelsmail" in one["TopicArn"]]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})

        def texts() -> list[str]:
            found: list[str] = []
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                found += [one["Body"] for one in messages]
                for one in messages:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
            return found

        return texts

    def watch(self, *syncs: str) -> Any:
        functions = self.aws.client("lambda")
        names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
        (name,) = [name for name in names if "Watch" in name]
        reply = functions.invoke(FunctionName=name, Payload=json.dumps({"syncs": syncs}))
        return json.loads(reply["Payload"].read())

    def run(self, name: str, **steer: str) -> dict[str, Any]:
        self._minute += 1
        return self.aws.run(self._outputs["StateMachine"], name, f"2026-01-01T00:{self._minute:02}:00Z", **steer)

    def steer(self, name: str, mode: Mode, **wish: Any) -> dict[str, Any]:
        request = to_json(Request(sync=name, mode=mode, by="ann", at=0.0, **wish))
        key = f"requests/{name}/{self._minute}.json"
        self.aws.client("s3").put_object(Bucket=self._outputs["Bucket"], Key=key, Body=request)
        return self.run(name, mode=mode, request=key)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    events = _with(
        sync("events", SHOP, EventBridgeDestination(), buses(added="orders", changed="orders", removed="orders")),
        limits=Limits(rate=Rate(count=1000, seconds=1)),
    )
    calls = _with(
        sync("calls", SHOP, LambdaDestination(function="target", batch_size=10)),
        retry=Retry(immediate=0),
        alerts=Alerts(channels=("mail",)),
    )
    partner = _with(
        sync(
            "partner",
            SHOP,
            EventBridgeDestination(region=PARTNER_REGION, account=Account(role_arn=PARTNER)),
            buses(added="orders", changed="orders"),
        )
    )
    shop = dataclasses.replace(project(), syncs={one.name: one for one in (events, calls, partner)})
    folder = tmp_path_factory.mktemp("enforced")
    with emulator(folder) as aws:
        outputs = aws.deploy(synth(folder / "cdk.out", platform="host", of=shop))
        aws.client("events").create_event_bus(Name="orders")
        aws.function("target", ACCEPTS)
        yield Deployed(aws, outputs)


def _with(one: Sync, **settings: Any) -> Sync:
    definition = msgspec.structs.replace(one.definition, initial_sync="backfill", **settings)
    return dataclasses.replace(one, definition=definition)


def test_rows_reach_a_bus_at_the_pace_that_is_allowed(deployed: Deployed) -> None:
    deployed.rows((1, "a"), (2, "b"), (3, "c"))
    assert _counts(deployed.run("events")) == ("completed", "", 3, 0, 0)
    deployed.rows((1, "a"), (2, "changed"))
    assert _counts(deployed.run("events")) == ("completed", "", 2, 0, 0)


def test_rejected_rows_become_debts_and_the_next_run_pays_them(deployed: Deployed) -> None:
    deployed.rows((1, "a"), (2, "b"), (3, "c"))
    deployed.aws.function("target", REJECTS)
    assert _counts(deployed.run("calls")) == ("completed", "", 1, 2, 2)
    deployed.aws.function("target", ACCEPTS)
    assert _counts(deployed.run("calls")) == ("completed", "", 2, 0, 0)


def test_a_run_that_a_guard_holds_is_put_away(deployed: Deployed) -> None:
    deployed.rows((1, "a"))
    deployed.run("events")
    deployed.rows()
    held = deployed.run("events")
    assert (held["status"], held["accepted"]) == ("held", 0), held["reason"]


def test_people_steer_a_sync(deployed: Deployed) -> None:
    deployed.rows((1, "a"), (2, "b"), (3, "c"))
    deployed.aws.function("target", REJECTS)
    deployed.steer("calls", "resync")
    deployed.aws.function("target", ACCEPTS)
    assert deployed.steer("calls", "plan")["status"] == "planned"
    assert _counts(deployed.steer("calls", "discard", only=Selection(reason="none such"))) == ("completed", "", 0, 0, 2)
    assert _counts(deployed.steer("calls", "retry", only=Selection(reason="no"))) == ("completed", "", 2, 0, 0)
    deployed.rows((4, "d"))
    assert _counts(deployed.steer("calls", "rebaseline")) == ("completed", "", 0, 0, 0)
    assert _counts(deployed.steer("calls", "resync")) == ("completed", "", 1, 0, 0)


def test_a_held_run_is_approved_or_rejected(deployed: Deployed) -> None:
    deployed.rows((1, "a"), (2, "b"))
    deployed.run("events")
    deployed.rows()
    first = deployed.run("events")["run"]
    assert deployed.steer("events", "reject", run=first)["status"] == "completed"
    second = deployed.run("events")["run"]
    assert _counts(deployed.steer("events", "approve", run=second)) == ("completed", "", 2, 0, 0)


def test_a_run_whose_source_fails_is_recorded_and_the_next_one_works(deployed: Deployed) -> None:
    deployed.rows((1, "a"))
    deployed.run("calls")
    deployed.no_files()
    failed = deployed.run("calls")
    assert failed["status"] == "failed"
    assert "no files" in failed["reason"]
    deployed.rows((1, "b"), (2, "b"))
    assert _counts(deployed.run("calls")) == ("completed", "", 2, 0, 0)


def test_a_partners_account_is_entered_only_with_the_external_id_that_was_made_for_the_sync(
    deployed: Deployed,
) -> None:
    external_id = deployed.output("ExternalId")
    assert re.fullmatch(r"rowcast-partner-[0-9a-f-]{36}", external_id)
    partner = {"account": PARTNER_ACCOUNT, "trusted": deployed.output("DeliveryRole")}
    allowed = ["events:PutEvents", "events:DescribeEventBus"]
    deployed.aws.client("events", account=PARTNER_ACCOUNT, region=PARTNER_REGION).create_event_bus(Name="orders")
    deployed.rows((1, "a"), (2, "b"))
    deployed.aws.partner_role("partner", **partner, external_id="another", allowed=allowed)
    refused = deployed.run("partner")
    assert refused["status"] == "failed"
    assert f"The role {PARTNER} cannot be assumed" in refused["reason"]
    deployed.aws.trust("partner", **partner, external_id=external_id)
    assert _counts(deployed.run("partner")) == ("completed", "", 2, 0, 0)


def test_people_hear_of_a_failure_once_and_of_the_recovery_once(deployed: Deployed) -> None:
    mail = deployed.mail()
    deployed.rows((1, "a"))
    deployed.run("calls")
    deployed.no_files()
    assert [deployed.run("calls")["status"] for _ in range(2)] == ["failed", "failed"]
    deployed.rows((1, "a"))
    assert [deployed.run("calls")["status"] for _ in range(2)] == ["completed", "completed"]
    told = mail()
    assert [text.splitlines()[0] for text in told] == ['"calls: a run failed"', '"calls: recovered (a run failed)"']
    assert "no files" in told[0]
    assert "rowcast run-info" in told[0]


def test_the_watch_looks_at_every_sync(deployed: Deployed) -> None:
    assert deployed.watch("events", "calls", "unknown") == {"looked": 2}


def _counts(summary: dict[str, Any]) -> tuple[str, str, int, int, int]:
    return summary["status"], summary["reason"], summary["accepted"], summary["rejected"], summary["owed_after"]
