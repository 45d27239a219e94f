"""The form of `rowcast.yaml` and `syncs/*.yaml`, as JSON Schema: validation walks over it, editors complete from it."""

from __future__ import annotations

import json
from typing import Any

from project.schema.parts import ACCOUNT, ALERTS, GUARD, LIMITS, POOLS, RETRY, SCHEDULE
from project.schema.sources import ALERT, ALERT_SECRET, SECRET, SOURCE
from project.schema.syncs import DESTINATION, MESSAGE, MODEL, event, invocation, triggers
from project.schema.words import NAME, NAMED, REGION, Schema, fields, names, ref, text

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_TEMPLATE = r"[\s\S]*\{[{%][\s\S]*"
_DEFS: Schema = {
    "secret": SECRET,
    "alert_secret": ALERT_SECRET,
    "region": text("the AWS region; without it, the deployment's own", rf"^{REGION}$", "a region, like eu-west-1"),
    "account": ACCOUNT,
    "schedule": SCHEDULE,
    "retry": RETRY,
    "limits": LIMITS,
    "guard": GUARD,
    "bus": text(
        "an event bus: its name or ARN",
        rf"^(arn:aws[a-z-]*:events:{REGION}:\d{{12}}:event-bus/)?[\w./-]{{1,256}}$",
        "a bus's name (letters, digits, . - _ /) or ARN",
    ),
    "event_source_or_template": text(
        "the event's source, which may be a Liquid template",
        rf"^(?!aws\.)([^\s].{{0,255}}|{_TEMPLATE})$",
        "1 to 256 characters that do not begin with aws., which AWS keeps for itself, or a Liquid template",
    ),
    "detail_type_or_template": text(
        "the event's detail type, which may be a Liquid template",
        rf"^(.{{1,128}}|{_TEMPLATE})$",
        "1 to 128 characters, or a Liquid template",
    ),
    "message": MESSAGE,
    "eventbridge_triggers": triggers(event),
    "lambda_triggers": triggers(invocation),
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
    "sources, alert channels and defaults of a folder of syncs",
    {
        "name": text(
            "names the deployment: its stack and what lies in it",
            r"^[A-Za-z][A-Za-z0-9-]{0,39}$",
            "1 to 40 letters, digits or -, beginning with a letter",
            default="Rowcast",
        ),
        "sources": {
            "type": "object",
            "description": "name: what to connect to",
            "minProperties": 1,
            "errorMessage": "at least one source",
            "propertyNames": {"pattern": NAME, "errorMessage": NAMED},
            "additionalProperties": SOURCE,
        },
        "alerts": {
            "type": ["object", "null"],
            "description": "name: a channel",
            "propertyNames": {"pattern": NAME, "errorMessage": NAMED},
            "additionalProperties": ALERT,
        },
        "alarms": names("alert channels that are told of alarms, too; without it, all of them"),
        "pools": POOLS,
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
    ("secret", "alert_secret", "retry", "limits", "guard", "schedule", "bus"),
    **{"x-hints": {"syncs": "each sync is a file of its own in the folder syncs"}},
)

SYNC = _root(
    "a sync",
    "the fields of one sync, whose name is the file's name",
    {
        "model": MODEL,
        "schedule": ref("schedule"),
        "destination": DESTINATION,
        "triggers": {"description": "The kinds of change that are sent."},
        "message": ref("message"),
        "mask": names("columns of which no value appears but in the message itself"),
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
    tuple(_DEFS),
    allOf=[_when("eventbridge"), _when("lambda")],
    **{"x-hints": {"name": "the file's name is the sync's name"}},
)


def schemas() -> dict[str, Schema]:
    """The published schemas by file name."""
    return {"rowcast.schema.json": PROJECT, "sync.schema.json": SYNC}


def files() -> dict[str, str]:
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas().items()}
