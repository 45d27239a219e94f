"""Templates: compiled once, rendered per change. The only module of the core that leads to the Liquid library."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import Filter, KeywordArgument, LoopExpression, StringLiteral
from liquid.builtin.expressions.primitive import FloatLiteral, RangeLiteral
from liquid.exceptions import (
    BlockNestingError,
    ContextDepthError,
    LiquidError,
    LiquidTypeError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
)
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.template import BoundTemplate

from rowcast.errors import MessageInvalid
from rowcast.message import nodes as limits
from rowcast.message.errors import TemplateError, json_problem, json_problem_index, line_and_column
from rowcast.message.filters import CASTS
from rowcast.message.nodes import Context, MessageEnvironment, bound_count, bound_range, environment
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
    """A template that can be rendered safely. What `render` does may be replaced by something quicker: the tree, with
    a way of writing set on each output, is all there is to know."""

    def __init__(self, source: str, bound: BoundTemplate) -> None:
        self.source = source
        self.bound = bound

    def renderer(self, names: dict[str, Any]) -> Render:
        """`names`: what is the same for every change; `run.started_at` is what `now` means."""
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

    def line(self, change: Change, names: dict[str, Any]) -> str:
        """One line of text, for what is no JSON. `names`: as for `renderer`."""
        names, now = _with_now(names)
        return " ".join(self.text(_about(change, names), now).split())

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
    about = {"operation": change.operation, "id": change.id, "columns": change.columns}
    return {**names, "row": change.row, "previous": change.before, "change": about}


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
        problem = _syntax_problem(error, source)
    except RecursionError:
        problem = TemplateError("the template is nested too deeply", 1, 1)
    else:
        if not bound.nodes:
            raise TemplateError("the template is empty", 1, 1)
        track(Tracker(source), bound.nodes)
        for node in bound.nodes:
            _check_expressions(node, env, source)
        return Template(source, bound)
    raise problem


def _syntax_problem(error: LiquidError, source: str) -> TemplateError:
    token = error.token
    at_end = token is None or token.start_index < 0
    place = len(source.rstrip()) if token is None or at_end else token.start_index
    if isinstance(error, BlockNestingError):
        message = f"blocks are nested more than {MessageEnvironment.block_nesting_limit} deep"
    elif token and token.value in ("include", "render"):
        message = f"`{token.value}` is off: a message's template stands alone"
    else:
        message = str(error.message).replace("unexpected tag ", "unknown or misplaced tag ")
        message = message.replace("end of expression", "end of the template") if at_end else message
    return TemplateError(message, *line_and_column(source, place))


def _check_expressions(node: Node, env: MessageEnvironment, source: str) -> None:
    for expression in node.expressions():
        _check_expression(expression, env, source)
    for child in node.children(None):  # type: ignore[arg-type]
        _check_expressions(child, env, source)


def _check_expression(expression: Expression, env: MessageEnvironment, source: str) -> None:
    """Checks filters, makes literals exact, and bounds what counts: a row must not choose how long a range is."""
    if isinstance(expression, FloatLiteral):  # 0.1 as a float would differ from a row's decimal 0.1
        expression.value = Decimal(expression.token.value)  # type: ignore[assignment]
    if isinstance(expression, RangeLiteral):
        bound_range(expression)
    if isinstance(expression, LoopExpression):
        expression.limit = bound_count(expression.limit) if expression.limit else None
        expression.cols = bound_count(expression.cols) if expression.cols else None
        if expression.offset and not isinstance(expression.offset, StringLiteral):
            expression.offset = bound_count(expression.offset)
    for used in getattr(expression, "filters", None) or ():
        _check_filter(used, env, source)
    for child in expression.children():
        _check_expression(child, env, source)


def _check_filter(used: Filter, env: MessageEnvironment, source: str) -> None:
    place = line_and_column(source, used.token.start_index)
    known = env.checked_filters.get(used.name)
    if known is None:
        near = difflib.get_close_matches(used.name, env.filters, 1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise TemplateError(f"unknown filter `{used.name}`{hint}", *place)
    names = [arg.name for arg in used.args if isinstance(arg, KeywordArgument)]
    try:
        known.check(len(used.args) - len(names), names)
    except TypeError:
        raise TemplateError(f"the filter `{used.name}` does not take these arguments", *place) from None
    kind = used.args[0].value if used.name == "cast" else None
    if isinstance(kind, StringLiteral) and kind.value not in CASTS:
        raise TemplateError(f"`cast` knows {', '.join(CASTS)}", *place)
