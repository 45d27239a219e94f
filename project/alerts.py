"""Alert channels and rules, as they are written, to the form that is deployed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from project import times
from project.model import AlertChannel, Schedule
from project.schema.words import ON
from rowcast.definition import Alerts, SecretRef

HOUR = 3600.0
_TIMES = {"slower_than": "slower_than", "unchanged_for": "unchanged_for", "debt_older_than": "debt_older_than"}


def rules(defaults: Any, own: Any, schedule: Schedule) -> Alerts:
    """A sync's own rules win over `defaults` field by field; a plain list names channels."""
    value = _mapping(defaults) | _mapping(own)
    given: dict[str, Any] = {field: times.seconds(value[name]) for name, field in _TIMES.items() if value.get(name)}
    given["channels"] = tuple(value.get("channels", ()))
    given["late_after"] = _late(value.get("no_success_for"), schedule)
    given["reasons"] = value.get("reasons", False) in ON
    if "severity" in value:
        given["severity"] = value["severity"]
    if isinstance(value.get("rejected"), int) and not isinstance(value["rejected"], bool):
        given["rejected_rows"] = value["rejected"]
    elif value.get("rejected"):
        given["rejected_share"] = times.share(value["rejected"])
    rows = value.get("rows") or {}
    given |= {f"{bound}_rows": rows[bound] for bound in ("min", "max") if bound in rows}
    if "change" in rows:
        given["rows_change"] = times.share(rows["change"])
    if value.get("muted_until"):
        given["muted_until"] = instant(value["muted_until"])
    return Alerts(**given)


def instant(text: str) -> float:
    """Raises ValueError for what is no ISO 8601 date or time; without a zone it is UTC."""
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=time.tzinfo or UTC).timestamp()


def channel(name: str, value: dict[str, Any]) -> AlertChannel:
    fields = {key: _secret(item) if isinstance(item, dict) else item for key, item in value.items() if key != "type"}
    return AlertChannel(name, value["type"], fields)


def _secret(value: dict[str, str]) -> SecretRef:
    """CloudFormation reads it, which takes the whole secret where no field of it is named."""
    if "env" in value:
        return SecretRef(name=f"rowcast/env/{value['env']}", key="")
    return SecretRef(name=value["secret"], key=value.get("key", ""))


def _mapping(value: Any) -> dict[str, Any]:
    return {"channels": value} if isinstance(value, list) else dict(value or {})


def _late(given: Any, schedule: Schedule) -> float | None:
    """Without a word on it: when a second start has passed without a run that completed, and half an hour more."""
    if given is not None:
        return times.seconds(given) if isinstance(given, str) and given not in ("off", "no") else None
    period = times.period(schedule)
    return None if period is None else 2 * period + HOUR / 2
