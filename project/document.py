"""A YAML file as plain values that remember their lines.

Read as YAML 1.2: only `true` and `false` are booleans and there are no dates, so that a column named `on`, `no` or `y`
and a value such as `2026-11-20` stay text. Keys are always text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from project.model import Problem

Where = tuple[str | int, ...]
"""A place in a file: the keys and indexes that lead to it."""

T = TypeVar("T")
MOST_NODES = 50_000
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]{1,18}", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(rf"^(?:{_pattern})$"), list(_first))


_PLAIN: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": float,
    "null": lambda _: None,
}


@dataclass
class Document:
    """`lines`: per place the line of its key or item. `texts`: per text whose lines
    are those of the file the line on which it begins."""

    file: str
    value: Any = None
    lines: dict[Where, int] = field(default_factory=dict)
    texts: dict[Where, int] = field(default_factory=dict)
    broken: set[Where] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def report(
        self,
        where: Where,
        message: str,
        *,
        expected: str | None = None,
        suggestion: str | None = None,
        line: int | None = None,
        breaks: bool = True,
    ) -> None:
        """Notes a problem; if it `breaks`, what lies at or below `where` is not judged any further."""
        if breaks:
            self.broken.add(where)
        line = line if line is not None else self.line(where)
        self.problems.append(Problem(self.file, line, path_text(where), message, expected, suggestion))

    def line(self, where: Where) -> int | None:
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where)

    def get(self, kind: type[T], *where: str | int) -> T | None:
        """The value there, if it is of this kind and nothing is wrong with it."""
        value = self.value
        for depth, step in enumerate(where, start=1):
            if where[:depth] in self.broken:
                return None
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value if isinstance(value, kind) else None


def path_text(where: Where) -> str:
    """`triggers.changed.columns[0]`; names that would be unclear are quoted."""
    text = ""
    for step in where:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[\w-]+", step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text


def read(root: Path, file: str) -> Document:
    """The file with every problem of its YAML noted; `value` is None when it cannot be read at all."""
    document = Document(file)
    try:
        loader = _Loader((root / file).read_text(encoding="utf-8-sig"))
        node = loader.get_single_node()
        document.value = _Builder(document).build(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.report((), f"not valid YAML: {_fault(error)}", line=mark.line + 1 if mark else None)
    except yaml.YAMLError:
        document.report((), "not valid YAML: it holds a character that YAML does not allow")
    except UnicodeDecodeError:
        document.report((), "not text in UTF-8")
    except RecursionError:
        document.report((), "not valid here: nested too deeply")
    except OSError as error:
        document.report((), f"cannot be read: {error.strerror}")
    if not document.problems and document.value is None:
        document.report((), "the file is empty", line=1)
    return document


def _fault(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's own words, but for those that repeat a value."""
    if "undefined alias" in (error.problem or ""):
        return "an alias (*) of nothing; text that begins with * needs quotes"
    return ", ".join(part for part in (error.context, error.problem) if part)


class _Builder:
    """Makes values of one file's nodes, noting where each stands."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0
        self.open: list[int] = []

    def build(self, node: Any, where: Where) -> Any:
        self.count += 1
        self.document.lines.setdefault(where, node.start_mark.line + 1)
        if id(node) in self.open or self.count > MOST_NODES:
            self.document.report(where, "aliases (*) that repeat too much", line=node.start_mark.line + 1)
            return None
        self.open.append(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, where)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*where, index)) for index, item in enumerate(node.value)]
            return self.scalar(node, where)
        finally:
            self.open.pop()

    def mapping(self, node: Any, where: Where) -> dict[str, Any]:
        value: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.document.report(where, "a name must be text, not a list or mapping", line=line)
            elif key.tag == _TAG + "merge":
                merged |= self.merged(item, where)
            elif key.value in value:
                first = self.document.lines[(*where, key.value)]
                lines = f"on line {line}" if first == line else f"on line {first} and on line {line}"
                self.document.report((*where, key.value), f"given twice, {lines}", expected="once", line=line)
            else:
                self.document.lines[(*where, key.value)] = line
                value[key.value] = self.build(item, (*where, key.value))
        return merged | value

    def merged(self, node: Any, where: Where) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        value: dict[str, Any] = {}
        for part in reversed(parts):
            if isinstance(part, yaml.MappingNode):
                value |= self.build(part, where) or {}
            else:
                self.document.report(where, "<< takes mappings", line=part.start_mark.line + 1)
        return value

    def scalar(self, node: Any, where: Where) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind in _PLAIN:
            try:
                return _PLAIN[kind](text)
            except ValueError:
                self.document.report(where, f"not of the kind that its tag !!{kind} says")
                return None
        if kind not in ("str", "merge"):
            self.document.report(where, "a tag (!) has no meaning here", expected="text that begins with ! in quotes")
        if node.style == "|" or node.start_mark.line == node.end_mark.line:  # others are folded: lines become spaces
            self.document.texts[where] = node.start_mark.line + (2 if node.style == "|" else 1)
        return text
