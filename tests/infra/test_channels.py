"""Each channel gets what its vendor documents, through the transformers that are deployed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from rowcast.alerting import Alert, judge_run
from rowcast.definition import Alerts
from rowcast.stores.alerts import EventBridgeAnnouncer
from tests.infra import bus
from tests.infra.template import Template, flat
from tests.unit.test_alerting import summary

ALL = ("mail", "phone", "chat", "pager", "hook", "bus")
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
REASON = 'The file "orders.csv" is gone; <!channel> \\ 100 %.'


class Receiver(HTTPServer):
    """Stands in for the vendors, and refuses what they would refuse."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, dict[str, str], Any]] = []
        self.incidents: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.path, dict(self.headers), body))
        status, text = {"/slack": self._slack, "/pagerduty": self._pagerduty}.get(self.path, self._hook)(body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def _slack(self, body: Any) -> tuple[int, str]:
        """https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""
        good = set(body) <= {"text", "blocks", "attachments"} and isinstance(body.get("text"), str) and body["text"]
        return (200, "ok") if good and len(body["text"]) <= 40_000 else (400, "invalid_payload")

    def _pagerduty(self, body: Any) -> tuple[int, str]:
        """https://developer.pagerduty.com/docs/send-alert-event"""
        payload = body.get("payload", {})
        good = (
            set(body)
            <= {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}
            and re.fullmatch(r"\w{32}", body["routing_key"])
            and body["event_action"] in ("trigger", "acknowledge", "resolve")
            and len(body["dedup_key"]) <= 255
            and set(payload)
            <= {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}
            and 0 < len(payload["summary"]) <= 1024
            and payload["severity"] in ("critical", "error", "warning", "info")
            and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", payload["timestamp"])
            and isinstance(payload["custom_details"], dict)
        )
        if not good:
            return 400, json.dumps({"status": "invalid event"})
        if body["event_action"] == "trigger":
            self.server.incidents[body["dedup_key"]] = payload["summary"]
        else:
            self.server.incidents.pop(body["dedup_key"])
        return 202, json.dumps({"status": "success", "message": "Event processed", "dedup_key": body["dedup_key"]})

    def _hook(self, body: Any) -> tuple[int, str]:
        return 200, ""

    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def events(*channels: str, reason: str = REASON) -> tuple[bus.Event, bus.Event]:
    """A failure and its recovery as they arrive on the bus."""
    entries: list[dict[str, Any]] = []

    class Client:
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
            entries.extend(Entries)
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}

    announcer = EventBridgeAnnouncer(client=Client(), bus="default", deployment="Rowcast")  # type: ignore[arg-type]
    rules = Alerts(channels=channels or ALL)
    failed = judge_run(rules, None, summary(1, "failed", reason=reason), "Rowcast", 1_700_000_000.0)
    recovered = judge_run(rules, failed, summary(2), "Rowcast", 1_700_003_600.0)
    announcer.announce(recovered.outbox)
    raised, solved = (
        {
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": json.loads(entry["Detail"]),
            "resources": entry["Resources"],
        }
        for entry in entries
    )
    return raised, solved


def deliver(template: Template, receiver: Receiver, event: bus.Event) -> list[tuple[int, str]]:
    secrets = {
        "rowcast/slack": f"{receiver.url}/slack",
        "rowcast/pagerduty": json.dumps({"routing": ROUTING_KEY}),
        "t": "token",
        "https://events.pagerduty.com/v2/enqueue": f"{receiver.url}/pagerduty",
        "https://ops.example.com/alerts": f"{receiver.url}/hook",
    }
    return [
        bus.call(template, target, body, secrets)
        for target, body in bus.targets(template, event)
        if "Destination" in flat(target["Arn"])
    ]


def test_pagerduty_opens_an_incident_and_resolves_it(template: Template, receiver: Receiver) -> None:
    raised, recovered = events("pager")
    assert [status for status, _ in deliver(template, receiver, raised)] == [202]
    assert receiver.incidents == {"rowcast/Rowcast/orders/failed": "orders: a run failed"}
    assert [status for status, _ in deliver(template, receiver, recovered)] == [202]
    assert receiver.incidents == {}
    (_, _, page), _ = receiver.received
    assert page["routing_key"] == ROUTING_KEY
    assert page["payload"]["custom_details"]["what"] == f"The{REASON[3:].rstrip('.')}."


def test_slack_gets_one_text_for_each_change_of_status(template: Template, receiver: Receiver) -> None:
    for event in events("chat"):
        assert deliver(template, receiver, event) == [(200, "ok")]
    first, second = (body["text"] for _, _, body in receiver.received)
    for part in ("[error] orders: a run failed", REASON, "Since 2023-11-14T22:13:20Z", "rowcast run-info run-000001"):
        assert part in first
    assert "orders: recovered" in second


def test_a_webhook_gets_the_whole_alert_with_its_token(template: Template, receiver: Receiver) -> None:
    raised, _ = events("hook")
    assert deliver(template, receiver, raised) == [(200, "")]
    ((path, headers, body),) = receiver.received
    assert (path, headers["Authorization"]) == ("/hook", "Bearer token")
    assert body == raised["detail"]
    assert set(Alert.__struct_fields__) | {"deployment"} == set(body)


def test_mail_and_telephone_get_lines_for_people(template: Template) -> None:
    raised, _ = events("mail", "phone")
    mail, phone = (body for _, body in bus.targets(template, raised))
    assert mail.splitlines()[0] == '"orders: a run failed"'
    assert "Look deeper: rowcast run-info run-000001" in mail
    assert phone == f'"[error] orders: a run failed. {REASON}"'


