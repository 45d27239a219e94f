"""Python code for Liquid's expressions. Names and texts of a template go into the code as literals alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from liquid.ast import Node
from liquid.builtin.expressions import BooleanExpression, Filter, FilteredExpression, KeywordArgument, Path
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalNotExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import (
    Blank,
    Empty,
    FalseLiteral,
    FloatLiteral,
    IntegerLiteral,
    Nil,
    RangeLiteral,
    StringLiteral,
    TrueLiteral,
)
from liquid.expression import Expression

from rowcast.message.nodes import MessageEnvironment
from rowcast.message.runtime import SHORT

GLOBALS = ("row", "previous", "change", "sync", "run", "now", "today")
_SPECIAL = ("size", "first", "last")
_SMALL = 10**18

_QUICK: dict[tuple[str, int], str] = {
    **{(f"{side}strip", 0): f"{{0}}.{side}strip()" for side in ("", "l", "r")},
    **{("upcase", 0): "{0}.upper()", ("downcase", 0): "{0}.lower()", ("capitalize", 0): "{0}.capitalize()"},
    **{("append", 1): "{0} + {1}", ("prepend", 1): "{1} + {0}", ("size", 0): "len({0})"},
}
"""Filters on short texts that are written out: by name and number of arguments."""
_QUICK_NUMBERS = {"plus": "+", "minus": "-", "times": "*"}


class Unknown(Exception):
    """The compiler does not know this. `what` names it; `place` is where it stands in the template."""

    def __init__(self, what: str, place: int) -> None:
        super().__init__(what)
        self.what = what
        self.place = place


class Loop(NamedTuple):
    """An open loop. `turn`, `length`, `item`: Python names. `text`: how Liquid calls it."""

    name: str
    text: str
    turn: str
    length: str
    item: str


class Expressions:
    """Writes the code of expressions. `constants` are the values that the code finds under made-up names."""

    def __init__(self, env: MessageEnvironment) -> None:
        self.env = env
        self.constants: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        self.counters: dict[str, str] = {}
        self.loops: list[Loop] = []
        self.names = 0
        self.filters_used = 0

    def new(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    def constant(self, value: Any) -> str:
        name = self.new("k")
        self.constants[name] = value
        return name

    def value(self, expression: Expression) -> str:
        writer = _VALUES.get(type(expression))
        if writer is None:
            raise unknown(expression)
        return writer(self, expression)

    def truth(self, expression: Expression) -> str:
        """Code for whether Liquid takes it for true, as a Python boolean."""
        if isinstance(expression, BooleanExpression):
            return self.truth(expression.expression)
        if isinstance(expression, LogicalNotExpression):
            return f"(not {self.truth(expression.right)})"
        if isinstance(expression, LogicalAndExpression | LogicalOrExpression):
            word = "and" if isinstance(expression, LogicalAndExpression) else "or"
            return f"({self.truth(expression.left)} {word} {self.truth(expression.right)})"
        compare = _COMPARISONS.get(type(expression))
        if compare:
            return compare(self, expression)
        name = self.new("t")
        value = self.value(expression)
        return f"(not (({name} := {value}) is None or {name} is False or type({name}) is Undefined))"

    def equal(self, left: Expression, right: Expression) -> str:
        if isinstance(right, StringLiteral):  # nothing but a text equals a text, and `empty`, which has its own way
            return f"({self.value(left)} == {right.value!r})"
        return f"eq({self.value(left)}, {self.value(right)})"

    def path(self, path: Path) -> str:
        root, *segments = path.path
        if not isinstance(root, str):
            raise unknown(path)
        for depth in range(len(self.loops) - 1, -1, -1):
            if root == self.loops[depth].name:
                return self._parts(self.loops[depth].item, segments)
            if root == "forloop":
                return self._loop(depth, segments, path)
        if root in self.variables:
            return self._parts(self.variables[root], segments)
        if root == "row" and segments and isinstance(segments[0], str) and segments[0] not in _SPECIAL:
            return self._parts(f"column({str(segments[0])!r}, UNDEFINED)", segments[1:])
        return self._parts(root if root in GLOBALS else self.counters.get(root, "UNDEFINED"), segments)

    def _parts(self, code: str, segments: list[Any]) -> str:
        for segment in segments:
            key = self.path(segment) if isinstance(segment, Path) else repr(_plain(segment))
            code = f"item({code}, {key})"
        return code

    def _loop(self, depth: int, segments: list[Any], path: Path) -> str:
        while segments and segments[0] == "parentloop":
            depth, segments = depth - 1, segments[1:]
            if depth < 0:
                return "UNDEFINED"
        loop = self.loops[depth]
        index, length = loop.turn, loop.length
        known = {
            "index": f"({index} + 1)",
            "index0": index,
            "rindex": f"({length} - {index})",
            "rindex0": f"({length} - {index} - 1)",
            "first": f"({index} == 0)",
            "last": f"({index} == {length} - 1)",
            "length": length,
            "name": repr(loop.text),
        }
        if len(segments) != 1 or segments[0] not in known:
            raise unknown(path)
        return known[segments[0]]

    def filtered(self, expression: FilteredExpression) -> str:
        code = self.value(expression.left)
        for used in expression.filters or ():
            code = self._filter(used, code)
        return code

    def _filter(self, used: Filter, left: str) -> str:
        self.filters_used += 1
        values = [self.value(argument.value) for argument in used.args if not isinstance(argument, KeywordArgument)]
        named = {str(arg.name): self.value(arg.value) for arg in used.args if isinstance(arg, KeywordArgument)}
        call = self.constant(self.env.checked_filters[used.name])
        names, given = [self.new("t") for _ in (left, *values)], [left, *values]
        more = "".join(f", {name}" for name in names[1:])
        keywords = "".join(f", **{{{name!r}: {value}}}" for name, value in named.items())
        slow = f"{call}({names[0]}{more}{keywords}, context=work)"
        kinds = [f"type({name} := {value})" for name, value in zip(names, given, strict=True)]
        quick = None if named else self._quick(used.name, names, kinds)
        if quick:
            return f"({quick} else {slow})"
        return f"{call}({', '.join(given)}{keywords}, context=work)"

    def _quick(self, name: str, names: list[str], kinds: list[str]) -> str | None:
        """`code if condition`; the condition computes left and arguments, all of them, whatever it comes to."""
        if name == "default" and len(names) == 2:
            computed = f"({kinds[0]}, {kinds[1]})[0]"
            return f"{names[0]} if {computed} is str and {names[0]} else {names[1]} if {names[0]} is None"
        texts = _QUICK.get((name, len(names) - 1))
        if texts:
            short = " and ".join(f"len({one}) < {SHORT}" for one in names)
            return f"{texts.format(*names)} if {_all(kinds, 'str')} and {short}"
        if name in _QUICK_NUMBERS and len(names) == 2:
            small = " and ".join(f"-{_SMALL} < {one} < {_SMALL}" for one in names)
            return f"{names[0]} {_QUICK_NUMBERS[name]} {names[1]} if {_all(kinds, 'int')} and {small}"
        return None

    def number_range(self, literal: RangeLiteral) -> str:
        return f"number_range({self.bound(literal.start)}, {self.bound(literal.stop)})"

    def bound(self, expression: Any) -> str:
        return self.value(getattr(expression, "bounded", expression))


def _all(kinds: list[str], wanted: str) -> str:
    """`&` computes all of them, `and` would stop at the first that is not."""
    return " & ".join(f"({kind} is {wanted})" for kind in kinds)


def _plain(segment: Any) -> str | int:
    return int(segment) if isinstance(segment, int) else str(segment)


def unknown(thing: Node | Expression) -> Unknown:
    return Unknown(f"`{thing.token.value}`", thing.token.start_index)


def _compared(form: str) -> Callable[[Expressions, Any], str]:
    return lambda self, e: form.format(self.value(e.left), self.value(e.right))


_COMPARISONS: dict[type[Expression], Callable[[Expressions, Any], str]] = {
    EqExpression: lambda self, e: self.equal(e.left, e.right),
    NeExpression: lambda self, e: f"(not {self.equal(e.left, e.right)})",
    LtExpression: _compared("lt(None, {0}, {1})"),
    GtExpression: _compared("lt(None, {1}, {0})"),
    LeExpression: _compared("le({0}, {1})"),
    GeExpression: _compared("le({1}, {0})"),
    ContainsExpression: _compared("contains(None, {0}, {1})"),
}
_VALUES: dict[type[Expression], Callable[[Expressions, Any], str]] = {
    StringLiteral: lambda _, e: repr(str(e.value)),
    IntegerLiteral: lambda _, e: f"({int(e.value)!r})",
    FloatLiteral: lambda self, e: self.constant(e.value),
    TrueLiteral: lambda _, __: "True",
    FalseLiteral: lambda _, __: "False",
    Nil: lambda _, __: "None",
    Empty: lambda self, e: self.constant(e),
    Blank: lambda self, e: self.constant(e),
    RangeLiteral: Expressions.number_range,
    Path: Expressions.path,
    FilteredExpression: Expressions.filtered,
}
