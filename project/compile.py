"""Files without mistakes to the definitions that are deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from project import alerts, functions, meaning, query, times
from project.document import Document
from project.model import Endpoints, LocalFunction, Network, Sync
from project.schema.words import ON
from rowcast.definition import (
    Account,
    Definition,
    Destination,
    EventBridgeDestination,
    Field,
    FilesSource,
    Guard,
    LambdaDestination,
    Limits,
    Message,
    PostgresSource,
    Retry,
    SecretRef,
    Source,
    Trigger,
    Triggers,
)

ENVIRONMENT = "rowcast/env/"
"""Where a secret that is an environment variable lies in the emulator's Secrets Manager."""

_OFF = (False, "off", "no")


def secret(value: str | dict[str, str]) -> SecretRef:
    if isinstance(value, str):
        return SecretRef(name=value)
    if "env" in value:
        return SecretRef(name=ENVIRONMENT + value["env"])
    store = "parameter" if "parameter" in value else "secretsmanager"
    name = value["parameter"] if "parameter" in value else value["secret"]
    return SecretRef(store=store, name=name, key=value.get("key", "password"))  # type: ignore[arg-type]


def source(root: Path, name: str, value: dict[str, Any]) -> Source:
    if value["type"] == "files":
        return _files(name, value["path"])
    ca_file = value.get("tls_ca_file")
    optional: dict[str, Any] = {key: value[key] for key in ("port", "tls", "readers") if key in value}
    if "statement_timeout" in value:
        optional["statement_timeout_seconds"] = int(times.seconds(value["statement_timeout"]))
    return PostgresSource(
        name=name,
        host=value["host"],
        database=value["database"],
        user=value["user"],
        password=secret(value["password"]) if "password" in value else None,
        tls_ca=(root / ca_file).read_text(encoding="ascii", errors="replace") if ca_file else None,
        **optional,
    )


def _files(name: str, path: str) -> FilesSource:
    if not path.startswith("s3://"):
        return FilesSource(name=name, prefix=f"sources/{name}/")
    bucket, _, prefix = path.removeprefix("s3://").partition("/")
    return FilesSource(name=name, bucket=bucket, prefix=prefix.rstrip("/") + "/" if prefix.strip("/") else "")


def network(value: dict[str, Any]) -> Network | None:
    """Where a source's snapshot function runs, when that is inside a VPC."""
    vpc = value.get("vpc")
    if not vpc:
        return None
    wanted = vpc.get("endpoints")
    endpoints = Endpoints(wanted["vpc"], tuple(wanted["route_tables"])) if wanted else None
    return Network(tuple(vpc["subnets"]), tuple(vpc["security_groups"]), endpoints)


def folder(root: Path, value: dict[str, Any]) -> Path | None:
    """The project's folder that a source reads, if it reads one."""
    if value["type"] != "files" or value["path"].startswith("s3://"):
        return None
    return root.resolve() / str(value["path"])


def local_function(root: Path, document: Document) -> LocalFunction | None:
    function = document.get(str, "destination", "function")
    return functions.find(root, function) if function and functions.is_local(function) else None


def sync(root: Path, document: Document, sources: dict[str, Source], main: dict[str, Any]) -> Sync:
    """`main`: the value of rowcast.yaml."""
    value = document.value
    defaults = main.get("defaults") or {}
    model = value["model"]
    key = model["primary_key"]
    from_source = sources[model["source"]]
    merged = {name: (defaults.get(name) or {}) | value.get(name, {}) for name in ("retry", "guard")}
    schedule = times.schedule(value.get("schedule", defaults.get("schedule", "manual")))
    definition = Definition(
        sync=Path(document.file).stem,
        source=from_source,
        query=_query(root, document, from_source),
        primary_key=(key,) if isinstance(key, str) else tuple(key),
        destination=_destination(root, document),
        triggers=Triggers(**{name: _trigger(item) for name, item in value["triggers"].items()}),
        message=_message(value.get("message")),
        mask=tuple(value.get("mask", ())),
        initial_sync=value.get("initial_sync", "skip"),
        retry=_retry(merged["retry"]),
        limits=_limits(defaults.get("limits") or {}, value.get("limits", {}), main.get("pools") or {}),
        guard=_guard(merged["guard"]),
        alerts=alerts.rules(defaults.get("alerts"), value.get("alerts"), schedule),
    )
    return Sync(definition.sync, document.file, definition, schedule, definition.alerts.channels)


def _query(root: Path, document: Document, from_source: Source) -> str:
    file = meaning.query_file(root, document)
    text: str = file.read_text(encoding="utf-8-sig") if file else document.value["model"]["query"]
    return query.without_end(text, "files" if isinstance(from_source, FilesSource) else "postgres")


def _destination(root: Path, document: Document) -> Destination:
    value = document.value["destination"]
    account = _account(value["account"]) if "account" in value else None
    if value["type"] == "eventbridge":
        return EventBridgeDestination(region=value.get("region"), account=account)
    local = local_function(root, document)
    return LambdaDestination(
        function=local.name if local else value["function"],
        region=value.get("region"),
        batch_size=value.get("batch_size", 1),
        account=account,
    )


def _account(value: dict[str, Any]) -> Account:
    if "access_key_secret" in value:
        return Account(access_key_secret=secret(value["access_key_secret"]))
    return Account(role_arn=value["role_arn"], external_id=value.get("external_id"))


def _trigger(value: Any) -> Trigger | None:
    if not isinstance(value, dict):
        return None if value in _OFF else Trigger()
    columns = value.get("columns")
    message = _message(value["message"]) if "message" in value else None
    return Trigger(**{**value, "columns": tuple(columns) if columns else None, "message": message})


def _message(value: dict[str, Any] | None) -> Message:
    given = dict(value or {})
    if "columns" in given:
        given["columns"] = {
            name: Field(**part) if isinstance(part, dict) else part for name, part in given["columns"].items()
        }
    return Message(**{**given, "metadata": given.get("metadata", False) in ON})


def _retry(value: dict[str, Any]) -> Retry:
    given = {key: item for key, item in value.items() if key != "backoff"}
    if "backoff" in value:
        given["backoff_seconds"] = times.seconds(value["backoff"])
    return Retry(**given)


def _limits(defaults: dict[str, Any], own: dict[str, Any], pools: dict[str, Any]) -> Limits:
    """A sync's own rate or pool replaces either of the defaults. A pool's rate is the pool's."""
    if "rate" in own or "pool" in own:
        defaults = {name: item for name, item in defaults.items() if name not in ("rate", "pool")}
    value = defaults | own
    rate = pools[value["pool"]]["rate"] if "pool" in value else value.get("rate")
    return Limits(**{**value, "rate": times.rate(rate) if rate else None})


def _guard(value: dict[str, Any]) -> Guard:
    given: dict[str, Any] = {
        key: item in ON if key.startswith("allow_") else times.share(item) for key, item in value.items()
    }
    return Guard(**given)
