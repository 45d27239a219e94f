"""The form of `rowcast.yaml` and of `syncs/*.yaml`, as JSON Schema: what validation walks over and editors complete from.

`errorMessage` says in words what a value must be. `x-hints` says of a field that is known elsewhere where it belongs;
`x-secret` marks values that no message repeats.

`python -m project.schema` writes both schemas to docs/reference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SYNC_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
DURATION = r"^\d+(\.\d+)? ?(ms|s|m|h|milliseconds?|seconds?|minutes?|hours?)$"
LOCAL_FUNCTION = r"^\./(?:[^:/]+/)*[^:/]+\.py:[A-Za-z_]\w*$"
_REGION = r"[a-z]{2}(-[a-z]+)+-\d"


def text(description: str, pattern: str | None = None, says: str | None = None, **more: Any) -> Schema:
    schema: Schema = {"type": "string", "description": description, "minLength": 1}
    if pattern:
        schema["pattern"] = pattern
    if says:
        schema["errorMessage"] = says
    return schema | more


def number(description: str, least: int, most: int, default: int) -> Schema:
    return {"type": "integer", "description": description, "minimum": least, "maximum": most, "default": default}


def flag(description: str, default: bool) -> Schema:
    return {
        "enum": [True, False, "on", "off", "yes", "no"],
        "description": description,
        "default": default,
        "errorMessage": "true or false",
    }


def fields(description: str, properties: Schema, required: tuple[str, ...] = (), **more: Any) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    } | more


def kind(name: str, description: str, properties: Schema, required: tuple[str, ...] = (), **more: Any) -> Schema:
    """One of several objects that their `type` tells apart."""
    return fields(description, {"type": {"const": name}} | properties, ("type", *required), **more)


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def names(description: str, **more: Any) -> Schema:
    return {"type": "array", "description": description, "items": text("a name"), "uniqueItems": True} | more


SECRET: Schema = {
    "description": "A reference to a secret; the secret itself never stands in these files.",
    "x-secret": True,
    "errorMessage": "a reference: {secret: name in Secrets Manager}, {parameter: name in Parameter Store} or {env: VARIABLE}",
    "oneOf": [
        fields(
            "A secret in Secrets Manager.",
            {
                "secret": text(
                    "its name or ARN", r"^[\w/+=.@:-]{1,512}$", "a name or ARN of Secrets Manager", **{"x-secret": True}
                ),
                "key": text("the field to read when the secret is a JSON object", default="password"),
            },
            ("secret",),
        ),
        fields(
            "A SecureString in Parameter Store.",
            {
                "parameter": text(
                    "its name or ARN", r"^[\w/.:-]{1,2048}$", "a name or ARN of Parameter Store", **{"x-secret": True}
                ),
                "key": text("the field to read when the value is a JSON object", default="password"),
            },
            ("parameter",),
        ),
        fields(
            "An environment variable, for runs on this machine.",
            {"env": text("its name", r"^[A-Za-z_]\w*$", "a variable's name", **{"x-secret": True})},
            ("env",),
        ),
    ],
}

SOURCE: Schema = {
    "description": "A database or a place with files.",
    "oneOf": [
        kind(
            "files",
            "CSV, JSON, JSON Lines and Parquet files, read by SQL.",
            {
                "path": text(
                    "a folder of the project, or s3://bucket/prefix",
                    r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|(?!s3:|/|[A-Za-z]+://).+)$",
                    "a folder of the project (relative), or s3://bucket/prefix",
                )
            },
            ("path",),
        ),
        kind(
            "postgres",
            "PostgreSQL, and what speaks its protocol.",
            {
                "host": text("the server's name or address"),
                "port": number("the server's port", 1, 65535, 5432),
                "database": text("the database's name"),
                "user": text("the role to log in as"),
                "password": ref("secret"),
                "tls": {
                    "enum": ["verify", "require", "off"],
                    "default": "verify",
                    "description": "verify checks the server's certificate and name; require only encrypts",
                },
                "tls_ca_file": text("a PEM file with the authority to trust in place of the system's"),
                "statement_timeout": text(
                    "how long the query may take", DURATION, "a time such as 5 minutes", default="14 minutes"
                ),
            },
            ("host", "database", "user"),
        ),
    ],
}

ALERT: Schema = {
    "description": "A place that hears of failed and held runs.",
    "oneOf": [
        kind(
            "email",
            "An e-mail address.",
            {"address": text("the address", r"^[^@\s]+@[^@\s]+$", "an e-mail address")},
            ("address",),
        ),
        kind(
            "sms",
            "A telephone number.",
            {
                "number": text(
                    "the number", r"^\+[1-9]\d{6,14}$", 'a number in international form, in quotes: "+4930123456"'
                )
            },
            ("number",),
        ),
        kind("slack", "A Slack channel.", {"webhook": ref("secret")}, ("webhook",)),
        kind("pagerduty", "A PagerDuty service.", {"routing_key": ref("secret")}, ("routing_key",)),
        kind(
            "webhook",
            "Any HTTPS endpoint.",
            {
                "url": {
                    "description": "its URL, or a reference to a secret that holds it",
                    "errorMessage": "an https:// URL, or a reference to a secret: {secret: …}, {parameter: …}, {env: …}",
                    "oneOf": [
                        text("its URL", r"^https://[^\s]+$", "an https:// URL", **{"x-secret": True}),
                        ref("secret"),
                    ],
                }
            },
            ("url",),
        ),
        kind(
            "eventbridge",
            "A bus in this account.",
            {"bus": ref("bus"), "source": ref("event_source"), "detail_type": ref("detail_type")},
            ("bus",),
        ),
    ],
}

SCHEDULE: Schema = {
    "description": "When the sync runs by itself.",
    "errorMessage": '{every: 15 minutes}, {cron: "0 7 * * ? *", timezone: Europe/Berlin} or manual',
    "oneOf": [
        {"const": "manual", "description": "Only when somebody starts it."},
        fields(
            "At a fixed rate.",
            {
                "every": text(
                    "the rate",
                    r"^[1-9]\d{0,5} (minutes?|hours?|days?)$",
                    "a whole number of minutes, hours or days, at least 1 minute: 15 minutes, 1 hour, 2 days",
                )
            },
            ("every",),
            **{"x-hints": {"timezone": "a time zone goes with cron", "cron": "every and cron exclude each other"}},
        ),
        fields(
            "At times of the calendar.",
            {
                "cron": text("EventBridge Scheduler's six fields: minute hour day month weekday year"),
                "timezone": text("an IANA time zone", default="UTC"),
            },
            ("cron",),
            **{"x-hints": {"every": "every and cron exclude each other"}},
        ),
    ],
}

ACCOUNT: Schema = {
    "description": "Whose account the destination lies in; without it, the deployment's own.",
    "errorMessage": "{role_arn: …, external_id: …} or {access_key_secret: name}",
    "oneOf": [
        fields(
            "A role to assume.",
            {
                "role_arn": text(
                    "the role's ARN",
                    r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}$",
                    "a role's ARN, like arn:aws:iam::111122223333:role/rowcast",
                ),
                "external_id": text(
                    "the id that the role's trust policy asks for",
                    r"^[\w+=,.@:/-]{2,1224}$",
                    "2 to 1224 letters, digits or _+=,.@:/- (in quotes if it looks like a number)",
                ),
            },
            ("role_arn",),
            **{"x-hints": {"access_key_secret": "role_arn and access_key_secret exclude each other"}},
        ),
        fields(
            "An access key kept as a secret.",
            {
                "access_key_secret": {
                    "description": "the secret's name, or a reference to it",
                    "errorMessage": "a secret's name, {secret: name}, {parameter: name} or {env: VARIABLE}",
                    "oneOf": [
                        text(
                            "its name in Secrets Manager",
                            r"^[\w/+=.@:-]{1,512}$",
                            "a name or ARN of Secrets Manager",
                            **{"x-secret": True},
                        ),
                        ref("secret"),
                    ],
                }
            },
            ("access_key_secret",),
            **{"x-hints": {"external_id": "an external id goes with role_arn"}},
        ),
    ],
}

RETRY = fields(
    "What happens inside the run to a change that was not accepted; afterwards the next run owes it.",
    {
        "immediate": number("further attempts inside the run", 0, 20, 3),
        "backoff": text(
            "the first wait, doubled each time, with jitter", DURATION, "a time such as 1s or 500ms", default="1s"
        ),
    },
)

LIMITS = fields(
    "What the destination can take.",
    {
        "rate": text(
            "changes sent at most",
            r"^[1-9]\d{0,8} per (second|minute|hour)$",
            "changes per second, minute or hour: 600 per minute",
        ),
        "concurrency": number("calls in flight at once", 1, 1000, 10),
        "rows_per_partition": number("rows that are diffed at once", 1, 5_000_000, 250_000),
    },
)


_SHARE = "a share: 15% or 0.15"


def share(description: str, default: float) -> Schema:
    return {
        "description": description,
        "default": default,
        "errorMessage": _SHARE,
        "oneOf": [
            {"type": "string", "pattern": r"^(100(\.0+)?|\d{1,2}(\.\d+)?) ?%$", "errorMessage": _SHARE},
            {"type": "number", "minimum": 0, "maximum": 1, "errorMessage": _SHARE},
        ],
    }


GUARD = fields(
    "When a run is held for a person to look at, instead of sending.",
    {
        "max_removed": share("the share of rows that may be gone", 0.15),
        "max_changed": share("the share of rows that may be changed", 0.5),
        "max_rejected": share("the share of changes that may be rejected for one same reason", 0.2),
        "allow_empty": flag("whether the query may suddenly give no row at all", False),
    },
)

MESSAGE = {
    "description": "What is sent for one change; without it, all columns.",
    "errorMessage": "one of template, column, columns",
} | fields(
    "What is sent for one change; without it, all columns.",
    {
        "template": text("Liquid that renders to JSON"),
        "column": text("a column that already holds the JSON"),
        "columns": {
            "type": "object",
            "description": "output name: column",
            "additionalProperties": text("a column"),
            "minProperties": 1,
        },
    },
    oneOf=[{"required": ["template"]}, {"required": ["column"]}, {"required": ["columns"]}],
)

_COLUMNS = names("send only when one of these columns changed", minItems=1)
_EVENT = {"bus": ref("bus"), "source": ref("event_source"), "detail_type": ref("detail_type")}
_ONLY_CHANGED = {
    "columns": "columns belongs to triggers.changed: every column of an added or removed row is new or gone"
}
_ONLY_EVENTS = {name: f"{name} belongs to eventbridge; a function is named in destination.function" for name in _EVENT}


def _event(description: str, more: Schema, hints: dict[str, str]) -> Schema:
    return {
        "description": description,
        "errorMessage": "{bus: …, source: …, detail_type: …}, or false",
        "oneOf": [
            {"enum": [False, "off", "no"], "description": "not sent"},
            fields(description, _EVENT | more, ("bus", "source", "detail_type"), **{"x-hints": hints}),
        ],
    }


def _invocation(description: str, more: Schema, hints: dict[str, str]) -> Schema:
    return {
        "description": description,
        "errorMessage": "true, false or a mapping",
        "oneOf": [
            flag(description, True),
            {"type": "null", "description": "sent"},
            fields(description, more, **{"x-hints": hints | _ONLY_EVENTS}),
        ],
    }


def _triggers(one: Any) -> Schema:
    return fields(
        "The kinds of change that are sent; the others are passed over.",
        {
            "added": one("Rows that are new.", {}, _ONLY_CHANGED),
            "changed": one("Rows of which a column changed.", {"columns": _COLUMNS}, {}),
            "removed": one("Rows that are gone.", {}, _ONLY_CHANGED),
        },
        minProperties=1,
        errorMessage="at least one of added, changed, removed",
    )


DESTINATION: Schema = {
    "description": "Where the changes go.",
    "oneOf": [
        kind(
            "eventbridge",
            "One event per change; each trigger names its bus.",
            {"region": ref("region"), "account": ref("account")},
            **{
                "x-hints": {
                    "bus": "each trigger names its bus: triggers.added.bus",
                    "source": "each trigger names its source: triggers.added.source",
                    "detail_type": "each trigger names its detail type: triggers.added.detail_type",
                    "batch_size": "batch_size belongs to lambda; events are packed by themselves",
                    "function": "function belongs to type: lambda",
                }
            },
        ),
        kind(
            "lambda",
            "Synchronous invocations of a function.",
            {
                "function": text(
                    "an ARN, qualified or not, a function's name, or ./file.py:handler in the project",
                    rf"^(arn:aws[a-z-]*:lambda:{_REGION}:\d{{12}}:function:[\w-]{{1,64}}(:[\w$-]{{1,128}})?|[\w-]{{1,64}}(:[\w$-]{{1,128}})?"
                    rf"|{LOCAL_FUNCTION[1:-1]})$",
                    "arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER], a function's name, or ./folder/file.py:handler",
                ),
                "batch_size": number("rows an invocation carries at most", 1, 1000, 1),
                "region": ref("region"),
                "account": ref("account"),
            },
            ("function",),
            **{"x-hints": {"bus": "bus belongs to type: eventbridge, in each trigger"}},
        ),
    ],
}

MODEL = {
    "errorMessage": "exactly one of query, query_file",
} | fields(
    "The query whose result is watched.",
    {
        "source": text("a source of rowcast.yaml"),
        "query": {"type": "string", "description": "one SELECT statement"},
        "query_file": text("a file with one SELECT statement, in the project's folder or beside the sync's file"),
        "primary_key": {
            "description": "the column, or the columns, that tell one row from another",
            "errorMessage": "a column's name, or a list of them",
            "oneOf": [text("a column"), names("columns", minItems=1)],
        },
    },
    ("source", "primary_key"),
    oneOf=[{"required": ["query"]}, {"required": ["query_file"]}],
)

ALERTS = names("alert channels of rowcast.yaml")

_DEFS: Schema = {
    "secret": SECRET,
    "region": text("the AWS region; without it, the deployment's own", rf"^{_REGION}$", "a region, like eu-west-1"),
    "account": ACCOUNT,
    "schedule": SCHEDULE,
    "retry": RETRY,
    "limits": LIMITS,
    "guard": GUARD,
    "bus": text(
        "an event bus: its name or ARN",
        rf"^(arn:aws[a-z-]*:events:{_REGION}:\d{{12}}:event-bus/)?[\w./-]{{1,256}}$",
        "a bus's name (letters, digits, . - _ /) or ARN",
    ),
    "event_source": text(
        "the event's source",
        r"^(?!aws\.)[^\s].{0,255}$",
        "1 to 256 characters that do not begin with aws., which AWS keeps for itself",
    ),
    "detail_type": text("the event's detail type", r"^.{1,128}$", "1 to 128 characters"),
    "eventbridge_triggers": _triggers(_event),
    "lambda_triggers": _triggers(_invocation),
}


def _when(destination: str) -> Schema:
    given = {"properties": {"type": {"const": destination}}, "required": ["type"], "type": "object"}
    return {
        "if": {"properties": {"destination": given}, "required": ["destination"]},
        "then": {"properties": {"triggers": ref(f"{destination}_triggers")}},
    }


def _root(
    title: str, description: str, properties: Schema, required: tuple[str, ...], defs: tuple[str, ...], **more: Any
) -> Schema:
    return {"$schema": DRAFT, "title": title} | fields(
        description, properties, required, **more, **{"$defs": {name: _DEFS[name] for name in defs}}
    )


PROJECT = _root(
    "rowcast.yaml",
    "Sources, alert channels and defaults of a folder of syncs.",
    {
        "name": text(
            "names the deployment: its stack and what lies in it",
            r"^[A-Za-z][A-Za-z0-9-]{0,39}$",
            "1 to 40 letters, digits or -, beginning with a letter",
            default="rowcast",
        ),
        "sources": {
            "type": "object",
            "description": "name: what to connect to",
            "minProperties": 1,
            "errorMessage": "at least one source",
            "propertyNames": {
                "pattern": r"^[A-Za-z][A-Za-z0-9_-]{0,39}$",
                "errorMessage": "1 to 40 letters, digits, _ or -, beginning with a letter",
            },
            "additionalProperties": SOURCE,
        },
        "alerts": {
            "type": ["object", "null"],
            "description": "name: a channel",
            "propertyNames": {
                "pattern": r"^[A-Za-z][A-Za-z0-9_-]{0,39}$",
                "errorMessage": "1 to 40 letters, digits, _ or -, beginning with a letter",
            },
            "additionalProperties": ALERT,
        },
        "defaults": fields(
            "What holds for every sync that does not say otherwise.",
            {
                "retry": ref("retry"),
                "limits": ref("limits"),
                "guard": ref("guard"),
                "alerts": ALERTS,
                "schedule": ref("schedule"),
            },
        )
        | {"type": ["object", "null"]},
    },
    ("sources",),
    ("secret", "retry", "limits", "guard", "schedule", "bus", "event_source", "detail_type"),
    **{"x-hints": {"syncs": "each sync is a file of its own in the folder syncs"}},
)

SYNC = _root(
    "a sync",
    "One sync; the file's name is the sync's name.",
    {
        "model": MODEL,
        "schedule": ref("schedule"),
        "destination": DESTINATION,
        "triggers": {"description": "The kinds of change that are sent."},
        "message": MESSAGE | {"type": ["object", "null"]},
        "initial_sync": {
            "enum": ["skip", "backfill"],
            "default": "skip",
            "description": "what becomes of the rows that are there at the first run",
        },
        "retry": ref("retry"),
        "limits": ref("limits"),
        "guard": ref("guard"),
        "alerts": ALERTS,
    },
    ("model", "destination", "triggers"),
    tuple(name for name in _DEFS),
    allOf=[_when("eventbridge"), _when("lambda")],
    **{"x-hints": {"name": "the file's name is the sync's name"}},
)


def schemas() -> dict[str, Schema]:
    """The published schemas by file name."""
    return {"rowcast.schema.json": PROJECT, "sync.schema.json": SYNC}


def files() -> dict[str, str]:
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas().items()}


def write(folder: Path) -> None:
    for name, content in files().items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parents[1] / "docs" / "reference")
