"""Walks a parsed template as `shape` follows JSON: every way that a row can take, loops until nothing new comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import BooleanExpression, Path
from liquid.builtin.expressions.logical import EqExpression, LogicalNotExpression, NeExpression
from liquid.builtin.expressions.primitive import FalseLiteral, IntegerLiteral, StringLiteral, TrueLiteral
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from rowcast.message.nodes import WritingCycle, WritingDecrement, WritingIncrement, WritingOutput
from rowcast.message.shape import END, START, States, Token, Unproven, follow, hole, merged, tokens
from rowcast.message.states import CAPTURED, INSIDE, OUTSIDE, UNREACHED
from rowcast.message.values import write_quoted

_MOST_ROUNDS = 8


def written_by(begins: Mapping[ContentNode, str], nodes: Iterable[Node]) -> dict[ContentNode, list[Token]] | None:
    """The tokens of the template's own text, where it is proven to make one JSON document; None where it is not.

    `begins`: the state of quotes in which each piece of that text begins.
    """
    try:
        written = {
            node: tokens(node.text, begin == INSIDE) for node, begin in begins.items() if begin in _followed(begin)
        }
        Prover(written).prove(nodes)
    except Unproven:
        return None
    return written


def _followed(begin: str) -> tuple[str, ...]:
    """Raises Unproven for a piece that begins amid an escape."""
    if begin not in (OUTSIDE, INSIDE, CAPTURED, UNREACHED):
        raise Unproven
    return OUTSIDE, INSIDE


class Turn(NamedTuple):
    """Which turn of the innermost loop is looked at."""

    first: bool
    last: bool


class Prover:
    """`written`: the tokens of each content node."""

    def __init__(self, written: Mapping[ContentNode, list[Token]]) -> None:
        self.written = written
        self.turn: Turn | None = None
        self.muted = False

    def prove(self, nodes: Iterable[Node]) -> None:
        """Raises Unproven."""
        if any(state.expected != END for state in self.nodes(nodes, START)):
            raise Unproven

    def nodes(self, nodes: Iterable[Node], states: States) -> States:
        for node in nodes:
            handler = _HANDLERS.get(type(node))
            if handler is None:
                raise Unproven
            states = handler(self, node, states)
        return states

    def block(self, node: BlockNode, states: States) -> States:
        muted, self.muted = self.muted, node.blank
        states = self.nodes(node.nodes, states)
        self.muted = muted
        return states

    def content(self, node: ContentNode, states: States) -> States:
        if node not in self.written:  # text of a template that is not to give JSON
            raise Unproven
        return states if self.muted else follow(states, self.written[node])

    def output(self, node: Any, states: States) -> States:
        return hole(states, inside=node.write is write_quoted)

    def condition(self, node: IfNode | UnlessNode, states: States) -> States:
        known = self.known(node.condition)
        if isinstance(node, UnlessNode) and known is not None:
            known = not known
        if known:
            return self.block(node.consequence, states)
        branches = [alternative.block for alternative in node.alternatives] + ([node.default] if node.default else [])
        ends = [] if known is False else [self.block(node.consequence, states)]
        ends += [self.block(branch, states) for branch in branches]
        return merged(state for end in (ends if node.default else [*ends, states]) for state in end)

    def known(self, condition: Any) -> bool | None:
        """What a condition on the loop's turn comes to; None for every other one."""
        if isinstance(condition, BooleanExpression):
            return self.known(condition.expression)
        if isinstance(condition, LogicalNotExpression):
            value = self.known(condition.right)
            return None if value is None else not value
        if isinstance(condition, EqExpression | NeExpression):
            left, right = self.known(condition.left), self.known(condition.right)
            same = None if left is None or right is None else left == right
            return same if same is None or isinstance(condition, EqExpression) else not same
        if isinstance(condition, TrueLiteral | FalseLiteral):
            return isinstance(condition, TrueLiteral)
        if self.turn and isinstance(condition, Path) and condition.path in (["forloop", "first"], ["forloop", "last"]):
            return self.turn.first if condition.path[1] == "first" else self.turn.last
        return None

    def case(self, node: CaseNode, states: States) -> States:
        """Proven when one block at most is rendered: the values are different literals, and `else` comes last."""
        whens = [block for block in node.blocks if isinstance(block, MultiExpressionBlockNode)]
        others = node.blocks[len(whens) :]
        if not differ([value for when in whens for value in when.expression.expressions]) or len(others) > 1:
            raise Unproven
        if any(isinstance(other, MultiExpressionBlockNode) for other in others):
            raise Unproven
        ends = [self.block(when.block, states) for when in whens]
        ends.append(self.nodes(others, states))
        return merged(state for end in ends for state in end)

    def loop(self, node: ForNode, states: States) -> States:
        if node.expression.identifier == "forloop":
            raise Unproven
        outer = self.turn
        begun = self._turn(node, states, Turn(first=True, last=False))
        for _ in range(_MOST_ROUNDS):
            more = merged([*begun, *self._turn(node, begun, Turn(first=False, last=False))])
            if more == begun:
                break
            begun = more
        else:
            raise Unproven
        ends = [
            *self._turn(node, states, Turn(first=True, last=True)),
            *self._turn(node, begun, Turn(first=False, last=True)),
        ]
        self.turn = outer
        return merged([*ends, *(self.block(node.default, states) if node.default else states)])

    def _turn(self, node: ForNode, states: States, turn: Turn) -> States:
        self.turn = turn
        return self.block(node.block, states)


def differ(values: list[Expression]) -> bool:
    """Whether nothing can equal two of them."""
    literals = {(type(value), value.value) for value in values if isinstance(value, StringLiteral | IntegerLiteral)}
    return len(literals) == len(values)


def _same(_: Prover, __: Node, states: States) -> States:
    return states


_HANDLERS: dict[type[Node], Callable[[Prover, Any, States], States]] = {
    **dict.fromkeys((AssignNode, CaptureNode, CommentNode, InlineCommentNode, DocNode), _same),
    **dict.fromkeys((WritingOutput, WritingCycle, WritingIncrement, WritingDecrement), Prover.output),
    **dict.fromkeys((IfNode, UnlessNode), Prover.condition),
    **dict.fromkeys((LiquidNode, ConditionalBlockNode), lambda self, node, states: self.block(node.block, states)),
    BlockNode: Prover.block,
    ContentNode: Prover.content,
    CaseNode: Prover.case,
    ForNode: Prover.loop,
}
