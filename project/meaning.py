"""What the form of one file cannot say: names that must exist, queries, schedules, templates, files."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from project import functions, query, times
from project.alerts import instant
from project.document import Document, Where
from project.nearest import nearest, one_of
from project.schema.words import SYNC_NAME
from rowcast.models import OPERATIONS

if TYPE_CHECKING:
    from rowcast.message import TemplateError

LONGEST_STATEMENT = 840.0
LONGEST_BACKOFF = 300.0


@dataclass(frozen=True)
class Known:
    """What the sync files may refer to, also where rowcast.yaml itself has mistakes.

    `sources`: name to type. None: rowcast.yaml is so wrong that nobody can tell.
    """

    root: Path
    sources: dict[str, str] | None
    alerts: frozenset[str] | None
    pools: frozenset[str] | None


def known(root: Path, document: Document) -> Known:
    if not isinstance(document.value, dict):
        return Known(root, None, None, None)
    sources = document.get(dict, "sources")
    types = sources and {name: document.get(str, "sources", name, "type") or "" for name in sources}
    alerts: dict[str, Any] | None = document.get(dict, "alerts") if document.value.get("alerts") else {}
    pools: dict[str, Any] | None = document.get(dict, "pools") if document.value.get("pools") else {}
    return Known(
        root, types, alerts if alerts is None else frozenset(alerts), pools if pools is None else frozenset(pools)
    )


def check_project(document: Document, names: Known) -> None:
    for name, kind in (names.sources or {}).items():
        if kind == "files":
            _check_folder(document, names.root, ("sources", name, "path"))
        elif kind == "postgres":
            _check_certificate(document, names.root, ("sources", name, "tls_ca_file"))
            _check_time(
                document, ("sources", name, "statement_timeout"), 1.0, LONGEST_STATEMENT, "1 second to 14 minutes"
            )
    _check_endpoints(document, names)
    _check_common(document, names, ("defaults",))
    _check_channels(document, names, ("alarms",))


def _check_endpoints(document: Document, names: Known) -> None:
    """AWS takes a service's endpoint with a private name once in a VPC, and a gateway once in a route table."""
    first: dict[str, str] = {}
    for name in names.sources or {}:
        where = ("sources", name, "vpc", "endpoints")
        vpc = document.get(str, *where, "vpc")
        if vpc is not None and first.setdefault(vpc, name) != name:
            message = f"the source {first[vpc]} makes the endpoints of {vpc} already"
            document.report(where, message, expected="endpoints at one source of a VPC")


def check_sync(document: Document, names: Known) -> None:
    name = Path(document.file).stem
    if not re.fullmatch(SYNC_NAME, name):
        document.report(
            (), f"{name!r} cannot be a sync's name", expected="a file name of 1 to 63 small letters, digits and -"
        )
    _check_common(document, names, ())
    _check_source(document, names)
    _check_query(document, names)
    _check_function(document, names)
    _check_messages(document)
    _check_mask(document)
    triggers = document.get(dict, "triggers")
    if triggers and all(item in (False, "off", "no") for item in triggers.values()):
        document.report(
            ("triggers",), "every trigger is off: nothing would ever be sent", expected="at least one that is on"
        )


def _check_common(document: Document, names: Known, at: Where) -> None:
    """What a sync and the defaults share."""
    alerts = (*at, "alerts") if document.get(dict, *at, "alerts") is None else (*at, "alerts", "channels")
    _check_channels(document, names, alerts)
    _check_mute(document, (*at, "alerts", "muted_until"))
    _check_pool(document, names, (*at, "limits"))
    _check_time(document, (*at, "retry", "backoff"), 0.001, LONGEST_BACKOFF, "1ms to 5 minutes")
    _check_schedule(document, (*at, "schedule"))


def _check_channels(document: Document, names: Known, alerts: Where) -> None:
    for index in range(len(document.get(list, *alerts) or ())):
        where = (*alerts, index)
        channel = document.get(str, *where)
        if names.alerts is not None and channel is not None and channel not in names.alerts:
            document.report(
                where,
                f"there is no alert channel {channel} in rowcast.yaml",
                expected=one_of(names.alerts),
                suggestion=nearest(channel, names.alerts),
            )


def _check_mute(document: Document, where: Where) -> None:
    text = document.get(str, *where)
    if text is None:
        return
    try:
        instant(text)
    except ValueError:
        document.report(where, f"'{text}' is no time", expected="a time such as 2027-01-31T08:00:00Z")


def _check_pool(document: Document, names: Known, at: Where) -> None:
    pool = document.get(str, *at, "pool")
    if pool is None or names.pools is None:
        return
    if pool not in names.pools:
        document.report(
            (*at, "pool"),
            f"there is no pool {pool} in rowcast.yaml",
            expected=one_of(names.pools) if names.pools else "pools: in rowcast.yaml, which gives its rate",
            suggestion=nearest(pool, names.pools),
        )
    elif document.get(str, *at, "rate") is not None:
        document.report(at, "rate and pool exclude each other: a pool has its own rate", expected="one of them")


def _check_time(document: Document, where: Where, least: float, most: float, expected: str) -> None:
    text = document.get(str, *where)
    if text is not None and not least <= times.seconds(text) <= most:
        document.report(where, f"'{text}' is out of range", expected=expected)


def _check_schedule(document: Document, where: Where) -> None:
    cron = document.get(str, *where, "cron")
    if cron is not None and (found := times.cron_fault(cron)):
        document.report(
            (*where, "cron"),
            f"not a schedule of EventBridge Scheduler: {found[0]}",
            expected='six fields, like "0 7 * * ? *" for 7:00 every day',
            suggestion=found[1],
        )
    zone = document.get(str, *where, "timezone")
    zones = zoneinfo.available_timezones() if zone is not None else set()  # empty too where the system has none
    if zone is not None and zones and zone not in zones:
        document.report(
            (*where, "timezone"),
            f"there is no time zone {zone}",
            expected="a name of the IANA time zone database, like Europe/Berlin",
            suggestion=nearest(zone, zones),
        )


