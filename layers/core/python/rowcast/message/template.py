"""Templates: compiled once, rendered per change. The only module of the core that leads to the Liquid library."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.exceptions import (
    ContextDepthError,
    LiquidError,
    LiquidTypeError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
)
from liquid.output import LimitedStringIO
from liquid.template import BoundTemplate

from rowcast.errors import MessageInvalid
from rowcast.message import nodes as limits
from rowcast.message.checks import check_expressions, syntax_problem
from rowcast.message.compiler import Code, compiled
from rowcast.message.errors import TemplateError, json_problem, json_problem_index, line_and_column
from rowcast.message.expressions import Unknown
from rowcast.message.nodes import Context, environment
from rowcast.message.proof import written_by
from rowcast.message.run import RunInfo
from rowcast.message.runtime import MAX_TEXT, GiveUp, whole
from rowcast.message.states import Tracker
from rowcast.message.values import RowRefused
from rowcast.models import Change, from_json, to_json
from rowcast.ports import Render

_EXPECTED = {
    LoopIterationLimitError: f"more than {limits.MAX_ITERATIONS} loop iterations",
    OutputStreamLimitError: f"more than {limits.MAX_OUTPUT} bytes of text",
    LocalNamespaceLimitError: f"more than {limits.MAX_VARIABLES} bytes in variables",
    ContextDepthError: "loops nested too deeply",
    LiquidTypeError: "a value has a type that this cannot work on",
}


class Template:
    """A template that can be rendered safely: by code that is compiled from its tree, and by the interpreter, which
    has the last word. Both walk the same tree, with a way of writing set on each output.

    `proven`: the code's text is compact JSON. `interpreted`: what the compiler does not know, and where; then every row
    is interpreted. `mended`: rows that the code gave up on, so that they were rendered twice.
    """

    def __init__(self, source: str, bound: BoundTemplate, tracker: Tracker) -> None:
        self.source = source
        self.bound = bound
        self.mended = 0
        self.interpreted: str | None = None
        self.code: Code | None = None
        written = written_by(tracker.begins, bound.nodes)
        self.proven = written is not None
        try:
            self.code = compiled(environment(), bound.nodes, written)
        except Unknown as unknown:
            line, column = line_and_column(source, unknown.place)
            self.interpreted = f"{unknown.what} at line {line}, column {column}"

    def renderer(self, names: dict[str, Any]) -> Render:
        """`names`: what is the same for every change; `run.started_at` is what `now` means."""
        quick, interpret = self._quick(*_with_now(names)), self.interpreter(names)
        if quick is None:
            return interpret

        def render(change: Change) -> bytes:
            try:
                return quick(change)
            except Exception:  # whatever it is: the interpreter says what becomes of the row
                self.mended += 1
            return interpret(change)

        return render

    def interpreter(self, names: dict[str, Any]) -> Render:
        """As `renderer`, without the compiled code."""
        names, now = _with_now(names)

        def render(change: Change) -> bytes:
            every = _about(change, names)
            text = self.text(every, now)
            try:
                return to_json(from_json(text))
            except (ValueError, ArithmeticError, RecursionError) as error:
                problem, index = json_problem(error), json_problem_index(error, text)
            if not text.strip():
                raise MessageInvalid("The template gave no text.")
            raise MessageInvalid(f"The template gave no JSON: {problem}, {self.origin(index, every, now)}.")

        return render

    def lines(self, names: dict[str, Any]) -> Callable[[Change], str]:
        """Renders one line of text, for what is no JSON. `names`: as for `renderer`."""
        names, now = _with_now(names)
        quick = self._texts(names, now)

        def line(change: Change) -> str:
            if quick:
                try:
                    return " ".join(whole(quick(change)).split())
                except Exception:
                    self.mended += 1
            return " ".join(self.text(_about(change, names), now).split())

        return line

    def _quick(self, names: dict[str, Any], now: datetime) -> Render | None:
        texts = self._texts(names, now)
        if texts is None:
            return None
        if not self.proven:
            return lambda change: to_json(from_json(texts(change)))

        def render(change: Change) -> bytes:
            text = texts(change)
            if len(text) > MAX_TEXT:
                raise GiveUp
            return text.encode()

        return render

    def _texts(self, names: dict[str, Any], now: datetime) -> Callable[[Change], str] | None:
        if self.code is None:
            return None
        function, same = self.code.function, [names[name] for name in ("sync", "run", "now", "today")]
        if self.code.needs_change:
            return lambda change: function(change.row, change.before, _facts(change), *same, now)
        return lambda change: function(change.row, change.before, None, *same, now)

    def origin(self, index: int, names: dict[str, Any], now: datetime) -> str:
        """Which part of the template wrote the character `index` of the text: that is the same for all rows that fail
        alike. The template is rendered once more, so that rows that do not fail pay nothing."""
        place = 0
        begins: list[int] = []
        self.text(names, now, begins)
        for node, begin in zip(self.bound.nodes, begins, strict=True):
            if begin <= index:
                place = node.token.start_index
                if isinstance(node, ContentNode):
                    place = self.source.find(node.text, place) + min(index - begin, len(node.text) - 1)
        line, column = line_and_column(self.source, place)
        return f"at line {line}, column {column} of the template"

    def text(self, names: dict[str, Any], now: datetime, begins: list[int] | None = None) -> str:
        """Raises MessageInvalid, with no trace of the library's own error: that may hold a row's value.

        `begins`: gets the place in the text at which each part of the template began to write.
        """
        context = Context(self.bound, now=now, names=names)
        buffer = LimitedStringIO(limit=limits.MAX_OUTPUT, newline="")
        place = 0
        try:
            for node in self.bound.nodes:
                place = node.token.start_index
                if begins is not None:
                    begins.append(buffer.tell())
                node.render(context, buffer)
        except LiquidError as error:
            place = error.token.start_index if error.token else place
            reason = error.reason if isinstance(error, RowRefused) else _EXPECTED.get(type(error), "it failed")
        except UnicodeError:
            reason = "a text holds half a surrogate pair, which is no Unicode text"
        except RecursionError:
            reason = "a value is nested too deeply"
        except Exception:  # of the library, with a text that may hold a row's value
            reason = "a value has a type that this cannot work on"
        else:
            return buffer.getvalue()
        line, column = line_and_column(self.source, place)
        raise MessageInvalid(f"The template failed on this row at line {line}, column {column}: {reason}.")


def _with_now(names: dict[str, Any]) -> tuple[dict[str, Any], datetime]:
    started = names["run"]["started_at"]
    return {**names, "now": started, "today": started[:10]}, datetime.fromisoformat(started).astimezone(UTC)


def _about(change: Change, names: dict[str, Any]) -> dict[str, Any]:
    return {**names, "row": change.row, "previous": change.before, "change": _facts(change)}


def members() -> dict[str, tuple[str, ...]]:
    """What templates can name beside `row` and `previous`, each with its members."""
    names, _ = _with_now(RunInfo(id="", started_at=0).names(""))
    names["change"] = _facts(Change(operation="added", key=[], key_hash="", id=""))
    return {name: tuple(value) if isinstance(value, dict) else () for name, value in names.items()}


def _facts(change: Change) -> dict[str, Any]:
    return {"operation": change.operation, "id": change.id, "columns": change.columns}


@lru_cache(maxsize=64)
def compile_template(source: str) -> Template:
    """Raises TemplateError for what does not parse, or cannot be rendered to JSON safely."""
    return _compile(source, lambda tracker, nodes: tracker.template(nodes))


@lru_cache(maxsize=64)
def compile_text(source: str) -> Template:
    """A template of plain text. Raises TemplateError for what does not parse."""
    return _compile(source, lambda tracker, nodes: tracker.text(nodes))


def _compile(source: str, track: Callable[[Tracker, list[Node]], None]) -> Template:
    env = environment()
    try:
        bound = env.from_string(source)
    except LiquidError as error:
        problem = syntax_problem(error, source)
    except RecursionError:
        problem = TemplateError("the template is nested too deeply", 1, 1)
    else:
        if not bound.nodes:
            raise TemplateError("the template is empty", 1, 1)
        tracker = Tracker(source)
        track(tracker, bound.nodes)
        for node in bound.nodes:
            check_expressions(node, env, source)
        return Template(source, bound, tracker)
    raise problem
