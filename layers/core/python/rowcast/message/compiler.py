"""Turns a parsed template into one Python function. Nothing of the template gets into its code but as a literal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import IntegerLiteral, StringLiteral
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from rowcast.message import nodes as limits
from rowcast.message.expressions import GLOBALS, Expressions, Loop, Unknown, unknown
from rowcast.message.nodes import (
    MessageEnvironment,
    WritingCycle,
    WritingDecrement,
    WritingIncrement,
    WritingOutput,
)
from rowcast.message.pieces import Hole, chunk, joined
from rowcast.message.proof import differ
from rowcast.message.runtime import FILTER_COST, MAX_TEXT, NAMES
from rowcast.message.shape import Token
from rowcast.message.values import write_quoted, write_text

_DEEPEST = 8
_HOLE_COST = 22

_PARTS = [("parts", "[]"), ("add", "parts.append")]
_TOOLS = [("column", "row.get"), ("work", "Work(at)"), ("left", str(MAX_TEXT)), ("turns", "{}")]


class Code(NamedTuple):
    """`function(row, previous, change, sync, run, now, today, at)` gives a row's text, or raises whatever the
    interpreter shall mend. `needs_change`: `change` is looked at."""

    function: Callable[..., str]
    needs_change: bool


class Compiler:
    """`written`: for each content node what it writes, compact; None when the text is parsed again."""

    def __init__(self, env: MessageEnvironment, written: dict[ContentNode, list[Token]] | None) -> None:
        self.written = written
        self.code = Expressions(env)
        self.lines: list[str] = []
        self.depth = 1
        self.parts: list[str | Hole] = []
        self.into = "add"
        self.muted = False
        self.dynamic = False
        self.cost = 0

    def compile(self, nodes: list[Node]) -> tuple[str, dict[str, Any]]:
        """The source of `text` and its constants. Raises Unknown."""
        self._declare(nodes)
        self.nodes(nodes)
        if self.lines:
            self.flush()
            last, parts = "''.join(parts)", _PARTS
        else:
            last, parts = chunk(*joined(self.parts)), []
        body = [*self.lines, f"    return {last}"]
        own = [(name, "UNDEFINED") for name in self.code.counters.values()]
        own += [(code, name if name in GLOBALS else "UNDEFINED") for name, code in self.code.variables.items()]
        tools = [(name, value) for name, value in _TOOLS if any(name in line for line in body)]
        first = [f"    {name} = {value}" for name, value in (*parts, *tools, *own)]
        return "\n".join([f"def text({', '.join(GLOBALS)}, at):", *first, *body, ""]), self.code.constants

    def _declare(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if isinstance(node, AssignNode | CaptureNode):
                self.code.variables.setdefault(str(node.name), self.code.new("v"))
            if isinstance(node, WritingIncrement | WritingDecrement):
                self.code.counters.setdefault(str(node.name), self.code.new("n"))
            self._declare(node.children(None))  # type: ignore[arg-type]

    # --- lines ---

    def line(self, code: str) -> None:
        self.lines.append("    " * self.depth + code)

    def flush(self) -> None:
        """Writes what was put out since, as one string."""
        form, values = joined(self.parts)
        self.parts = []
        if not values and not form:
            return
        code = chunk(form, values)
        if not self.dynamic:
            self.line(f"{self.into}({code})")
            return
        self.cost += _HOLE_COST * len(values)
        self.line(f"{self.into}(s := {code})")
        self.line("left -= len(s)")

    def within(self, block: Callable[[], None]) -> None:
        """A block of Python."""
        self.flush()
        self.depth += 1
        start = len(self.lines)
        block()
        self.flush()
        if len(self.lines) == start:
            self.line("pass")
        self.depth -= 1

    # --- nodes ---

    def nodes(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            handler = _HANDLERS.get(type(node))
            if handler is None:
                raise Unknown(f"the tag `{node.token.value}`", node.token.start_index)
            handler(self, node)

    def block(self, node: BlockNode) -> None:
        muted, self.muted = self.muted, node.blank
        self.nodes(node.nodes)
        self.muted = muted

    def content(self, node: ContentNode) -> None:
        if self.muted:
            return
        self.cost += len(node.text.encode(errors="surrogatepass"))
        written = self.written.get(node) if self.written is not None else None
        self.parts.append(node.text if written is None else "".join(token.text for token in written))

    def output(self, node: WritingOutput) -> None:
        self.put(node, self.code.value(node.expression))

    def put(self, node: Any, value: str) -> None:
        tight = "VALUES" if self.written is not None else "LOOSE_VALUES"
        self.parts.append(Hole({write_quoted: "INSIDE", write_text: "TEXTS"}.get(node.write, tight), self.typed(value)))

    def typed(self, value: str) -> str:
        name = self.code.new("t")
        return f"[type({name} := {value})]({name})"

    def assign(self, node: AssignNode) -> None:
        self.keep(node.name, self.code.value(node.expression))

    def keep(self, name: str, value: str) -> None:
        most = limits.MAX_VARIABLES // len(self.code.variables)
        self.flush()
        self.line(f"{self.code.variables[str(name)]} = kept({value}, {most})")

    def capture(self, node: CaptureNode) -> None:
        self.flush()
        into, self.into = self.into, self.code.new("c")
        self.line(f"{self.into} = []")
        outer, self.into = self.into, f"{self.into}.append"
        self.block(node.block)
        self.flush()
        self.keep(node.name, f"captured({outer})")
        self.into = into

    def condition(self, node: IfNode | UnlessNode) -> None:
        self.flush()
        test = self.code.truth(node.condition)
        self.line(f"if not {test}:" if isinstance(node, UnlessNode) else f"if {test}:")
        self.within(lambda: self.block(node.consequence))
        for alternative in node.alternatives:
            self.line(f"elif {self.code.truth(alternative.expression)}:")
            self.within(lambda block=alternative.block: self.block(block))  # type: ignore[misc]
        default = node.default
        if default:
            self.line("else:")
            self.within(lambda: self.block(default))

    def case(self, node: CaseNode) -> None:
        """Each `when` that matches is rendered, once for each of its values; an `else` where none has matched yet."""
        self.flush()
        found = self.code.new("f")
        self.line(f"{found} = False")
        for block in node.blocks:
            if not isinstance(block, MultiExpressionBlockNode):
                self.line(f"if not {found}:")
                self.within(lambda block=block: self.block(block))  # type: ignore[misc]
                continue
            values = block.expression.expressions
            tests = [self.code.equal(block.expression.left, value) for value in values]
            if len(values) > 1 and not differ(values):
                raise unknown(block)
            self.line(f"if {' | '.join(tests)}:")
            self.depth += 1
            self.line(f"{found} = True")
            self.depth -= 1
            self.within(lambda block=block: self.block(block.block))  # type: ignore[misc]

    def loop(self, node: ForNode) -> None:
        loops = self.code.loops
        if len(loops) >= _DEEPEST:
            raise unknown(node)
        self.flush()
        expression = node.expression
        found, length = self.code.new("i"), self.code.new("n")
        self.line(f"{found} = {self.cut(expression, f'items({self.code.value(expression.iterable)})')}")
        self.line(f"{length} = len({found})")
        product = " * ".join([length, *(loop.length for loop in loops)])
        self.line(f"if {product} > {limits.MAX_ITERATIONS}:")
        self.line("    raise GiveUp")
        name = str(expression.identifier)
        opened = Loop(name, f"{name}-{expression.iterable}", self.code.new("i"), length, self.code.new("x"))
        self.line(f"for {opened.turn}, {opened.item} in enumerate({found}):")
        loops.append(opened)
        self.turn(node.block)
        loops.pop()
        default = node.default
        if default:
            self.line(f"if not {length}:")
            self.within(lambda: self.block(default))

    def turn(self, block: BlockNode) -> None:
        """The body of a loop. What it writes and does counts, by an upper bound known now and what texts come to."""
        outer = self.dynamic, self.cost, self.code.filters_used
        self.dynamic, self.cost, self.code.filters_used = True, 1, 0
        start = len(self.lines)
        self.within(lambda: self.block(block))
        cost = self.cost + FILTER_COST * self.code.filters_used
        indent = "    " * (self.depth + 1)
        self.lines[start:start] = [f"{indent}left -= {cost}", f"{indent}if left < 0:", f"{indent}    raise GiveUp"]
        self.dynamic, self.cost, self.code.filters_used = outer

    def cut(self, expression: LoopExpression, found: str) -> str:
        offset = expression.offset
        if isinstance(offset, StringLiteral):
            raise unknown(offset)
        if not (expression.limit or offset or expression.reversed):
            return found
        limit = self.code.bound(expression.limit) if expression.limit else "None"
        start = self.code.bound(offset) if offset else "0"
        return f"sliced({found}, {limit}, {start}, {bool(expression.reversed)})"

    def leave(self, node: Node) -> None:
        self.flush()
        self.line("break" if isinstance(node, BreakNode) else "continue")

    def cycle(self, node: WritingCycle) -> None:
        """Of literals alone: their text then names the cycle, as it does in the library."""
        literals = [*node.args, *([node.group] if node.group else [])]
        if not all(isinstance(literal, StringLiteral | IntegerLiteral) for literal in literals):
            raise unknown(node)
        values: list[Any] = [_literal(value) for value in node.args]
        group = str(_literal(node.group)) if node.group else ""
        self.flush()
        name = self.code.new("y")
        self.line(f"{name} = cycled(turns, {(group or str(values))!r}, {values!r})")
        self.put(node, name)

    def count(self, node: WritingIncrement | WritingDecrement) -> None:
        counter = self.code.counters[str(node.name)]
        if str(node.name) in self.code.variables:
            raise unknown(node)
        self.flush()
        now, shown = f"(0 if {counter} is UNDEFINED else {counter})", self.code.new("y")
        if isinstance(node, WritingIncrement):
            self.line(f"{shown} = {now}")
            self.line(f"{counter} = {shown} + 1")
        else:
            self.line(f"{shown} = {counter} = {now} - 1")
        self.put(node, shown)


def _literal(expression: Expression) -> str | int:
    value = expression.value  # type: ignore[attr-defined]
    return str(value) if isinstance(value, str) else int(value)


def compiled(env: MessageEnvironment, nodes: list[Node], written: dict[ContentNode, list[Token]] | None) -> Code:
    """Raises Unknown for what it cannot compile."""
    source, constants = Compiler(env, written).compile(nodes)
    names = {**NAMES, **constants}
    try:
        exec(compile(source, "<template>", "exec"), names)  # noqa: S102  (all that is of the template in it are literals)
    except (SyntaxError, RecursionError, MemoryError):  # of Python's compiler, for code that is nested too deeply
        raise Unknown("its depth", 0) from None
    return Code(names["text"], needs_change="change" in source.split("\n", 1)[1])


_HANDLERS: dict[type[Node], Callable[[Compiler, Any], None]] = {
    **dict.fromkeys((CommentNode, InlineCommentNode, DocNode), lambda _, __: None),
    **dict.fromkeys((IfNode, UnlessNode), Compiler.condition),
    **dict.fromkeys((BreakNode, ContinueNode), Compiler.leave),
    **dict.fromkeys((WritingIncrement, WritingDecrement), Compiler.count),
    LiquidNode: lambda self, node: self.block(node.block),
    BlockNode: Compiler.block,
    ContentNode: Compiler.content,
    WritingOutput: Compiler.output,
    WritingCycle: Compiler.cycle,
    AssignNode: Compiler.assign,
    CaptureNode: Compiler.capture,
    CaseNode: Compiler.case,
    ForNode: Compiler.loop,
}
