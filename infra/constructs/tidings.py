"""What the rules of a channel listen for, and the words in which each kind of channel is told.

EventBridge puts a value into a template's quotes as it is, without escaping it. So where a template is JSON, a text
that may hold a quote stands alone, as a whole value; in quotes stand names and sentences of Rowcast and CloudWatch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["raised", "recovered"]

_DETAIL_TYPES: dict[Status, str] = {"raised": "Rowcast Alert Raised", "recovered": "Rowcast Alert Recovered"}
_ACTIONS: dict[Status, str] = {"raised": "trigger", "recovered": "resolve"}
_ALERT = (
    "deployment",
    "sync",
    "alert",
    "severity",
    "since",
    "at",
    "key",
    "title",
    "what",
    "summary",
    "command",
    "text",
)
_ALERT_PATHS = {"detail": "$.detail", **{name: f"$.detail.{name}" for name in _ALERT}}
_ALARM_PATHS = {
    "name": "$.detail.alarmName",
    "reason": "$.detail.state.reason",
    "why": "$.detail.configuration.description",
    "time": "$.time",
    "arn": "$.resources[0]",
}

_PAGE = (
    '{"event_action": "%s", "dedup_key": <key>, "client": "Rowcast", "payload": {"summary": <title>, "source": <sync>, '
    '"severity": <severity>, "timestamp": <at>, "component": <deployment>, "group": <sync>, "class": <alert>, '
    '"custom_details": <detail>}}'
)
_ALARM_PAGE = (
    '{"event_action": "%s", "dedup_key": <arn>, "client": "Rowcast", "payload": {"summary": "<name>: <why>", '
    '"source": <name>, "severity": "error", "timestamp": <time>, "class": "alarm", '
    '"custom_details": {"reason": <reason>}}}'
)
_ALARM_BODY = '{"version": "1", "alarm": <name>, "status": "%s", "what": <why>, "reason": <reason>, "at": <time>}'


@dataclass(frozen=True)
class Rule:
    """`pattern` of the events; `template` of the input transformer, without which the event is passed on as it is."""

    construct_id: str
    pattern: dict[str, Any]
    template: str | None
    paths: dict[str, str]
    of_alarms: bool = False


def alerts(kind: str, deployment: str, channel: str) -> Iterator[Rule]:
    """One rule, or two where a recovery is told in other words."""
    detail = {"deployment": [deployment], "channels": [channel]}
    by_status = _alert(kind)
    for number, template in enumerate(dict.fromkeys(by_status.values())):
        types = [_DETAIL_TYPES[status] for status, one in by_status.items() if one == template]
        pattern = {"source": ["rowcast"], "detail-type": types, "detail": detail}
        yield Rule(("Rule", "Resolve")[number], pattern, template, _used(template, _ALERT_PATHS))


def alarms(kind: str, prefix: str) -> Iterator[Rule]:
    """Two rules: alarms begin their life in no state, and what they come to be from there is no recovery."""
    names = {"alarmName": [{"prefix": prefix}]}
    states: dict[Status, dict[str, Any]] = {
        "raised": {"state": {"value": ["ALARM"]}},
        "recovered": {"state": {"value": ["OK"]}, "previousState": {"value": ["ALARM"]}},
    }
    for status, detail in states.items():
        pattern = {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {**names, **detail},
        }
        template = _alarm(kind, status)
        yield Rule(f"Alarm{status.capitalize()}", pattern, template, _used(template, _ALARM_PATHS), of_alarms=True)


def _alert(kind: str) -> dict[Status, str | None]:
    templates = {
        "email": '"<title>"\n"<what>"\n"<summary>"\n"Severity <severity>, since <since>. Look deeper: <command>"',
        "sms": '"[<severity>] <title>. <what>"',
        "slack": '{"text": <text>}',
        "webhook": "<detail>",
        "eventbridge": None,
    }
    if kind == "pagerduty":
        return {status: _PAGE % action for status, action in _ACTIONS.items()}
    return dict.fromkeys(_ACTIONS, templates[kind])


def _alarm(kind: str, status: Status) -> str | None:
    match kind:
        case "pagerduty":
            return _ALARM_PAGE % _ACTIONS[status]
        case "webhook":
            return _ALARM_BODY % status
        case "slack":
            return f'{{"text": "[{status}] <name>: <why>\\n<reason>"}}'
        case "email":
            return f'"Alarm {status}: <name>"\n"<why>"\n"<reason>"'
        case "sms":
            return f'"[{status}] <name>: <why>"'
    return None


def _used(template: str | None, paths: dict[str, str]) -> dict[str, str]:
    names = {part.partition(">")[0] for part in (template or "").split("<")[1:]}
    return {name: paths[name] for name in sorted(names)}
