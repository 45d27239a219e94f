"""Reads what arrived on the embedded AWS's buses and functions, in the order of arrival."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rowcast.bounds import UNREADABLE, read_foreign
from rowcast.models import from_json

FOLLOW_SECONDS = 0.2


def arrivals(
    journal: Path, *, sync: str | None = None, run: str | None = None, follow: bool = False
) -> Iterator[dict[str, Any]]:
    """Rowcast's messages with the fields of `rowcast events --json`; with `follow` it waits for more, for ever."""
    for line in _lines(journal, follow):
        record = _event(line) if line["kind"] == "event" else _invocation(line)
        if record and sync in (None, record["sync"]) and run in (None, record["run"]):
            yield record


def _lines(journal: Path, follow: bool) -> Iterator[dict[str, Any]]:
    position, rest = 0, b""
    while True:
        if journal.exists():
            if journal.stat().st_size < position:
                position, rest = 0, b""
            with journal.open("rb") as file:
                file.seek(position)
                for line in file:
                    position += len(line)
                    rest += line
                    if rest.endswith(b"\n"):
                        yield from_json(rest)
                        rest = b""
        if not follow:
            return
        time.sleep(FOLLOW_SECONDS)


def _event(line: dict[str, Any]) -> dict[str, Any] | None:
    names = dict(resource.removeprefix("rowcast:").split("/", 1) for resource in line["resources"] if _ours(resource))
    if "change" not in names:
        return None
    return {
        "sync": names.get("sync"),
        "run": names.get("run"),
        "change_id": names["change"],
        "operation": names.get("operation"),
        "target": line["bus"],
        "bus": line["bus"],
        "source": line["source"],
        "detail-type": line["detail-type"],
        "detail": _json(line["detail"]),
        "time": iso(line["time"]),
    }


def _ours(resource: str) -> bool:
    return resource.startswith("rowcast:") and "/" in resource


def _invocation(line: dict[str, Any]) -> dict[str, Any] | None:
    payload = _json(line["payload"])
    metadata = payload.get("metadata") if isinstance(payload, dict) else None
    if not isinstance(metadata, dict) or "sync" not in metadata:
        return None
    ids = metadata.get("change_ids") or []
    return {
        "sync": metadata["sync"],
        "run": metadata.get("run"),
        "change_id": ids[0] if len(ids) == 1 else None,
        "change_ids": ids,
        "operation": metadata.get("operation"),
        "target": line["function"],
        "payload": payload,
        "reply": _json(line["reply"]),
        "function_error": line["function_error"],
        "time": iso(line["time"]),
    }


def _json(text: str | None) -> Any:
    """The text's value with exact numbers; the text itself when it is no JSON."""
    try:
        return read_foreign(text or "")
    except UNREADABLE:
        return text


def iso(seconds: Any) -> str:
    """2026-11-20T15:04:05.123Z."""
    return datetime.fromtimestamp(float(seconds), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
