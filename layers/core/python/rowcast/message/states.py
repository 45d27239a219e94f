"""Finds out, for each place of a template, whether it stands inside a JSON string.

What is written there depends on it, so that no value of a row can change the structure of the document. Every way
through the template must agree on the answer; where two ways do not, the template is refused.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from typing import Any

from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.ifchanged_tag import IfChangedNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.builtin.tags.unless_tag import UnlessNode

from rowcast.message.errors import TemplateError, line_and_column
from rowcast.message.nodes import WritingCycle, WritingDecrement, WritingIncrement, WritingOutput
from rowcast.message.values import write_quoted, write_text, write_value

UNREACHED = "unreached"  # after a break: agrees with everything
CAPTURED = "captured"  # text for a variable: it is escaped where the variable is put out
OUTSIDE = "outside"
INSIDE = "inside"
ESCAPE = "escape"  # inside, after a backslash
UNICODE = ("u1", "u2", "u3", "u4")  # inside, so many hexadecimal digits missing

_WRITERS = {CAPTURED: write_text, OUTSIDE: write_value, INSIDE: write_quoted, UNREACHED: write_text}


class Tracker:
    """Walks a parsed template once, sets how each output writes, and raises TemplateError."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.opened = 0
        self.begins: dict[ContentNode, str] = {}  # the state in which each piece of the template's own text begins
        self.loops: list[str | None] = []  # per open loop the state to come back to; None: not to be left from here

    def template(self, nodes: list[Node]) -> None:
        if self.nodes(nodes, OUTSIDE) not in (OUTSIDE, UNREACHED):
            raise self.error("the JSON string that begins here is not closed", self.opened)

    def text(self, nodes: list[Node]) -> None:
        """For a template of plain text, in which nothing is escaped."""
        self.nodes(nodes, CAPTURED)

    def error(self, message: str, place: Any) -> TemplateError:
        index = place if isinstance(place, int) else place.token.start_index
        return TemplateError(message, *line_and_column(self.source, index if index >= 0 else len(self.source)))

    def nodes(self, nodes: Iterable[Node], state: str) -> str:
        for node in nodes:
            state = self.node(node, state)
        return state

    def node(self, node: Node, state: str) -> str:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise self.error(f"the tag `{node.token.value}` cannot be used in a message", node)
        return handler(self, node, state)

    def same(self, _: Node, state: str) -> str:
        return state

    def content(self, node: ContentNode, state: str) -> str:
        self.begins[node] = state
        if state in (CAPTURED, UNREACHED):
            return state
        start = max(self.source.find(node.text, node.token.start_index), 0)
        for index, character in enumerate(node.text, start):
            state = self.character(character, state, index)
        return state

    def character(self, character: str, state: str, index: int) -> str:
        if state == OUTSIDE:
            if character != '"':
                return OUTSIDE
            self.opened = index
            return INSIDE
        if state == INSIDE:
            if character < " ":
                name = "line break" if character in "\r\n" else "control character"
                line, _ = line_and_column(self.source, self.opened)
                raise self.error(f"a {name} inside the JSON string that begins in line {line}", index)
            return {'"': OUTSIDE, "\\": ESCAPE}.get(character, INSIDE)
        if state == ESCAPE:
            if character not in '"\\/bfnrtu':
                raise self.error(f"`\\{character}` is no escape of JSON", index)
            return "u4" if character == "u" else INSIDE
        if character not in string.hexdigits:
            raise self.error("`\\u` must be followed by four hexadecimal digits", index)
        return INSIDE if state == "u1" else UNICODE[UNICODE.index(state) - 1]

    def output(self, node: Any, state: str) -> str:
        if state not in _WRITERS:
            raise self.error("a value cannot follow a backslash inside a JSON string", node)
        node.write = _WRITERS[state]
        return state

    def condition(self, node: Any, state: str) -> str:
        branches = [node.consequence, *node.alternatives, *([node.default] if node.default else [])]
        ends = [self.node(branch, state) for branch in branches] + ([] if node.default else [state])
        reached = {end for end in ends if end != UNREACHED}
        if len(reached) > 1:
            raise self.error(
                f"the branches of this `{node.token.value}` do not agree whether a JSON string is open at their end",
                node,
            )
        return reached.pop() if reached else UNREACHED

    def case(self, node: CaseNode, state: str) -> str:
        for block in node.blocks:  # several of them may be rendered, one after the other
            self.returns(block, state, node)
        return state

    def returns(self, block: Any, state: str, node: Node) -> None:
        if self.node(block, state) not in (state, UNREACHED):
            raise self.error(
                f"a block of this `{node.token.value}` must leave a JSON string as it found it: open or closed", node
            )

    def loop(self, node: Any, state: str) -> str:
        self.loops.append(state)
        self.returns(node.block, state, node)
        self.loops.pop()
        if getattr(node, "default", None):
            self.returns(node.default, state, node)
        return state

    def tablerow(self, node: TablerowNode, state: str) -> str:
        if state not in (CAPTURED, UNREACHED):
            raise self.error("`tablerow` writes HTML, not JSON: use it inside `capture`", node)
        return self.loop(node, state)

    def leave(self, node: Node, state: str) -> str:
        if not self.loops:
            raise self.error(f"`{node.token.value}` stands outside of a loop", node)
        if self.loops[-1] is None:
            raise self.error(f"`{node.token.value}` cannot leave a loop from inside a block that is captured", node)
        if state not in (self.loops[-1], UNREACHED):
            raise self.error(f"`{node.token.value}` leaves the loop with a JSON string open or closed otherwise", node)
        return UNREACHED

    def capture(self, node: CaptureNode, state: str) -> str:
        self.aside(node.block, CAPTURED)
        return state

    def if_changed(self, node: IfChangedNode, state: str) -> str:
        if self.aside(node.block, state) not in (state, UNREACHED):
            raise self.error("the block of `ifchanged` must leave a JSON string as it found it: open or closed", node)
        return state

    def aside(self, block: Node, state: str) -> str:
        loops = self.loops
        self.loops = [None] if loops else []
        end = self.node(block, state)
        self.loops = loops
        return end


_HANDLERS: dict[type[Node], Callable[[Tracker, Any, str], str]] = {
    **dict.fromkeys((AssignNode, CommentNode, InlineCommentNode, DocNode), Tracker.same),
    **dict.fromkeys((WritingOutput, WritingCycle, WritingIncrement, WritingDecrement), Tracker.output),
    **dict.fromkeys((IfNode, UnlessNode), Tracker.condition),
    **dict.fromkeys((BreakNode, ContinueNode), Tracker.leave),
    **dict.fromkeys(
        (LiquidNode, ConditionalBlockNode, MultiExpressionBlockNode), lambda self, node, at: self.node(node.block, at)
    ),
    BlockNode: lambda self, node, at: self.nodes(node.nodes, at),
    ContentNode: Tracker.content,
    CaseNode: Tracker.case,
    ForNode: Tracker.loop,
    TablerowNode: Tracker.tablerow,
    CaptureNode: Tracker.capture,
    IfChangedNode: Tracker.if_changed,
}
