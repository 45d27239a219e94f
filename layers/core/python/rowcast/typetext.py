"""The text of a DuckDB type, such as STRUCT(a INTEGER, "b c" DECIMAL(9,2)[]), as a tree."""

from __future__ import annotations

import re

import msgspec

_TOKEN = re.compile(r"""\s*(?:("(?:[^"]|"")*")|('(?:[^']|'')*')|([(),\[\]])|([^\s(),\[\]"']+))""")
_CLOSING = (")", "]", ",", "")
_SAME = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE", "TIMETZ": "TIME WITH TIME ZONE", "DATETIME": "TIMESTAMP"}


class Type(msgspec.Struct, frozen=True):
    """`name` is upper case; LIST also stands for arrays of a fixed length. Children have names in a STRUCT only."""

    name: str
    children: tuple[tuple[str, Type], ...] = ()
    parameters: tuple[int, ...] = ()


def parse(text: str) -> Type:
    """A type that cannot be taken apart comes back as a whole, under its own text as name."""
    parser = _Parser(text)
    try:
        kind = parser.type()
    except (ValueError, IndexError):
        return Type(text)
    return kind if parser.peek() == "" else Type(text)


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = [str(match[match.lastindex or 0]) for match in _TOKEN.finditer(text)]
        self.position = 0

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        self.position += 1
        return self.tokens[self.position - 1]

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise ValueError

    def type(self) -> Type:
        kind = self.plain()
        while self.peek() == "[":
            while self.take() != "]":
                pass
            kind = Type("LIST", (("", kind),))
        return kind

    def plain(self) -> Type:
        words = [self.take()]
        while self.peek() not in (*_CLOSING, "(", "["):
            words.append(self.take())
        name = " ".join(words).strip('"').upper()
        name = _SAME.get(name, name)
        if self.peek() != "(":
            return Type(name)
        self.take()
        return self.arguments(name)

    def arguments(self, name: str) -> Type:
        if name in ("STRUCT", "MAP"):
            children = self.children(named=name == "STRUCT")
            if len(children) < 1 + (name == "MAP"):
                raise ValueError
            return Type(name, children)
        inside: list[str] = []
        depth = 1
        while depth:
            inside.append(self.take())
            depth += {"(": 1, ")": -1}.get(inside[-1], 0)
        return Type(name, parameters=tuple(int(part) for part in inside if part.isdecimal()))

    def children(self, *, named: bool) -> tuple[tuple[str, Type], ...]:
        found: list[tuple[str, Type]] = []
        while True:
            name = self.identifier() if named else ""
            found.append((name, self.type()))
            if self.take() == ")":
                return tuple(found)

    def identifier(self) -> str:
        token = self.take()
        return token[1:-1].replace('""', '"') if token.startswith('"') else token
