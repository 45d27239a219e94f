"""What is wrong with a template, and how JSON errors are told without showing the JSON."""

from __future__ import annotations

import re

import msgspec

from rowcast.errors import DefinitionInvalid


class TemplateError(DefinitionInvalid):
    """A message that no row can be put into safely. `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Both from 1; an index beyond the text is its end."""
    before = text[: max(index, 0)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


_KINDS = {
    "invalid character": "unexpected character",
    "trailing characters": "more text after its end",
    "expected ':'": "`:` is missing",
    "expected ',' or '}'": "`,` or `}` is missing",
    "expected ',' or ']'": "`,` or `]` is missing",
    "object keys must be strings": "a name without quotes",
    "trailing comma in array": "a comma before `]`",
    "trailing comma in object": "a comma before `}`",
    "invalid number": "not a number",
    "invalid escape character in string": "an unknown escape",
}
_DECODE_ERROR = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")


def json_problem(error: Exception) -> str:
    """How a text fails to be JSON: words of our own, nothing of the text, the same for all rows that fail alike."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "half a surrogate pair, which is no Unicode text"
    found = _DECODE_ERROR.match(str(error)) if isinstance(error, msgspec.DecodeError) else None
    if found:
        return _KINDS.get(found[1], "malformed")
    if isinstance(error, msgspec.ValidationError) or not isinstance(error, msgspec.DecodeError):
        return "a number out of range"
    return "it ends too early or has half a surrogate pair"


def json_problem_index(error: Exception, text: str) -> int:
    """The place in `text` that `json_problem` speaks of; its end when there is none."""
    found = _DECODE_ERROR.match(str(error))
    return len(text.encode()[: int(found[2])].decode(errors="ignore")) if found else len(text)
