"""What is checked and bounded in a parsed template before any row is rendered."""

from __future__ import annotations

import difflib
from decimal import Decimal

from liquid.ast import Node
from liquid.builtin.expressions import Filter, KeywordArgument, LoopExpression, StringLiteral
from liquid.builtin.expressions.primitive import FloatLiteral, RangeLiteral
from liquid.exceptions import BlockNestingError, LiquidError
from liquid.expression import Expression

from rowcast.message.errors import TemplateError, line_and_column
from rowcast.message.filters import CASTS
from rowcast.message.nodes import MessageEnvironment, bound_count, bound_range


def syntax_problem(error: LiquidError, source: str) -> TemplateError:
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


def check_expressions(node: Node, env: MessageEnvironment, source: str) -> None:
    for expression in node.expressions():
        _check_expression(expression, env, source)
    for child in node.children(None):  # type: ignore[arg-type]
        check_expressions(child, env, source)


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
