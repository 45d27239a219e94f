"""Walks a document along its JSON Schema and says in words what does not fit.

Knows just the words of JSON Schema that `project.schema` uses; a test compares it with a full validator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from project.document import Document, Where
from project.nearest import nearest, one_of
from project.schema.words import Schema

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_WORDS = {"object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number"}


def check(document: Document, schema: Schema) -> None:
    """Reports to the document whatever does not fit the schema."""
    _Walk(document, schema).visit(document.value, schema, ())


class _Walk:
    def __init__(self, document: Document, root: Schema) -> None:
        self.document = document
        self.defs = root.get("$defs", {})

    def visit(self, value: Any, schema: Schema, where: Where) -> None:
        if where in self.document.broken:
            return
        schema = self.resolved(schema)
        choices = schema.get("oneOf", [])
        if choices and not _only_names(choices[0]):
            self.choose(value, schema, [self.resolved(choice) for choice in choices], where)
        elif not _is_kind(value, schema):
            self.wrong_kind(value, schema, where)
        elif "enum" in schema or "const" in schema:
            self.choice(value, schema, where)
        elif isinstance(value, dict):
            self.mapping(value, schema, where)
        elif isinstance(value, list):
            self.items(value, schema, where)
        elif isinstance(value, str):
            self.text(value, schema, where)
        elif value is not None:
            self.number(value, schema, where)

    def resolved(self, schema: Schema) -> Schema:
        return self.defs[schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema

    def choose(self, value: Any, schema: Schema, choices: list[Schema], where: Where) -> None:
        """Judges the value by the one choice that was most likely meant."""
        fitting = [choice for choice in choices if self.has_kind(value, choice)]
        expected = schema.get("errorMessage") or " or ".join(_expected(choice) for choice in choices)
        mapping = isinstance(value, dict) and bool(fitting)
        if schema.get("x-secret") and (not mapping or not any(_in_common(value, choice) for choice in fitting)):
            self.document.report(where, "a secret must not stand here as plain text", expected=expected)
        elif len(fitting) == 1:
            self.visit(value, fitting[0], where)
        elif mapping and all("type" in choice["properties"] for choice in fitting):
            self.by_type(value, fitting, where)
        elif mapping:
            self.visit(value, max(fitting, key=lambda choice: _in_common(value, choice)), where)
        elif not any(self.fits(value, choice) for choice in fitting):
            self.document.report(where, f"{_shown(value)} is not allowed here", expected=expected)

    def by_type(self, value: dict[str, Any], choices: list[Schema], where: Where) -> None:
        by_name = {choice["properties"]["type"]["const"]: choice for choice in choices}
        name = value.get("type")
        if "type" not in value:
            self.document.report(where, "the field type is missing", expected=one_of(by_name))
        elif not isinstance(name, str) or name not in by_name:
            self.document.report(
                (*where, "type"),
                f"{_shown(name)} is not known",
                expected=one_of(by_name),
                suggestion=nearest(str(name), by_name),
            )
        else:
            self.visit(value, by_name[name], where)

    def mapping(self, value: dict[str, Any], schema: Schema, where: Where) -> None:
        known = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in known:
                self.visit(item, known[name], (*where, name))
            elif rest is False:
                self.unknown(name, schema, where)
            elif isinstance(rest, dict):
                self.name(name, schema.get("propertyNames", {}), (*where, name))
                self.visit(item, rest, (*where, name))
        for name in schema.get("required", ()):
            if name not in value:
                self.missing(name, known, where)
        self.together(value, schema, where)
        for clause in schema.get("allOf", ()):
            if self.fits(value, clause["if"]):
                self.mapping(value, clause["then"], where)

    def unknown(self, name: str, schema: Schema, where: Where) -> None:
        hint = schema.get("x-hints", {}).get(name)
        known = schema["properties"]
        self.document.report(
            (*where, name),
            f"unknown field {name}" + (f": {hint}" if hint else ""),
            expected=one_of(known) if known else "no field",
            suggestion=None if hint else nearest(name, known),
        )

    def missing(self, name: str, known: Mapping[str, Schema], where: Where) -> None:
        expected = _expected(self.resolved(known.get(name, {})))
        self.document.report(where, f"the field {name} is missing", expected=expected, breaks=False)

    def together(self, value: dict[str, Any], schema: Schema, where: Where) -> None:
        """Fields of which one is wanted, or at most one, and mappings that may not be empty."""
        forms = schema.get("oneOf", ())
        choices = [choice["required"][0] for choice in forms if _only_names(choice)]
        given = [name for name in choices if name in value]
        if len(given) > 1:
            self.document.report(
                where, f"{' and '.join(given)} exclude each other", expected=schema["errorMessage"], breaks=False
            )
        elif (choices and not given and all(map(_only_names, forms))) or len(value) < schema.get("minProperties", 0):
            self.document.report(where, "something is missing", expected=_expected(schema), breaks=False)

    def items(self, value: list[Any], schema: Schema, where: Where) -> None:
        for index, item in enumerate(value):
            self.visit(item, schema.get("items", {}), (*where, index))
            if schema.get("uniqueItems") and item in value[:index]:
                self.document.report((*where, index), f"{_shown(item)} stands in the list twice", expected="each once")
        if len(value) < schema.get("minItems", 0):
            self.document.report(where, "the list is empty", expected="at least one")

    def name(self, name: str, schema: Schema, where: Where) -> None:
        if not _matches(schema.get("pattern", ""), name):
            self.document.report(where, f"{name!r} cannot be a name here", expected=schema["errorMessage"])

    def choice(self, value: Any, schema: Schema, where: Where) -> None:
        allowed = schema.get("enum", [schema.get("const")])
        if not any(_same(value, choice) for choice in allowed):
            self.document.report(
                where,
                f"{_shown(value)} is not allowed here",
                expected=_expected(schema),
                suggestion=nearest(value, [choice for choice in allowed if isinstance(choice, str)])
                if isinstance(value, str)
                else None,
            )

    def text(self, value: str, schema: Schema, where: Where) -> None:
        if len(value) < schema.get("minLength", 0):
            self.document.report(where, "the text is empty", expected=_expected(schema))
        elif "pattern" in schema and not _matches(schema["pattern"], value):
            shown = "the text" if schema.get("x-secret") else _shown(value)
            self.document.report(where, f"{shown} is not allowed here", expected=_expected(schema))

    def number(self, value: float, schema: Schema, where: Where) -> None:
        least, most = schema.get("minimum"), schema.get("maximum")
        if (least is not None and value < least) or (most is not None and value > most):
            expected = schema.get("errorMessage") or f"{least} to {most}"
            self.document.report(where, f"{value} is out of range", expected=expected)

    def wrong_kind(self, value: Any, schema: Schema, where: Where) -> None:
        expected = _expected(schema)
        if schema.get("type") == "string" and "errorMessage" not in schema and isinstance(value, int | float):
            expected += " (in quotes, if it is to be text)"
        shown = "the value" if schema.get("x-secret") else _shown(value)
        message = "there is no value" if value is None else f"{shown} is of the wrong type"
        self.document.report(where, message, expected=expected)

    def has_kind(self, value: Any, schema: Schema) -> bool:
        if "oneOf" in schema and "type" not in schema:
            return any(self.has_kind(value, self.resolved(choice)) for choice in schema["oneOf"])
        if "enum" in schema or "const" in schema:
            return any(_same(value, choice) for choice in schema.get("enum", [schema.get("const")]))
        return _is_kind(value, schema)

    def fits(self, value: Any, schema: Schema) -> bool:
        trial = Document(self.document.file, value)
        _Walk(trial, {"$defs": self.defs}).visit(value, schema, ())
        return not trial.problems


def _is_kind(value: Any, schema: Schema) -> bool:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return not kinds or any(
        isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds
    )


def _matches(pattern: str, text: str) -> bool:
    """As JSON Schema has it: letters and digits are those of ASCII, and $ is the very end."""
    return re.search(re.sub(r"\$$", r"\\Z", pattern), text, re.ASCII) is not None


def _same(value: Any, choice: Any) -> bool:
    return type(value) is type(choice) and bool(value == choice)


def _only_names(choice: Schema) -> bool:
    """Whether it is no form of its own but just says which field must be there."""
    return set(choice) == {"required"}


def _in_common(value: dict[str, Any], schema: Schema) -> int:
    return len(set(value) & set(schema.get("properties", {})))


def _expected(schema: Schema) -> str:
    """In words, what a value of this schema is."""
    if "errorMessage" in schema:
        return str(schema["errorMessage"])
    if "enum" in schema or "const" in schema:
        return " or ".join(str(choice) for choice in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    word = _WORDS.get(kind, "") if isinstance(kind, str) else _WORDS[kind[0]] if kind else ""
    if kind == "integer":
        word += f" from {schema['minimum']} to {schema['maximum']}"
    return (
        f"{word}: {schema['description']}"
        if word and "description" in schema
        else word or schema.get("description", "")
    )


def _shown(value: Any) -> str:
    """The value, short; mappings and lists by their kind only."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= 60 else text[:56] + "…'"