def _check_folder(document: Document, root: Path, where: Where) -> None:
    path = document.get(str, *where)
    if path is None or path.startswith("s3://"):
        return
    folder = (root / path).resolve()
    if not folder.is_relative_to(root.resolve()):
        document.report(
            where, f"{path} lies outside the project's folder", expected="a folder inside it, or s3://bucket/prefix"
        )
    elif not folder.is_dir():
        folders = [entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        document.report(
            where,
            f"there is no folder {path} in the project",
            expected="a folder that exists",
            suggestion=nearest(path, folders),
        )


def _check_certificate(document: Document, root: Path, where: Where) -> None:
    path = document.get(str, *where)
    if path is None:
        return
    file = root / path
    if not file.is_file():
        document.report(where, f"there is no file {path}", expected="a PEM file, relative to the project's folder")
    elif b"-----BEGIN CERTIFICATE-----" not in file.read_bytes():
        document.report(where, f"{path} holds no certificate", expected="PEM: -----BEGIN CERTIFICATE----- …")


def _check_source(document: Document, names: Known) -> None:
    source = document.get(str, "model", "source")
    if source is not None and names.sources is not None and source not in names.sources:
        document.report(
            ("model", "source"),
            f"there is no source {source} in rowcast.yaml",
            expected=one_of(names.sources),
            suggestion=nearest(source, names.sources),
        )


def query_file(root: Path, document: Document) -> Path | None:
    """Where `query_file` lies: in the project's folder, or else beside the sync's file."""
    name = document.get(str, "model", "query_file")
    if name is None:
        return None
    places = (root / name, (root / document.file).parent / name)
    return next((place for place in places if place.is_file()), None)


def _check_query(document: Document, names: Known) -> None:
    where: Where = ("model", "query")
    text = document.get(str, *where)
    first = document.texts.get(where)
    if (name := document.get(str, "model", "query_file")) is not None:
        where = ("model", "query_file")
        file = query_file(names.root, document)
        if file is None:
            document.report(
                where, f"there is no file {name}", expected="a path from the project's folder, or from the sync's file"
            )
            return
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (UnicodeDecodeError, OSError):
            document.report(where, f"{name} is not text in UTF-8")
            return
    kind = (names.sources or {}).get(document.get(str, "model", "source") or "") or "files"
    if text is None or kind not in ("files", "postgres"):
        return
    if found := query.fault(text, kind):
        document.report(
            where,
            f"{found.message} (line {found.line} of {name})" if name is not None else found.message,
            expected="one statement that begins with " + ", ".join(query.BEGINNINGS),
            suggestion=found.suggestion,
            line=None if name is not None or first is None else first + found.line - 1,
        )


def _check_function(document: Document, names: Known) -> None:
    where = ("destination", "function")
    function = document.get(str, *where)
    if function is None:
        return
    if functions.is_local(function):
        try:
            functions.find(names.root, function)
        except functions.FunctionFault as fault:
            document.report(
                where, str(fault), expected="./folder/file.py:handler in the project", suggestion=fault.suggestion
            )
    region = document.get(str, "destination", "region")
    if function.startswith("arn:") and region is not None and function.split(":")[3] != region:
        document.report(
            ("destination", "region"),
            f"the function lies in {function.split(':')[3]}, not in {region}",
            expected="the same region",
        )


def _check_messages(document: Document) -> None:
    """Lets the code that will make the messages judge how they are described."""
    from rowcast.message import TemplateError, check_text

    _check_message(document, ("message",))
    for operation in OPERATIONS:
        _check_message(document, ("triggers", operation, "message"))
        for name in ("source", "detail_type"):
            where = ("triggers", operation, name)
            text = document.get(str, *where)
            if text is None:
                continue
            try:
                check_text(text)
            except TemplateError as error:
                _report_template(document, where, error, f"no {name.replace('_', ' ')} can be made")


def _check_mask(document: Document) -> None:
    key = document.get(str, "model", "primary_key")
    keys = [key] if key is not None else document.get(list, "model", "primary_key") or []
    for index in range(len(document.get(list, "mask") or ())):
        name = document.get(str, "mask", index)
        if name is not None and name in keys:
            document.report(
                ("mask", index),
                f"{name} belongs to the primary key, by which rows are found and told apart",
                expected="columns outside the primary key",
            )


def _check_message(document: Document, at: Where) -> None:
    from rowcast.definition import Message
    from rowcast.message import TemplateError, check_message

    for name, kind in (("template", str), ("column", str), ("columns", dict)):
        where = (*at, name)
        described: dict[str, Any] = {name: document.get(kind, *where)}
        if described[name] is None or any(place[: len(where)] == where for place in document.broken):
            continue
        try:
            check_message(Message(**described))
        except TemplateError as error:
            _report_template(document, where, error, "no message can be made", expected="what renders to JSON")


def _report_template(
    document: Document, where: Where, error: TemplateError, what: str, expected: str | None = None
) -> None:
    """The line is the file's, where the text stands in it as it is; the place in the message is the template's own."""
    line = document.texts[where] + error.line - 1 if where in document.texts else None
    is_text = document.get(str, *where) is not None
    place = f" (line {error.line}, column {error.column} of the template)" if is_text else ""
    document.report(where, f"{what}: {error.message}{place}", expected=expected, line=line)
