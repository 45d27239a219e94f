"""The words that the schemas are built of.

`errorMessage` says in words what a value must be. `x-hints` says of a field that is known elsewhere where it belongs;
`x-secret` marks values that no message repeats.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

SYNC_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,39}$"
NAMED = "1 to 40 letters, digits, _ or -, beginning with a letter"
DURATION = r"^\d+(\.\d+)? ?(ms|s|m|h|milliseconds?|seconds?|minutes?|hours?)$"
LOCAL_FUNCTION = r"^\./(?:[^:/]+/)*[^:/]+\.py:[A-Za-z_]\w*$"
REGION = r"[a-z]{2}(-[a-z]+)+-\d"


def text(description: str, pattern: str | None = None, says: str | None = None, **more: Any) -> Schema:
    schema: Schema = {"type": "string", "description": description, "minLength": 1}
    if pattern:
        schema["pattern"] = pattern
    if says:
        schema["errorMessage"] = says
    return schema | more


def number(description: str, least: int, most: int, default: int) -> Schema:
    return {"type": "integer", "description": description, "minimum": least, "maximum": most, "default": default}


ON = (True, "on", "yes")
"""The values of a flag that is on."""


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
