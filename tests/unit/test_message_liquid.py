"""Rowcast's Liquid against Liquid's own: the golden cases, and python-liquid wherever what it gives is valid JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import liquid
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.errors import MessageInvalid
from rowcast.message.errors import TemplateError
from rowcast.message.template import compile_template, compile_text
from rowcast.models import Change, Row, from_json

NAMES = {"sync": {"name": "s"}, "run": {"id": "r", "started_at": "2025-03-04T10:11:12Z"}}
GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden_liquid.json").read_text(encoding="utf-8"))["cases"]
DEPARTURES = {
    # numbers are exact, and keep their scale
    "{{ 20 | divided_by: 7.0 }}": "2.857142857142857142857142857142857",
    "{{ 10 | divided_by: 2.0 }}": "5",
    "{{ 0 | divided_by: 1.1 }}": "0",
    "{{ 5.0 | times: 2.1 }}": "10.50",
    '{{ "5.0" | times: "2.1" }}': "10.50",
    # objects and arrays read as their JSON
    "{{ nosuchthing | compact }}": "[]",
    "{{ nosuchthing | sort_natural }}": "[]",
    '{{ nosuchthing | split: " " }}': "[]",
    "{{ a | where: nosuchthing, nothing }}": "[]",
    "{{ a | where: nosuchthing }}": "[]",
    "{{ nosuchthing | where: 'title' }}": "[]",
    "{% echo product.tags %}": '["sports","garden"]',
    "{{ a | sort_natural }}": '[1,"4",{}] [123]',
    # where python-liquid differs from Ruby's Liquid, Rowcast is as python-liquid
    "{% if false == blank %}TRUE{% else %}FALSE{% endif %}": "FALSE",
    "{% if nil == blank %}TRUE{% else %}FALSE{% endif %}": "FALSE",
    "{% if nosuchthing == blank %}TRUE{% else %}FALSE{% endif %}": "FALSE",
    # a cycle is known by its group, and one without a group by its values
    "{% cycle a: '1', '2' %}{% cycle a: '1', '2', '3' %}{% cycle a: '1' %}": "111",
    "{% cycle a: '1' %}{% cycle a: '1', '2' %}{% cycle a: '1', '2', '3' %}": "111",
    "{% cycle a: '1', '2', '3' %}{% cycle a: '1', '2' %}{% cycle a: '1' %}": "111",
    "{% cycle a: 1, 2, 3 %}{% cycle b: 1, 2, 3 %}{% cycle 1, 2, 3 %}": "123",
}
"""What Rowcast gives otherwise, on purpose."""


def change(row: Row) -> Change:
    return Change(operation="added", key=[1], key_hash="0", id="c", after=row)


def named(template: str, data: dict[str, Any]) -> str:
    return "".join(f"{{% assign {name} = row['{name}'] %}}" for name in data) + template


@pytest.mark.parametrize(("template", "data", "result"), GOLDEN)
def test_the_golden_cases_of_liquid_give_their_text(template: str, data: dict[str, Any], result: str) -> None:
    row = from_json(json.dumps(data))
    try:
        made = compile_text(named(template, data))
    except TemplateError:
        assert template in ("{{ blank }}", "{{ empty }}"), "an assignment cannot have these names"
        return
    before = made.mended
    line = made.lines(NAMES)(change(row))
    assert line == " ".join(result.split()) or line in DEPARTURES.get(template, "").split(" ")
    assert made.mended == before, "the code can do what is golden"


def test_the_golden_cases_of_liquid_give_the_same_text_inside_json() -> None:
    same = 0
    for template, data, result in GOLDEN:
        if template in DEPARTURES:
            continue
        try:
            made = compile_template(named(f'{{"out": "{template}"}}', data))
            sent = made.renderer(NAMES)(change(from_json(json.dumps(data))))
        except (TemplateError, MessageInvalid):  # a quote or a line break of the template's own
            continue
        if "\\" not in template:
            assert from_json(sent) == {"out": result}, template
            same += 1
    assert same > 600


WORDS = st.text("abcXYZ é😀-_.:/", max_size=12)
rows = st.fixed_dictionaries(
    {
        "t": WORDS,
        "u": WORDS,
        "n": st.integers(-(2**53), 2**53),
        "b": st.booleans(),
        "l": st.lists(st.fixed_dictionaries({"sku": WORDS, "count": st.integers(0, 99)}), max_size=4),
        "d": st.fixed_dictionaries({"t": WORDS, "n": st.integers()}),
    }
)
numbers = st.sampled_from(
    ("row.n", "row.d.n", "row.l.size", "row.t.size", "row.b", "row.n | plus: 1", "row.l | size", "7")
)
texts = st.sampled_from(
    ("row.t", "row['u']", "row.d.t", "row.t | upcase", "row.u | append: row.t", "row.t | default: 'x'")
)
texts |= st.sampled_from(
    ("row.l | map: 'sku' | join: '+'", "row.nope", "row.u | strip | downcase", "row.n", "row.l[0].sku")
)
tests = st.sampled_from(
    ("row.b", "row.nope", "row.n > 3", "row.t == 'a'", "row.t contains 'b' or row.b", "row.l == empty")
)
pieces = texts.map("{{{{ {} }}}}".format) | st.sampled_from(("", " ", "a", "é"))
strings = st.lists(
    pieces | st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, tests, pieces, pieces), max_size=3
).map(lambda many: '"' + "".join(many) + '"')
LOOP = '[{% for x in row.l %}{"sku": "{{ x.sku }}", "n": {{ forloop.index }}}'
LOOP += "{% unless forloop.last %},{% endunless %}{% endfor %}]"
documents = st.recursive(
    numbers.map("{{{{ {} }}}}".format) | strings | st.sampled_from(("null", "1.50", LOOP)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda many: "[" + ", ".join(many) + "]"),
        st.lists(inner, max_size=3).map(
            lambda many: "{" + ", ".join(f'"k{n}": {one}' for n, one in enumerate(many)) + "}"
        ),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, tests, inner, inner),
        st.builds("{{% case row.t %}}{{% when 'a' %}}{}{{% else %}}{}{{% endcase %}}".format, inner, inner),
        st.builds('{{"a": 1{{% if {} %}}, "b": {}{{% endif %}}}}'.format, tests, inner),
        st.builds("{{% assign v = {} %}}[{{{{ v }}}}, {}]".format, numbers, inner),
        st.builds('{{% capture c %}}<{}>{{% endcapture %}}["{{{{ c }}}}", {}]'.format, pieces, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=250, deadline=None)
@given(documents, rows)
def test_what_python_liquid_renders_to_valid_json_is_what_is_sent(source: str, row: Row) -> None:
    try:
        expected = from_json(liquid.Environment().from_string(source).render(row=row))
    except ValueError:  # no JSON
        return
    assert from_json(compile_template(source).renderer(NAMES)(change(row))) == expected
