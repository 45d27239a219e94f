"""Compiled templates against the interpreter: the same bytes or the same refusal, for whatever row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.errors import MessageInvalid
from rowcast.message.errors import TemplateError
from rowcast.message.template import Template, compile_template, compile_text
from rowcast.models import Change, Row
from rowcast.ports import Render

NAMES = {"sync": {"name": "s"}, "run": {"id": "r", "started_at": "2025-03-04T10:11:12Z"}}
NASTY = '"}],\\\n\r\t\x00\x1f\x7f\u2028😀\ud800%s%%{}{{ row.a }} é'
texts = st.text(st.characters(), max_size=8) | st.text(alphabet=NASTY + "a1 ", max_size=8)
numbers = (
    st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.decimals()
    | st.sampled_from([Decimal("-0"), Decimal("1E+400"), Decimal("1234567890" * 4 + ".50"), 1e22, 1e-7, -0.0, 10**4250])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
dicts = st.dictionaries(st.sampled_from("abcn"), values, max_size=3)
rows = st.fixed_dictionaries(
    {"a": values, "b": values, "t": texts, "l": st.lists(values | dicts, max_size=4), "d": dicts},
    optional={"n": st.integers(-2, 5), "size": values},
)
changes = st.builds(
    lambda after, before: Change(
        operation="changed" if before else "added", key=[1], key_hash="0", id="c", columns=["a"], before=before, after=after
    ),
    rows,
    st.none() | rows,
)


def outcome(render: Render, change: Change) -> bytes | str:
    try:
        return render(change)
    except MessageInvalid as refused:
        assert refused.__context__ is None
        return str(refused)


def agree(template: Template, change: Change) -> bytes | str:
    given = outcome(template.renderer(NAMES), change)
    assert given == outcome(template.interpreter(NAMES), change)
    return given


def row_change(**row: Any) -> Change:
    return Change(operation="added", key=[1], key_hash="0", id="c", after=row)


PATHS = ("row.a", "row.b", "row.t", "row.l", "row.d", "row.n", "row['a']", "row.d.a", "row.d.a.b", "row.l[0]", "row.l.first")
PATHS += ("row.l.last.a", "row.size", "row.l.size", "row.t.size", "row[row.t]", "row.l[row.n]", "row.nope.deeper", "previous.a")
PATHS += ("previous", "change.operation", "change.columns", "sync.name", "now", "x", "v", "c", "k", "forloop.index", "nope")
PATHS += ("x.a", "x[0]", "forloop.last", "forloop.parentloop.index0", "forloop.rindex", "forloop.length", "row.d.first")
LITERALS = ("1", "-7", "1.50", "'q\"%s\\'", "true", "nil", "empty", "blank", "(1..3)", "(row.n..2)", '"é😀{}"')
FILTERS = ("upcase", "downcase", "capitalize", "strip", "lstrip", "rstrip", "size", "first", "last", "json", "to_json")
FILTERS += ("append: {0}", "prepend: {0}", "default: {0}", "default: {0}, allow_false: true", "plus: {0}", "minus: {0}")
FILTERS += ("times: {0}", "round: 2", "cast: 'string'", "cast: 'number'", "join: {0}", "split: ','", "parse_json", "date: '%Y'")
FILTERS += ("replace: 'a', {0}", "slice: 0, 2", "sort", "reverse", "map: 'a'", "where: 'a', {0}", "uniq", "sha256", "truncate: 3")
operands = st.sampled_from(PATHS + LITERALS)
filters = st.builds(lambda name, operand: " | " + name.format(operand), st.sampled_from(FILTERS), operands)
expressions = st.builds(lambda first, more: first + "".join(more), operands, st.lists(filters, max_size=2))
tests = st.builds(
    " ".join, st.tuples(operands, st.sampled_from(("==", "!=", "<", ">", "<=", ">=", "contains", "<>")), operands)
)
conditions = st.builds(
    lambda first, more: first + "".join(more),
    operands | tests,
    st.lists(st.builds(" {} {}".format, st.sampled_from(("and", "or")), operands | tests), max_size=2),
)
counts = st.sampled_from(("", " limit: 2", " limit: row.n", " offset: 1", " reversed", " limit: 2 offset: row.n reversed"))


def inside(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Pieces that may stand anywhere, with pieces in them."""
    many = st.lists(part, max_size=3).map("".join)
    return st.one_of(
        st.builds("{{% if {} %}}{}{{% elsif {} %}}{}{{% else %}}{}{{% endif %}}".format, conditions, many, conditions, many, many),
        st.builds("{{% unless {} %}}{}{{% endunless %}}".format, conditions, many),
        st.builds("{{% for x in {}{} %}}{}{{% else %}}{}{{% endfor %}}".format, operands, counts, many, many),
        st.builds("{{% for x in {} %}}{}{{% if {} %}}{{% break %}}{{% else %}}{{% continue %}}{{% endif %}}{{% endfor %}}".format, operands, many, conditions),
        st.builds("{{% for x in {} %}}{}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}".format, operands, many),
        st.builds("{{% case {} %}}{{% when {}, {} %}}{}{{% when {} %}}{}{{% else %}}{}{{% endcase %}}".format, operands, operands, operands, many, operands, many, many),
        st.builds("{{% capture c %}}{}{{% endcapture %}}".format, many),
        st.builds("{{% assign {} = {} %}}".format, st.sampled_from(("v", "x", "row")), expressions),
        st.builds("{{% liquid\n echo {} \n%}}".format, expressions),
        st.builds("{{% ifchanged %}}{}{{% endifchanged %}}".format, many),
    )


