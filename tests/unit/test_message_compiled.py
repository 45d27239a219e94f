"""Compiled templates against the interpreter: the same bytes or the same refusal, for whatever row."""

from __future__ import annotations

from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.errors import MessageInvalid
from rowcast.message.errors import TemplateError
from rowcast.message.template import Template, compile_template, compile_text
from rowcast.models import Change, from_json, to_json
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
        operation="changed" if before else "added",
        key=[1],
        key_hash="0",
        id="c",
        columns=["a"],
        before=before,
        after=after,
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


PATHS = (
    "row.a",
    "row.b",
    "row.t",
    "row.l",
    "row.d",
    "row.n",
    "row['a']",
    "row.d.a",
    "row.d.a.b",
    "row.l[0]",
    "row.l.first",
)
PATHS += (
    "row.l.last.a",
    "row.size",
    "row.l.size",
    "row.t.size",
    "row[row.t]",
    "row.l[row.n]",
    "row.nope.deeper",
    "previous.a",
)
PATHS += (
    "previous",
    "change.operation",
    "change.columns",
    "sync.name",
    "now",
    "x",
    "v",
    "c",
    "k",
    "forloop.index",
    "nope",
)
PATHS += ("x.a", "x[0]", "forloop.last", "forloop.parentloop.index0", "forloop.rindex", "forloop.length", "row.d.first")
LITERALS = ("1", "-7", "1.50", "'q\"%s\\'", "true", "nil", "empty", "blank", "(1..3)", "(row.n..2)", '"é😀{}"')
FILTERS = ("upcase", "downcase", "capitalize", "strip", "lstrip", "rstrip", "size", "first", "last", "json", "to_json")
FILTERS += ("append: {0}", "prepend: {0}", "default: {0}", "default: {0}, allow_false: true", "plus: {0}", "minus: {0}")
FILTERS += (
    "times: {0}",
    "round: 2",
    "cast: 'string'",
    "cast: 'number'",
    "join: {0}",
    "split: ','",
    "parse_json",
    "date: '%Y'",
)
FILTERS += (
    "replace: 'a', {0}",
    "slice: 0, 2",
    "sort",
    "reverse",
    "map: 'a'",
    "where: 'a', {0}",
    "uniq",
    "sha256",
    "truncate: 3",
)
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
counts = st.sampled_from(
    ("", " limit: 2", " limit: row.n", " offset: 1", " reversed", " limit: 2 offset: row.n reversed")
)


