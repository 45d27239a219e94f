"""The forms of what only a sync has: model, destination, triggers, message."""

from __future__ import annotations

from typing import Any

from project.schema.words import LOCAL_FUNCTION, REGION, Schema, fields, flag, kind, names, number, ref, text

_KINDS = ("template", "column", "columns")
_PART: Schema = {
    "description": "a part of the message",
    "errorMessage": "a column, {column: …, when_null: omit} or {value: …}",
    "oneOf": [
        text("a column"),
        fields(
            "a column",
            {
                "column": text("a column"),
                "when_null": {
                    "enum": ["send", "omit"],
                    "default": "send",
                    "description": "whether a null is sent or left out",
                },
            },
            ("column",),
            **{"x-hints": {"value": "a part is a column or a constant value"}},
        ),
        fields(
            "a constant",
            {"value": {"description": "any value, the same for every row"}},
            ("value",),
            **{"x-hints": {"column": "a part is a column or a constant value"}},
        ),
    ],
}
_MESSAGE = {"errorMessage": "one of template, column, columns"} | fields(
    "made of the row",
    {
        "template": text("Liquid that renders to JSON"),
        "column": text("a column that already holds the JSON"),
        "columns": {
            "type": "object",
            "description": "output name, dots nest: a column, {column: …, when_null: omit} or {value: …}",
            "additionalProperties": _PART,
            "minProperties": 1,
        },
        "metadata": flag("puts the message into an envelope beside where it comes from and the row before", False),
        "oversize": {
            "enum": ["reject", "s3"],
            "default": "reject",
            "description": "what becomes of a message that the destination cannot carry: s3 sends a pointer to it",
        },
    },
    oneOf=[
        *({"required": [name]} for name in _KINDS),
        {"not": {"anyOf": [{"required": [name]} for name in _KINDS]}},
    ],
    minProperties=1,
)
MESSAGE: Schema = {
    "description": "What is sent for one change; without it, all columns.",
    "errorMessage": "a mapping with template, column or columns",
    "oneOf": [_MESSAGE, {"type": "null", "description": "all columns"}],
}

_QUALIFIED = r"[\w-]{1,64}(:[\w$-]{1,128})?"
FUNCTION = rf"^(arn:aws[a-z-]*:lambda:{REGION}:\d{{12}}:function:{_QUALIFIED}|{_QUALIFIED}|{LOCAL_FUNCTION[1:-1]})$"
_COLUMNS = names("send only when one of these columns changed", minItems=1)
_EVENT = {
    "bus": ref("bus"),
    "source": ref("event_source_or_template"),
    "detail_type": ref("detail_type_or_template"),
}
_OWN_MESSAGE = {"message": ref("message")}
_ONLY_CHANGED = {
    "columns": "columns belongs to triggers.changed: every column of an added or removed row is new or gone"
}
_ONLY_EVENTS = {name: f"{name} belongs to eventbridge; a function is named in destination.function" for name in _EVENT}


def event(description: str, more: Schema, hints: dict[str, str]) -> Schema:
    return {
        "description": description,
        "errorMessage": "{bus: …, source: …, detail_type: …}, or false",
        "oneOf": [
            {"enum": [False, "off", "no"], "description": "not sent"},
            fields(description, _EVENT | _OWN_MESSAGE | more, ("bus", "source", "detail_type")) | {"x-hints": hints},
        ],
    }


def invocation(description: str, more: Schema, hints: dict[str, str]) -> Schema:
    return {
        "description": description,
        "errorMessage": "true, false or a mapping",
        "oneOf": [
            flag(description, True),
            {"type": "null", "description": "sent"},
            fields(description, _OWN_MESSAGE | more) | {"x-hints": hints | _ONLY_EVENTS},
        ],
    }


def triggers(one: Any) -> Schema:
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
        )
        | {
            "x-hints": {
                "bus": "each trigger names its bus: triggers.added.bus",
                "source": "each trigger names its source: triggers.added.source",
                "detail_type": "each trigger names its detail type: triggers.added.detail_type",
                "batch_size": "batch_size belongs to lambda; events are packed by themselves",
                "function": "function belongs to type: lambda",
            }
        },
        kind(
            "lambda",
            "Synchronous invocations of a function.",
            {
                "function": text(
                    "an ARN, qualified or not, a function's name, or ./file.py:handler in the project",
                    FUNCTION,
                    "arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER], a name, or ./folder/file.py:handler",
                ),
                "batch_size": number("rows an invocation carries at most", 1, 1000, 1),
                "region": ref("region"),
                "account": ref("account"),
            },
            ("function",),
        )
        | {"x-hints": {"bus": "bus belongs to type: eventbridge, in each trigger"}},
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
