"""Injects what goes wrong between a client and AWS, over moto or the emulator.

Each function arms one fault for the next call of an operation, or for the next `times` calls.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError


def answer_error(client: Any, operation: str, code: str, status: int = 400, times: int = 1, **parsed: Any) -> None:
    """The service refuses, and nothing takes effect. Comes after the SDK's own retries."""
    error = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **parsed}
    _arm(client, "before-call", operation, lambda **_: (SimpleNamespace(status_code=status), error), times)


def answer(client: Any, operation: str, reply: dict[str, Any], times: int = 1) -> None:
    """The service answers `reply`, and nothing takes effect."""
    _arm(client, "before-call", operation, lambda **_: ok(reply), times)


def ok(reply: dict[str, Any]) -> Any:
    """What a `before-call` hook returns to stand in for a call that succeeded."""
    return SimpleNamespace(status_code=200), {"ResponseMetadata": {"HTTPStatusCode": 200}, **reply}


def fail_to_connect(client: Any, operation: str, times: int = 1) -> None:
    """No connection: nothing was sent. Comes after the SDK's own retries."""

    def fault(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="https://aws")

    _arm(client, "before-call", operation, fault, times)


def break_off(client: Any, operation: str, times: int = 1) -> None:
    """The connection ends without a reply. Nothing takes effect, which the caller cannot know."""

    def fault(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://aws")

    _arm(client, "before-call", operation, fault, times)


def lose_reply(client: Any, operation: str, times: int = 1) -> None:
    """The call takes effect and its reply is lost. The SDK sees a read timeout and repeats it if it is to."""

    def fault(request: Any, **_: Any) -> None:
        from moto.core.models import botocore_stubber

        if not botocore_stubber.enabled:
            client._endpoint.http_session.send(request)
        raise ReadTimeoutError(endpoint_url="https://aws")

    _arm(client, "before-send", operation, fault, times, last=True)


def leave_keys_unread(client: Any, times: int = 1) -> None:
    """BatchGetItem reads the first half of the keys and leaves the others in UnprocessedKeys."""
    left = [times]

    def take_out(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any] | None:
        if left[0] == 0:
            return None
        left[0] -= 1
        asked = params["RequestItems"]
        half = {table: (len(request["Keys"]) + 1) // 2 for table, request in asked.items()}
        unread = {table: {**request, "Keys": request["Keys"][half[table] :]} for table, request in asked.items()}
        context["unread"] = {table: request for table, request in unread.items() if request["Keys"]}
        read = {table: {**request, "Keys": request["Keys"][: half[table]]} for table, request in asked.items()}
        return {**params, "RequestItems": read}

    def put_back(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if context.get("unread"):
            parsed["UnprocessedKeys"] = context["unread"]

    client.meta.events.register("provide-client-params.dynamodb.BatchGetItem", take_out)
    client.meta.events.register("after-call.dynamodb.BatchGetItem", put_back)


def fail_entries(client: Any, operation: str, *ids: str, sender_fault: bool = False, times: int = 1) -> None:
    """An SQS batch call answers that these entries failed; the others take effect."""
    done = [0]

    def take_out(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any] | None:
        context["failed_entries"] = [] if done[0] >= times else [e for e in params["Entries"] if e["Id"] in ids]
        done[0] += 1
        if not context["failed_entries"]:
            return None
        left = [entry for entry in params["Entries"] if entry not in context["failed_entries"]]
        return {**params, "Entries": left or params["Entries"]}

    def put_back(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        for entry in context.get("failed_entries", []):
            failed = {"Id": entry["Id"], "SenderFault": sender_fault, "Code": "InternalError"}
            parsed.setdefault("Failed", []).append(failed)

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"provide-client-params.{service}.{operation}", take_out)
    client.meta.events.register(f"after-call.{service}.{operation}", put_back)


def before(client: Any, operation: str, work: Callable[[], object], times: int = 1) -> None:
    """Runs `work` just before the next call leaves: the other party of a race."""

    def fault(**_: Any) -> None:
        work()

    _arm(client, "before-call", operation, fault, times)


def _arm(client: Any, event: str, operation: str, fault: Callable[..., Any], times: int, *, last: bool = False) -> None:
    left = [times]

    def handler(event_name: str, **arguments: Any) -> Any:
        if left[0] == 0 or event_name != name:
            return None
        left[0] -= 1
        return fault(**arguments)

    name = f"{event}.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    if last:
        # botocore runs handlers of the longer name first: only here does this one come after moto's.
        client.meta.events.register_last(event, handler)
    else:
        client.meta.events.register_first(name, handler)
