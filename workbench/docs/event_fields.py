"""docs/reference/event-fields.md: the fields of the events, from their published schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HEAD = """# Fields of events

Made by `make reference` from the schemas in `docs/reference/events/`. [Events](events.md) says when they come.
"""
WORDS: dict[str, str] = {"string": "text", "integer": "whole number"}


def page(folder: Path) -> str:
    schemas = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.schema.json"))]
    return "\n".join([HEAD, *(_section(schema) for schema in schemas)])


def _section(schema: dict[str, Any]) -> str:
    needed = set(schema.get("required", []))
    lines = [f"## {schema['title']}\n", f"{schema['description']}\n", "| field | value | meaning |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        always = "" if name in needed else " (not always there)"
        lines.append(f"| `{name}` | {_kind(field)}{always} | {field.get('description', '')} |")
    return "\n".join(lines) + "\n"


def _kind(field: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    kinds: list[str] = field["type"] if isinstance(field["type"], list) else [field["type"]]
    if kinds == ["array"]:
        return f"list of {_kind(field['items'])}"
    return " or ".join(WORDS.get(kind, kind) for kind in kinds)
