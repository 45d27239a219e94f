"""What a run and a month of a sync cost: usage times prices."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
import yaml
from msgspec import structs

from project.model import Schedule
from project.times import period
from rowcast import metrics
from rowcast.definition import Definition, LambdaDestination
from rowcast.models import to_json
from workbench.options import UsageFault
from workbench.usage import KEPT_SNAPSHOTS, Usage, Workload, usage

TABLE = Path(__file__).with_name("prices.yaml")
HOURS = 730
MONTH = HOURS * 3600
NONCURRENT_DAYS, KEPT_DAYS = 7, 30
GB = 1e9
ALARM_METRICS = 2  # of a sync: old debts, and throttled calls
METRICS = len(metrics.COUNTS) + len(metrics.SECONDS) + len(metrics.ENDS) + 1
METRICS_OF_CALLS = len(metrics.of_calls([]))
SERVICES = {
    "dynamodb": "DynamoDB",
    "s3": "S3",
    "states": "Step Functions",
    "lambda": "Lambda",
    "events": "EventBridge",
    "scheduler": "EventBridge",
    "sqs": "SQS",
    "logs": "CloudWatch",
    "metric": "CloudWatch",
    "alarm": "CloudWatch",
    "xray": "X-Ray",
}


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table; a project's own file replaces what it names."""

    region: str
    as_of: str
    currency: str
    prices: dict[str, float]
    assumptions: dict[str, float]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """So many units of something for this much."""

    service: str
    unit: str
    count: float
    cost: float


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """`month` is None when it is not known how often the sync runs."""

    run: list[Line]
    month: list[Line] | None
    runs_a_month: float | None
    usage: Usage


def read_prices(project: Path) -> Prices:
    """The table with what the project's own prices.yaml replaces. Raises UsageFault for what it does not know."""
    table = _yaml(TABLE)
    own = project / "prices.yaml"
    if own.is_file():
        changed = _yaml(own)
        known = {part: set(table[part]) for part in ("prices", "assumptions")}
        for part, names in known.items():
            if unknown := set(changed.get(part) or {}) - names:
                raise UsageFault(
                    f"{own}: {part} has no {', '.join(sorted(unknown))}. It has: {', '.join(sorted(names))}."
                )
            table[part] |= changed.pop(part, None) or {}
        table |= changed
    try:
        return msgspec.convert(table, Prices)
    except msgspec.ValidationError as error:
        raise UsageFault(f"{own}: {error}.") from None


def _yaml(path: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError:
        raise UsageFault(f"{path} is no YAML.") from None
    if not isinstance(read, dict):
        raise UsageFault(f"{path} holds no fields.")
    return {
        name: value.isoformat() if name == "as_of" and not isinstance(value, str) else value
        for name, value in read.items()
    }


def runs_a_month(schedule: Schedule) -> float | None:
    """None for a manual sync, and for a schedule that does not start at equal intervals."""
    seconds = period(schedule)
    return MONTH / seconds if seconds else None


def bill(work: Workload, definition: Definition, table: Prices, runs: float | None) -> Bill:
    """A month's runs are taken to be alike: each finds as many rows and changes."""
    used = usage(work, definition, table.assumptions)
    run = _lines(dict(used.units), table)
    if runs is None:
        return Bill(run=run, month=None, runs_a_month=None, usage=used)
    units = {name: count * runs for name, count in used.units.items()}
    month = _lines(units | _kept(used, runs) | _watched(used, runs), table)
    return Bill(run=run, month=month, runs_a_month=runs, usage=used)


def of_plan(document: dict[str, Any], definition: Definition, table: Prices) -> Bill:
    """Of the run that a plan foresees. Rows and messages are taken to be as long as the messages that it shows."""
    work = Workload(**{name: document[name] for name in ("rows", "added", "changed", "removed")})
    if sizes := [len(to_json(one["message"])) for one in document["messages"] if not one["problem"]]:
        size = round(fmean(sizes))
        work = structs.replace(work, row_bytes=size, message_bytes=size)
    return bill(work, definition, table, None)


def _kept(used: Usage, runs: float) -> dict[str, float]:
    """GB-months. Snapshots that fell out of the history stay for a week as old versions, for mistakes."""
    stored = used.stored
    older = min(runs * NONCURRENT_DAYS * 24 / HOURS + KEPT_SNAPSHOTS - 1, runs * 12) * stored["snapshot_of_run"]
    kept = runs * KEPT_DAYS * 24 / HOURS
    changes = kept * stored["changes"] / GB
    return {
        "s3_gb_month": (stored["snapshot"] + older + kept * stored["calls"]) / GB,
        "dynamodb_gb_month": changes,
        "dynamodb_recovery_gb_month": changes,
    }


def _watched(used: Usage, runs: float) -> dict[str, float]:
    hours = min(1.0, runs / HOURS)
    count = METRICS + (METRICS_OF_CALLS if used.shape.chunks else 0)
    return {"metric_month": count * hours, "alarm_metric_month": ALARM_METRICS}


def _lines(units: dict[str, float], table: Prices) -> list[Line]:
    return [
        Line(service=SERVICES[name.partition("_")[0]], unit=name, count=count, cost=count * table.prices[name])
        for name, count in units.items()
        if count
    ]


def by_service(lines: list[Line]) -> dict[str, float]:
    """Dearest first."""
    sums: dict[str, float] = {}
    for line in lines:
        sums[line.service] = sums.get(line.service, 0.0) + line.cost
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def left_out(definition: Definition) -> list[str]:
    """What such a sync costs beside this."""
    beside = ["what the source charges for the query", "data transfer, NAT gateways and VPC endpoints"]
    if isinstance(definition.destination, LambdaDestination):
        return ["your own function's invocations", *beside]
    return ["what your rules do with the events", *beside]
