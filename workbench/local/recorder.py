"""Writes down, in the emulator, what arrives on buses and functions, in order of arrival.

On AWS one looks at a bus through a rule with a target and at a function through its logs. Here the two entry points of
the emulator are observed: every accepted entry of PutEvents on a bus that exists, and every synchronous Invoke with
the bytes that went in and came out.
"""

from __future__ import annotations

import functools
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


class Journal:
    """One JSON object a line; a line is written whole or, after a crash, is the last and without its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def append(self, records: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(text)


def record(path: Path) -> None:
    """Observes both entry points and appends what arrives to the file."""
    journal = Journal(path)
    _record_events(journal)
    _record_invocations(journal)


def _record_events(journal: Journal) -> None:
    from ministack.services import eventbridge

    original = eventbridge._put_events

    @functools.wraps(original)
    def put_events(data: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        response = original(data, *args, **kwargs)
        eventbridge._events_log_list().clear()  # kept by the emulator for no one, without bound
        if response[0] == 200:
            answers = json.loads(response[2])["Entries"]
            pairs = zip(data.get("Entries", []), answers, strict=True)
            ours = [entry for entry, answer in pairs if "EventId" in answer and _is_ours(entry) and _bus_exists(entry)]
            if ours:
                journal.append([_event(entry) for entry in ours])
        return response

    def _bus_exists(entry: dict[str, Any]) -> bool:
        name, _ = eventbridge._event_bus_name_from_ref(entry.get("EventBusName", "default"))
        return name in eventbridge._event_buses

    eventbridge._put_events = put_events


def _is_ours(entry: dict[str, Any]) -> bool:
    """Not what the emulator itself tells of executions, nor what runs announce."""
    return any(resource.startswith("rowcast:change/") for resource in entry.get("Resources", []))


def _event(entry: dict[str, Any]) -> dict[str, Any]:
    bus = entry.get("EventBusName", "default").rsplit("/", 1)[-1]
    return {
        "kind": "event",
        "bus": bus,
        "source": entry.get("Source"),
        "detail-type": entry.get("DetailType"),
        "detail": entry.get("Detail"),
        "time": entry.get("Time", time.time()),
        "resources": entry.get("Resources", []),
    }


def _record_invocations(journal: Journal) -> None:
    from ministack.services import lambda_svc

    original = lambda_svc.handle_request

    @functools.wraps(original)
    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        found = _INVOKE.fullmatch(lambda_svc.unquote(path)) if method == "POST" else None
        response = await original(method, path, headers, body, query)
        if found and response[0] == 200:
            journal.append([_invocation(found.group(1), body, response)])
        return response

    lambda_svc.handle_request = handle


def _invocation(function: str, body: bytes, response: Any) -> dict[str, Any]:
    name = function.rsplit(":function:", maxsplit=1)[-1].split(":", maxsplit=1)[0]
    return {
        "kind": "invocation",
        "function": name,
        "payload": body.decode("utf-8", "replace"),
        "reply": bytes(response[2]).decode("utf-8", "replace"),
        "function_error": response[1].get("X-Amz-Function-Error"),
        "time": time.time(),
    }