def test_another_bus_gets_the_event_as_it_is(template: Template) -> None:
    raised, _ = events("bus")
    ((target, body),) = bus.targets(template, raised)
    assert flat(target["Arn"]).endswith(":event-bus/operations")
    assert json.loads(body) == raised


def test_an_alert_goes_to_its_own_channels_of_its_own_deployment(template: Template) -> None:
    raised, _ = events("nobody")
    assert list(bus.targets(template, raised)) == []
    raised, _ = events(*ALL)
    assert len(list(bus.targets(template, raised))) == len(ALL)
    raised["detail"]["deployment"] = "Another"
    assert list(bus.targets(template, raised)) == []


def test_what_a_channel_does_not_take_is_kept_and_alarmed(template: Template) -> None:
    rules = template.of_type("AWS::Events::Rule")
    kept = [target["DeadLetterConfig"]["Arn"] for rule in rules.values() for target in rule["Properties"]["Targets"]]
    assert {flat(arn) for arn in kept} == {"<StorageUndeliveredAlerts.Arn>"}
    policy = template.named("AWS::SQS::QueuePolicy", "UndeliveredAlerts")["Properties"]["PolicyDocument"]["Statement"]
    let_in = {
        one["Principal"]["Service"]: flat(one["Condition"]["ArnLike"]["aws:SourceArn"])
        for one in policy
        if one["Effect"] == "Allow"
    }
    here = "<AWS::Region>:<AWS::AccountId>"
    assert let_in == {
        "events.amazonaws.com": f"arn:<AWS::Partition>:events:{here}:rule/*",
        "sns.amazonaws.com": f"arn:<AWS::Partition>:sns:{here}:*",
    }


def test_a_queue_s_policy_stays_as_short_with_many_channels_as_with_one(template: Template) -> None:
    """SQS takes 20 statements and 8,192 bytes."""
    for policy in template.of_type("AWS::SQS::QueuePolicy").values():
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        assert len(statements) <= 6


def test_eventbridge_may_publish_to_a_topic_without_a_condition_which_it_does_not_meet(template: Template) -> None:
    for name, policy in template.of_type("AWS::SNS::TopicPolicy").items():
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        let_in = [one for one in statements if one["Principal"] == {"Service": "events.amazonaws.com"}]
        assert len(let_in) == (1 if "Channels" in name else 0)
        assert not any("Condition" in one for one in let_in)


def test_the_template_holds_the_names_of_secrets_and_none_of_their_values(template: Template) -> None:
    connections = json.dumps([one["Properties"] for one in template.of_type("AWS::Events::Connection").values()])
    assert "{{resolve:secretsmanager:rowcast/pagerduty:SecretString:routing" in connections
    assert "{{resolve:secretsmanager:t:SecretString" in connections


@pytest.mark.parametrize("channel", ["chat", "pager", "hook", "bus"])
def test_a_channel_s_role_may_reach_that_channel_alone(template: Template, channel: str) -> None:
    allowed = template.allowed(template.role(f"Channels{channel}Role"))
    action = "events:PutEvents" if channel == "bus" else "events:InvokeApiDestination"
    assert list(allowed) == [action]
    (resource,) = allowed[action]
    assert resource.endswith("event-bus/operations") or resource == f"<Channels{channel}Destination.Arn>"


def alarm(state: str, before: str, name: str = "Rowcast/platform/TimeOutsNear") -> bus.Event:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
    return {
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": "123456789012",
        "time": "2026-11-20T17:04:40Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}"],
        "detail": {
            "alarmName": name,
            "configuration": {"description": "A function used nearly all of its time.", "metrics": []},
            "previousState": {"timestamp": "2026-11-20T17:00:40.985+0000", "value": before},
            "state": {
                "reason": "Threshold Crossed: 1 datapoint (0.95) was greater than the threshold (0.9).",
                "timestamp": "2026-11-20T17:04:40.985+0000",
                "value": state,
            },
        },
    }


def test_an_alarm_and_its_end_reach_every_channel_once(template: Template, receiver: Receiver) -> None:
    for event in (alarm("ALARM", "OK"), alarm("OK", "ALARM")):
        assert len(list(bus.targets(template, event))) == len(ALL)
        assert sorted(status for status, _ in deliver(template, receiver, event)) == [200, 200, 202]
    assert receiver.incidents == {}
    told = {path: body for path, _, body in receiver.received}
    assert told["/slack"]["text"].startswith("[recovered] Rowcast/platform/TimeOutsNear: A function used")
    assert told["/hook"]["status"] == "recovered"
    assert told["/pagerduty"]["event_action"] == "resolve"


def test_no_channel_is_told_of_other_alarms_of_states_that_began_or_of_what_alerts_tell(template: Template) -> None:
    quiet = [
        alarm("OK", "INSUFFICIENT_DATA"),
        alarm("ALARM", "OK", "Rowcast2/platform/TimeOutsNear"),
        alarm("ALARM", "OK", "Rowcast/runs/RunFailed"),
    ]
    assert [list(bus.targets(template, event)) for event in quiet] == [[], [], []]


def test_what_alarms_say_can_stand_inside_the_quotes_of_json(template: Template) -> None:
    for one in template.of_type("AWS::CloudWatch::Alarm").values():
        texts = (one["Properties"]["AlarmName"], one["Properties"]["AlarmDescription"])
        assert not set('"\\\n') & set("".join(texts))
