"""Target functions that lie in the project: `./targets/welcome.py:handler`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from project.model import LocalFunction
from project.nearest import nearest
from project.schema.words import LOCAL_FUNCTION


class FunctionFault(Exception):
    """Why a local function cannot be used."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


def is_local(function: str) -> bool:
    return re.fullmatch(LOCAL_FUNCTION, function) is not None


def find(root: Path, function: str) -> LocalFunction:
    """The function that a destination names. Raises FunctionFault."""
    place, _, handler = function.rpartition(":")
    file = (root / place).resolve()
    if not file.is_relative_to(root.resolve()):
        raise FunctionFault(f"{place} lies outside the project's folder")
    if not file.is_file():
        beside = file.parent.glob("*.py") if file.parent.is_dir() else ()
        guess = nearest(file.name, [path.name for path in beside])
        raise FunctionFault(
            f"there is no file {place}", f"{place.rpartition('/')[0]}/{guess}:{handler}" if guess else None
        )
    name = file.stem if handler == "handler" else f"{file.stem}-{handler}"
    if not re.fullmatch(r"[\w-]{1,64}", name, re.ASCII):
        raise FunctionFault(f"the function's name would be {name!r}: letters, digits, _ and - only, at most 64")
    defined = _defined(file, place)
    if handler not in defined:
        guess = nearest(handler, defined)
        raise FunctionFault(f"{place} defines no function {handler}", f"{place}:{guess}" if guess else None)
    return LocalFunction(name, file, handler)


def _defined(file: Path, place: str) -> set[str]:
    """The names that a module surely or perhaps has at its top level."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise FunctionFault(f"{place} is not valid Python" + (f" (line {line})" if line else "")) from None
    return {name for statement in body for name in _names(statement)}


def _names(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name for alias in aliases]
        case ast.Assign() | ast.AnnAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        case ast.If() | ast.Try() | ast.With():
            inner = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)]
            handlers = statement.handlers if isinstance(statement, ast.Try) else []
            return [name for part in [*inner, *(each for h in handlers for each in h.body)] for name in _names(part)]
    return []