def inside(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Pieces that may stand anywhere, with pieces in them."""
    many = st.lists(part, max_size=3).map("".join)
    return st.one_of(
        st.builds(
            "{{% if {} %}}{}{{% elsif {} %}}{}{{% else %}}{}{{% endif %}}".format,
            conditions,
            many,
            conditions,
            many,
            many,
        ),
        st.builds("{{% unless {} %}}{}{{% endunless %}}".format, conditions, many),
        st.builds("{{% for x in {}{} %}}{}{{% else %}}{}{{% endfor %}}".format, operands, counts, many, many),
        st.builds(
            "{{% for x in {} %}}{}{{% if {} %}}{}{{% else %}}{}{{% endif %}}!{{% endfor %}}".format,
            operands,
            many,
            conditions,
            st.sampled_from(("{% break %}", "")),
            st.sampled_from(("{% continue %}", "")),
        ),
        st.builds(
            "{{% for x in {} %}}{}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}".format, operands, many
        ),
        st.builds(
            "{{% case {} %}}{{% when {}, {} %}}{}{{% when {} %}}{}{{% else %}}{}{{% endcase %}}".format,
            operands,
            operands,
            operands,
            many,
            operands,
            many,
            many,
        ),
        st.builds("{{% capture c %}}{}{{% endcapture %}}".format, many),
        st.builds("{{% assign {} = {} %}}".format, st.sampled_from(("v", "x", "row")), expressions),
        st.builds("{{% liquid\n echo {} \n%}}".format, expressions),
        st.builds("{{% ifchanged %}}{}{{% endifchanged %}}".format, many),
    )


pieces = st.recursive(
    expressions.map("{{{{ {} }}}}".format)
    | st.sampled_from(
        (
            " ",
            "\t",
            "é",
            "%",
            "{% increment k %}",
            "{% decrement k %}",
            '{% cycle "a", "b" %}',
            "{% cycle row.a, 1 %}",
            "{% comment %} {% endcomment %}",
        )
    ),
    inside,
    max_leaves=8,
)
documents = st.recursive(
    expressions.map("{{{{ {} }}}}".format)
    | st.lists(pieces | st.sampled_from(("\\n", "\\u0041", "a")), max_size=4).map(
        lambda many: '"' + "".join(many) + '"'
    )
    | st.sampled_from(("1", "-0", "1.0E5", "null ", "[ ]", "{ }", ' "x%s" ')),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda many: "[" + " , ".join(many) + "]"),
        st.lists(inner, max_size=3).map(
            lambda many: "{" + ",".join(f'"k{n}" : {one}' for n, one in enumerate(many)) + "}"
        ),
        st.builds('{{"same": {}, "{{{{ row.t }}}}": {}}}'.format, inner, inner),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, conditions, inner, inner),
        st.builds('{{ "a": 1 {{% if {} %}}, "b": {}{{% endif %}} }}'.format, conditions, inner),
        st.builds(
            "[{{% for x in {} %}}{}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}]".format, operands, inner
        ),
        st.builds("{{% case row.t %}}{{% when 'a', 'b' %}}{}{{% else %}}{}{{% endcase %}}".format, inner, inner),
        st.builds("{{% assign v = {} %}}{}".format, expressions, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=250, deadline=None)
@given(documents | pieces, st.lists(changes, min_size=1, max_size=3))
def test_compiled_and_interpreted_give_the_same_bytes_or_the_same_refusal(source: str, given: list[Change]) -> None:
    try:
        template = compile_template(source)
    except TemplateError:
        return
    for change in given:
        agree(template, change)


@settings(max_examples=80, deadline=None)
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


ORDER = (
    '{"id": {{ row.id }}, "name": "{{ row.name }}", "tags": [{% for t in row.tags %}{{ t }}{% unless forloop.last %},'
)
ORDER += '{% endunless %}{% endfor %}]{% if row.note %}, "note": "{{ row.note | upcase }}!"{% endif %}}'


@pytest.mark.parametrize(
    ("source", "proven"),
    [
        (ORDER, True),
        ('{% if row.a %}{"a": 1}{% else %}[]{% endif %}', True),
        ('{% case row.a %}{% when 1, 2 %}"x"{% when "a" %}1{% else %}null{% endcase %}', True),
        ("[{% for x in row.l %}{% if forloop.first == false %},{% endif %}{{ x }}{% endfor %}]", True),
        ('{"a": "{% for x in row.l %}{{ x }}{% endfor %}"}', True),
        ('{"a": 1, "a": {{ row.a }}}', False),
        ('{"{{ row.a }}": 1}', False),
        ("{% if row.a %}1{% endif %}", False),
        ("[{% for x in row.l %}{{ x }},{% endfor %}]", False),
        ("[{{ row.a }}{{ row.a }}]", False),
        ("[1{% if row.a %}2{% endif %}]", False),
        ("{% case row.a %}{% when 1 %}1{% when row.b %}2{% else %}3{% endcase %}", False),
        ('"{{ row.a }}" 1', False),
        ('["\\ud83d{{ row.a }}\\ude00"]', False),
    ],
)
def test_only_a_template_that_gives_json_for_every_row_is_proven(source: str, proven: bool) -> None:
    template = compile_template(source)
    assert template.proven is proven
    for value in (None, 1, "a", "", [1, "b"], {"c": 2}):
        agree(template, row_change(a=value, b=1, l=value, id=1, name=value, tags=value, note=value))


def test_rows_that_compiled_code_can_render_are_rendered_once() -> None:
    template = compile_template(ORDER + " ")
    before = template.mended
    assert agree(template, row_change(id=1, name='a"%s', tags=[1, "b"], note="x")) == (
        b'{"id":1,"name":"a\\"%s","tags":[1,"b"],"note":"X!"}'
    )
    assert template.mended == before
    assert "gave no JSON" in str(agree(template, row_change(id=Decimal("NaN"), name="", tags=[], note=1)))
    assert template.mended == before + 1


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("1\n{% ifchanged %}{% endifchanged %}", "the tag `ifchanged` at line 2, column 4"),
        ("{% cycle row.a, row.b %}", "`cycle` at line 1, column 4"),
        ("{% for x in row.l offset: continue %}{{ x }}{% endfor %}", "`continue` at line 1, column 27"),
        ("{% for x in row.l %}{{ forloop }}{% endfor %}", "`forloop` at line 1, column 24"),
        ("{{ row.a }}", None),
    ],
)
def test_what_is_left_to_the_interpreter_is_named_with_its_place(source: str, told: str | None) -> None:
    template = compile_template(source)
    assert template.interpreted == told
    agree(template, row_change(a="x", b=1, l=[1, 2]))


HOSTILE = (
    "__import__('os').system('exit 1')",
    "'); raise SystemExit #",
    '"""',
    "\\",
    "{0}",
    "%s%(x)s",
    "\n    raise SystemExit",
    "__class__",
    "k1",
    "row",
    "VALUES",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_and_names_of_a_template_are_only_ever_data(text: str) -> None:
    quoted = f"'{text}'" if "'" not in text else f'"{text}"'
    if "'" not in text or '"' not in text:
        source = (
            f"{{% assign a = {quoted} %}}[{{{{ a }}}}, {{{{ row[{quoted}] }}}}, {{{{ {quoted} | append: {quoted} }}}}]"
        )
        assert from_json(agree(compile_template(source), row_change(**{text: 7}))) == [text, 7, text + text]
    literal = to_json(text).decode()
    source = f'{{"k": {literal}, {literal}: "{{{{ row.a }}}}"}}'
    assert from_json(agree(compile_template(source), row_change(a=text))) == {"k": text, text: text}


@pytest.mark.parametrize(
    "name", ["__import__", "type", "VALUES", "UNDEFINED", "k1", "t1", "v1", "add", "class", "é", "row", "at", "left"]
)
def test_a_variables_name_is_none_in_the_code(name: str) -> None:
    loop = f"{{% for {name} in list %}}{{{{ {name} }}}}{{% endfor %}}"
    source = f"{{% assign list = row.l %}}{{% assign {name} = row.a %}}[{{{{ {name} }}}}, {loop}, {{{{ {name} }}}}]"
    assert agree(compile_template(source), row_change(a="x", l=["y"])) == b'["x","y","x"]'


def test_compiled_code_reaches_no_builtins_and_no_modules() -> None:
    code = compile_template(ORDER).code
    assert code is not None
    names = code.function.__globals__
    assert names["__builtins__"] == {}
    assert not [name for name, value in names.items() if isinstance(value, ModuleType)]


@pytest.mark.parametrize(
    "source",
    [
        '"{% for x in row.l %}{% for y in row.l %}{{ y }}{% endfor %}{% endfor %}"',
        "{% assign v = row.t %}{% for x in row.l %}{% assign v = v | append: v %}{% endfor %}1",
        "{% for x in row.l %}{% for y in row.l %}{% assign v = row.t | size %}{% endfor %}{% endfor %}1",
        "{% for x in row.l %}{% capture c %}{{ c }}{{ row.t }}{% endcapture %}{% endfor %}1",
        '"{% for x in row.l %}{{ row.t }}{% endfor %}"',
        "{% for x in row.l %}{{ row.t }}{% unless forloop.last %},{% endunless %}{% else %}1{% endfor %}",
    ],
)
@pytest.mark.parametrize(
    ("count", "length"), [(0, 0), (3, 5), (330, 10), (40, 40_000), (400, 4000), (2000, 4000), (20, 400_000)]
)
def test_limits_are_those_of_the_interpreter(source: str, count: int, length: int) -> None:
    agree(compile_template(source), row_change(l=[1] * count, t="é" * length))


@pytest.mark.parametrize(
    ("source", "value", "sent"),
    [
        ('"a\\"{{ row.a }}"', 'q"', b'"a\\"q\\""'),
        ('"a\\\\{{ row.a }}"', 'q"', b'"a\\\\q\\""'),
        ('{"a": "{{ row.a }}", "b": "{{ row.a }}"}', 'q"', b'{"a":"q\\"","b":"q\\""}'),
        ("{{ row.a }}", Decimal("-0"), b"0"),
        ("{{ row.a }}", -0.0, b"-0.0"),
        ("{{ row.a }}", 1e22, b"1E+22"),
        ("{{ row.a }}", 1e-7, b"1E-7"),
        ("{{ row.a }}", 123456.75, b"123456.75"),
        ("{{ row.a }}", [1e22, Decimal("-0")], b"[1E+22,0]"),
        ("{{ row.a | json }}", 1e22, b"1E+22"),
        ('[-0, 1.0E5, "\\u0041\\/"]', None, b'[0,1.0E+5,"A/"]'),
        ("[{{ row.a | size }}, {{ row.a | upcase }}]", "ß" * 5000, b'[5000,"' + b"S" * 10_000 + b'"]'),
        ("[{{ row.a | plus: 1 }}, {{ row.a | times: row.a }}]", True, b"[2,1]"),
        ("{{ row.a | append: row.a }}", None, b'""'),
        ("{{ row.a | default: row.b }}", None, b"null"),
    ],
)
def test_compiled_code_writes_what_the_interpreter_writes(source: str, value: Any, sent: bytes) -> None:
    template = compile_template(source)
    assert template.proven
    before = template.mended
    assert agree(template, row_change(a=value)) == sent
    assert template.mended == before


def test_half_a_surrogate_pair_in_a_variable_is_refused() -> None:
    template = compile_template("{% capture c %}{{ row.a }}{% endcapture %}1")
    assert "half a surrogate pair" in str(agree(template, row_change(a="\ud800")))