pieces = st.recursive(
    expressions.map("{{{{ {} }}}}".format)
    | st.sampled_from((" ", "\t", "é", "%", "{% increment k %}", "{% decrement k %}", '{% cycle "a", "b" %}', "{% cycle row.a, 1 %}", "{% comment %} {% endcomment %}")),
    inside,
    max_leaves=8,
)
documents = st.recursive(
    expressions.map("{{{{ {} }}}}".format)
    | st.lists(pieces | st.sampled_from(("\\n", "\\u0041", "a")), max_size=4).map(lambda many: '"' + "".join(many) + '"')
    | st.sampled_from(("1", "-0", "1.0E5", "null ", "[ ]", "{ }", ' "x%s" ')),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda many: "[" + " , ".join(many) + "]"),
        st.lists(inner, max_size=3).map(lambda many: "{" + ",".join(f'"k{n}" : {one}' for n, one in enumerate(many)) + "}"),
        st.builds('{{"same": {}, "{{{{ row.t }}}}": {}}}'.format, inner, inner),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, conditions, inner, inner),
        st.builds('{{ "a": 1 {{% if {} %}}, "b": {}{{% endif %}} }}'.format, conditions, inner),
        st.builds("[{{% for x in {} %}}{}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}]".format, operands, inner),
        st.builds("{{% case row.t %}}{{% when 'a', 'b' %}}{}{{% else %}}{}{{% endcase %}}".format, inner, inner),
        st.builds("{{% assign v = {} %}}{}".format, expressions, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=1500, deadline=None)
@given(documents | pieces, st.lists(changes, min_size=1, max_size=3))
def test_compiled_and_interpreted_give_the_same_bytes_or_the_same_refusal(source: str, given: list[Change]) -> None:
    try:
        template = compile_template(source)
    except TemplateError:
        return
    for change in given:
        agree(template, change)


@settings(max_examples=500, deadline=None)
@given(pieces, changes)
def test_compiled_and_interpreted_give_the_same_text(source: str, change: Change) -> None:
    try:
        template = compile_text("-" + source)
    except TemplateError:
        return
    quick = template.lines(NAMES)
    code, template.code = template.code, None
    slow = template.lines(NAMES)
    template.code = code
    found = []
    for line in (quick, slow):
        try:
            found.append(line(change))
        except MessageInvalid as refused:
            found.append(str(refused))
    assert found[0] == found[1]
