"""Liquid as Rowcast runs it: its output tags write JSON, its limits hold, and no template includes another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, TextIO

from liquid import builtin
from liquid.ast import Node
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.decrement_tag import DecrementNode, DecrementTag
from liquid.builtin.tags.echo_tag import EchoTag
from liquid.builtin.tags.if_tag import IfTag
from liquid.builtin.tags.increment_tag import IncrementNode, IncrementTag
from liquid.builtin.tags.unless_tag import UnlessTag
from liquid.context import RenderContext
from liquid.environment import Environment
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.mode import Mode
from liquid.output import LimitedStringIO
from liquid.token import Token

from rowcast.message.filters import Filter, all_filters
from rowcast.message.numbers import to_integer
from rowcast.message.values import RowRefused

MAX_ITERATIONS = 100_000
MAX_OUTPUT = 6 * 1024 * 1024
MAX_VARIABLES = 20_000_000
MAX_WORK = 200_000_000

Write = Callable[[Any], str]


class Context(RenderContext):
    """A render that may read and write so many characters: a limit of time that is the same on every machine."""

    __slots__ = ("now", "work")

    def __init__(self, template: Any, *, now: datetime, names: dict[str, Any]) -> None:
        super().__init__(template, globals=names)
        self.now = now
        self.work = MAX_WORK

    def get_buffer(self, buf: TextIO | None = None) -> LimitedStringIO:
        """As the library's, but a row's line ends stay as they are."""
        carried = buf.size if isinstance(buf, LimitedStringIO) else 0
        return LimitedStringIO(limit=MAX_OUTPUT - carried, newline="")

    def spend(self, value: Any) -> None:
        self.work -= 20 + (len(value) if isinstance(value, str | list | tuple | dict | range) else 0)
        if self.work < 0:
            raise RowRefused("the template does too much work")


class Writing(Node):
    """What the nodes that put out a value share. `write` is set when the template is compiled, by the node's place."""

    __slots__ = ()
    write: Write

    def value(self, context: RenderContext) -> Any:
        raise NotImplementedError

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        try:
            text = self.write(self.value(context))
            context.spend(text)  # type: ignore[attr-defined]
            return buffer.write(text)
        except LiquidError as error:
            error.token = error.token or self.token
            raise
        except UnicodeError:
            reason = "a text holds half a surrogate pair, which is no Unicode text"
        except RecursionError:
            reason = "a value is nested too deeply"
        except (ValueError, TypeError, ArithmeticError):
            reason = "the value has no JSON form"
        refused = RowRefused(reason)
        refused.token = self.token
        raise refused


class WritingOutput(Writing, OutputNode):
    __slots__ = ("write",)

    def value(self, context: RenderContext) -> Any:
        return self.expression.evaluate(context)


class WritingCycle(Writing, CycleNode):
    __slots__ = ("write",)

    def value(self, context: RenderContext) -> Any:
        group = str(self.group.evaluate(context)) if self.group else ""
        values = [arg.evaluate(context) for arg in self.args]
        return values[context.cycle(group or str(values), len(values)) % len(values)]


class WritingIncrement(Writing, IncrementNode):
    __slots__ = ("write",)

    def value(self, context: RenderContext) -> Any:
        return context.increment(self.name)


class WritingDecrement(Writing, DecrementNode):
    __slots__ = ("write",)

    def value(self, context: RenderContext) -> Any:
        return context.decrement(self.name)


class _Bound(Expression):
    """A number that counts or places something. Huge ones, and ranges too long to walk, are refused."""

    __slots__ = ("bounded", "range_start")

    def __init__(self, bounded: Expression, range_start: Expression | None = None) -> None:
        super().__init__(bounded.token)
        self.bounded = bounded
        self.range_start = range_start

    def __str__(self) -> str:
        return str(self.bounded)

    def evaluate(self, context: RenderContext) -> Any:
        value = self.bounded.evaluate(context)
        number = to_integer(value) or 0
        if self.range_start and number - self.range_start.evaluate(context) > MAX_ITERATIONS:  # type: ignore[operator]
            refused = RowRefused(f"a range is longer than {MAX_ITERATIONS}")
            refused.token = self.token
            raise refused
        return number

    def children(self) -> Iterable[Expression]:
        return self.bounded.children()


def bound_range(literal: RangeLiteral) -> None:
    if not isinstance(literal.start, _Bound):
        literal.start = _Bound(literal.start)
        literal.stop = _Bound(literal.stop, literal.start)


def bound_count(expression: Expression) -> Expression:
    return _Bound(expression)


class MessageEnvironment(Environment):
    loop_iteration_limit = MAX_ITERATIONS
    output_stream_limit = MAX_OUTPUT
    local_namespace_limit = MAX_VARIABLES
    checked_filters: dict[str, Filter]

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:  # noqa: ARG002
        builtin.register(self)
        for tag, node in (
            (Output, WritingOutput),
            (EchoTag, WritingOutput),
            (CycleTag, WritingCycle),
            (IncrementTag, WritingIncrement),
            (DecrementTag, WritingDecrement),
        ):
            self.add_tag(type(tag.__name__, (tag,), {"node_class": node}))
        for lax in (IfTag, UnlessTag):  # which drop a second `else` without a word
            self.add_tag(type(lax.__name__, (lax,), {"mode": Mode.STRICT}))
        for name in ("include", "render"):
            del self.tags[name]
        self.checked_filters = all_filters(self.filters)
        self.filters = dict(self.checked_filters)

    def error(self, exc: Any, msg: str | None = None, token: Token | None = None) -> None:
        """Gives an error at the end of an expression the place of that expression."""
        if isinstance(exc, LiquidError) and token and exc.token and exc.token.start_index < 0:
            exc.token = token
        super().error(exc, msg, token)


@lru_cache(maxsize=1)
def environment() -> MessageEnvironment:
    return MessageEnvironment()
