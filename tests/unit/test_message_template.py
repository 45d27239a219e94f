"""Templates: what they render to, and what they refuse."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.errors import MessageInvalid
from rowcast.message.errors import TemplateError
from rowcast.message.template import compile_template
from rowcast.models import Change, from_json, to_json

NAMES = {"sync": {"name": "s"}, "run": {"id": "r", "started_at": "2025-03-04T10:11:12Z"}}


def render(template: str, **row: Any) -> str:
    change = Change(operation="added", key=[1], key_hash="00", id="c", after=row)
    return compile_template(template).renderer(NAMES)(change).decode()


def refused(template: str, **row: Any) -> str:
    with pytest.raises(MessageInvalid) as caught:
        render(template, **row)
    assert caught.value.__context__ is None, "a library's error may hold a value"
    assert caught.value.__cause__ is None
    return str(caught.value)


def template_error(template: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        compile_template(template)
    return caught.value


BOTH = '{"a": "{{ row.v }}", "b": {{ row.v }}}'
texts = st.text() | st.text(alphabet='"\\/{}[]%,:\n\r\t\x00\x1f\x7f\u2028😀é a1')
numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(texts)
def test_any_text_arrives_unchanged_inside_and_outside_quotes(text: str) -> None:
    assert from_json(render(BOTH, v=text)) == {"a": text, "b": text}


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_any_json_value_arrives_exactly_outside_quotes(value: Any) -> None:
    expected = to_json(from_json(to_json(value))).decode()
    assert render("{{ row.v }}", v=value) == expected
    assert render("{{ row.v | to_json }}", v=value) == expected
    assert render('{"a":[{{ row.v }},{{row.v|json}}]}', v=value) == f'{{"a":[{expected},{expected}]}}'


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_no_value_changes_the_structure_of_the_document(value: Any) -> None:
    template = """{"{{ row.v }}": "x{{ row.v }}y", "n": [{{ row.v }}, 1],
        "i": "{% if row.v %}{{ row.v | append: row.v }}{% else %}-{% endif %}",
        "c": {% capture c %}"{{ row.v }}{% endcapture %}{{ c }}, "d": "{{ c }}", "end": 1}"""
    document = from_json(render(template, v=value))
    assert document.pop("end") == 1
    assert document.pop("n")[1] == 1
    assert document["c"] == document["d"]
    assert len(document) >= 3


GOLDEN: list[tuple[str, Any, str]] = [
    # inside quotes
    ('"{{ row.v }}"', 'a"b\\c\n\t\x01\x7f\u2028😀', '"a\\"b\\\\c\\n\\t\\u0001\x7f\u2028😀"'),
    ('"{{ row.v }}"', None, '""'),
    ('"{{ row.v }}"', True, '"true"'),
    ('"{{ row.v }}"', Decimal("12.50"), '"12.50"'),
    ('"{{ row.v }}"', Decimal("1E+22"), '"10000000000000000000000"'),
    ('"{{ row.v }}"', 1e-7, '"0.0000001"'),
    ('"{{ row.v }}"', Decimal("1E+400"), '"1E+400"'),
    ('"{{ row.v }}"', {"a": [1, 'x"']}, '"{\\"a\\":[1,\\"x\\\\\\"\\"]}"'),
    ('"{{ row.v }}"', [1, "b"], '"[1,\\"b\\"]"'),
    ('"{{ row.nope }}{{ row.v.nope.deeper }}"', 1, '""'),
    ('"{{ row.v | to_json }}"', {"a": 1}, '"{\\"a\\":1}"'),
    ('"\\"{{ row.v }}\\\\{{ row.v }}\\u00e9{{ row.v }}"', '"', '"\\"\\"\\\\\\"é\\""'),
    # outside quotes
    ("{{ row.v }}", "x", '"x"'),
    ("{{ row.v }}", None, "null"),
    ("{{ row.nope }}", None, "null"),
    ("{{ row.v }}", Decimal("12.50"), "12.50"),
    ("{{ row.v }}", Decimal("1234567890123456789012345678901234567.890"), "1234567890123456789012345678901234567.890"),
    ("{{ row.v }}", 10**39, "1" + "0" * 39),
    ("{{ row.v }}", {"b": 1, "a": [None, False]}, '{"b":1,"a":[null,false]}'),
    ("{{ row.v.b[1].c }}", {"b": [0, {"c": "deep"}]}, '"deep"'),
    ('{ {{- row.v -}} : {{ row["any name"] }} }', "k", '{"k":"other"}'),
    ("{{ row.v | to_json }}", 'q"', '"q\\""'),
    ("{{ row.v | json }}", {"a": Decimal("1.0")}, '{"a":1.0}'),
    ("{{ row.v | to_json | to_json }}", 1, '"1"'),
    ("{{ row.v | to_json | append: '' }}", 1, '"1"'),
    ("{% assign j = row.v | to_json %}{{ j }}", {"a": 1}, '{"a":1}'),
    ("[{{ nil }}, {{ true }}, {{ 1.50 }}, {{ 'x' }}, {{ empty }}, {{ (1..3) }}]", 0, '[null,true,1.50,"x","",[1,2,3]]'),
    # captured and assigned text is escaped where it is put out
    (
        '{% capture c %}"{{ row.v }}"{% endcapture %}{"in": "{{ c }}", "out": {{ c }}}',
        '"',
        '{"in":"\\"\\"\\"","out":"\\"\\"\\""}',
    ),
    ('{% capture c %}<{{ row.v }}>{% endcapture %}"{{ c }}"', "a\rb\r\nc", r'"<a\rb\r\nc>"'),
    ("{% capture c %}[{{ row.v | to_json }}]{% endcapture %}{{ c | parse_json }}", 'a"]', '["a\\"]"]'),
    ('{% assign x = row.v | upcase %}"{{ x }}"', 'a"', '"A\\""'),
    # control flow
    ('{"a": {% if row.v > 1 %}"big{% else %}"small{% endif %}"}', 2, '{"a":"big"}'),
    ("{% unless row.v %}1{% elsif row.v == 2 %}2{% else %}3{% endunless %}", 2, "2"),
    ('"{% case row.v %}{% when 1, 2 %}low{% when "x" %}x{% else %}-{% endcase %}"', 2, '"low"'),
    (
        "[{% for x in row.v %}{{ x }}{% unless forloop.last %},{% endunless %}{% else %}0{% endfor %}]",
        [1, "a"],
        '[1,"a"]',
    ),
    ("[{% for x in row.v %}{{ x }}{% else %}0{% endfor %}]", [], "[0]"),
    ("[{% for p in row.v %}{{ p[0] }},{{ p[1] }}{% endfor %}]", {"k": 1}, '["k",1]'),
    (
        '"{% for x in row.v %}{% if x == 2 %}{% continue %}{% elsif x == 4 %}{% break %}{% endif %}{{x}}{% endfor %}"',
        [1, 2, 3, 4, 5],
        '"13"',
    ),
    (
        "[{% for i in (1..4) limit: row.v offset: 1 reversed %}{{ i }}{% if forloop.first %},{% endif %}{% endfor %}]",
        2,
        "[3,2]",
    ),
    (
        '["{% cycle "a", "b" %}",{% cycle "a", "b" %},{% increment n %},"{% increment n %}",{% decrement m %}]',
        0,
        '["a","b",0,"1",-1]',
    ),
    ('"{% ifchanged %}{{ row.v }}{% endifchanged %}{% ifchanged %}{{ row.v }}{% endifchanged %}"', "x", '"x"'),
    ("{% liquid\n  assign a = row.v | plus: 1\n  if a > 1\n    echo a\n  endif\n%}", 1, "2"),
    ('"{% echo row.v %}"', '"', '"\\""'),
    (
        '{% capture t %}{% tablerow i in (1..1) %}{{ i }}{% endtablerow %}{% endcapture %}"{{t|strip_html|strip}}"',
        0,
        '"1"',
    ),
    ('"{% raw %}{{ row.v }} {% if %}{% endraw %}"', 0, '"{{ row.v }} {% if %}"'),
    ('{% comment %} " {{ row.v }} {% endcomment %}{% # " %}{% doc %} " {% enddoc %}1', 0, "1"),
    ('{\n  "a": "{{- row.v -}}"\n  {%- if row.v -%} , "b": 1 {%- endif -%}\n}\n', "x", '{"a":"x","b":1}'),
    ("{% if row.v == 19.99 and row.v <= 19.99 and row.v >= 19.99 %}1{% endif %}", Decimal("19.990"), "1"),
    ("{{ row.v | to_json | compact }}", "x", '["\\"x\\""]'),
    # exact arithmetic
    (
        "{{ row.v | plus: 1 }}",
        Decimal("1234567890123456789012345678901234567.50"),
        "1234567890123456789012345678901234568.50",
    ),
    ("{{ row.v | minus: '0.10' }}", Decimal("0.30"), "0.20"),
    ("{{ row.v | times: 1.1 }}", Decimal("12.50"), "13.750"),
    ("{{ row.v | times: 3 }}", 10**30, "3" + "0" * 30),
    ("{{ row.v | round }}", Decimal("2.5"), "3"),
    ("{{ row.v | round: 2 }}", Decimal("1234567890123456789012345.675"), "1234567890123456789012345.68"),
    ("{{ row.v | round: -2 }}", 1250, "1300"),
    ("[{{ row.v | floor }},{{ row.v | ceil }},{{ row.v | abs }}]", Decimal("-1.50"), "[-2,-1,1.50]"),
    ("[{{ row.v | at_least: 3 }},{{ row.v | at_most: 2 }}]", Decimal("2.50"), "[3,2]"),
    ("[{{ row.v | divided_by: 2 }},{{ row.v | divided_by: 2.0 }},{{ row.v | modulo: 4 }}]", 7, "[3,3.5,3]"),
    ("{{ row.v | modulo: 3 }}", Decimal("-1.5"), "1.5"),
    ("{{ row.v | sum }}", [Decimal("0.10"), Decimal("0.20"), 1], "1.30"),
    ("{{ row.v | sum: 'n' }}", [{"n": Decimal("0.10")}, {"n": "0.20"}, {}], "0.30"),
    ("{{ row.v | plus: 1 }}", None, "1"),
    # casts
    (
        "[{{ row.v | cast: 'number' }},{{ row.v | cast: 'string' }},{{ row.v | cast: 'json' }}]",
        "12.50",
        '[12.50,"12.50",12.50]',
    ),
    ("{{ row.v | cast: 'number' }}", " 123456789012345678901234567890.10 ", "123456789012345678901234567890.10"),
    ("[{{ row.v | cast: 'string' }},{{ row.v | cast: 'boolean' }},{{ row.v | cast: 'json' }}]", 0, '["0",false,0]'),
    ("{{ row.v | cast: 'boolean' }}", "Yes", "true"),
    ("{{ row.v | cast: 'json' }}", '{"a": 1.10}', '{"a":1.10}'),
    ('"{{ row.v | cast: "json" }}"', {"a": 1}, '"{\\"a\\":1}"'),
    (
        "[{{row.v|cast:'number'}},{{row.v|cast:'string'}},{{row.v|cast:'boolean'}},{{row.v|cast:'json'}}]",
        None,
        "[null,null,null,null]",
    ),
    ("{{ row.v | parse_json | map: 'a' | join: ';' }}", '[{"a":1},{"a":true},{}]', '"1;true;"'),
    # filters on text read values as Liquid writes them, not as Python does
    ("{{ row.v | append: row.nope | append: true | append: nil }}", False, '"falsetrue"'),
    ("{{ row.v | upcase }}", {"a": 1}, '"{\\"A\\":1}"'),
    ("{{ row.v | default: 'none' }}", "", '"none"'),
    ("{{ row.v | split: ',' | reverse }}", "a,b", '["b","a"]'),
    ("{{ row.v | slice: 1, 2 }}", "abcd", '"bc"'),
    ("{{ row.v | truncate: 5 }}", "abcdefgh", '"ab..."'),
    ("{{ row.v | uniq }}", [1, "1", 1, {"a": 1}, {"a": 1}], '[1,"1",{"a":1}]'),
    ("{{ row.v | map: 'a' | compact | size }}", [{"a": 1}, {}], "1"),
    ("{{ row.v | where: 'a' | first }}", [{"b": 1}, {"a": 1}], '{"a":1}'),
    ("[{{ row.v | join }},{{ row.v | size }},{{ row.v | compact }}]", None, '["",0,[]]'),
    # hashes
    ("{{ row.v | md5 }}", "a", '"0cc175b9c0f1b6a831c399e269772661"'),
    ("{{ row.v | sha1 }}", "a", '"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"'),
    ("{{ row.v | sha256 }}", "é", '"4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"'),
    ("{{ row.v | hmac_sha256: 'k' }}", "x", '"c38edc8815c8489f64738978f44008f8596345545f0baa68ef6fcf5c53e57189"'),
    ("{{ row.v | base64_encode }}", "é", '"w6k="'),
    # dates
    ("{{ row.v | date: '%Y-%m-%d %H:%M:%S %z' }}", "2024-02-03T04:05:06+02:00", '"2024-02-03 04:05:06 +0200"'),
    ("{{ row.v | date: '%s.%L' }}", "2024-02-03T04:05:06.789Z", '"1706933106.789"'),
    ("{{ row.v | date: '%%s %%L %%Y' }}", "2024-02-03", '"%s %L %Y"'),
    ("{{ row.v | date: '%Y' }}", "²", '"²"'),
    ("{{ row.v | date: '%Y-%m-%d %z' }}", "20240203T040506Z", '"2024-02-03 +0000"'),
    ("{{ row.v | date: '%d.%m.%Y' }}", "2024-02-03", '"03.02.2024"'),
    ("{{ row.v | date: '%Y-%m-%dT%H:%M:%S' }}", 1706933106, '"2024-02-03T04:05:06"'),
    ("{{ row.v | date: '%Y-%m-%d' }}", "Feb 3, 2024", '"2024-02-03"'),
    ("{{ row.v | date: '%Y' }}", "no date", '"no date"'),
    ("{{ row.v | date: '%Y' }}", None, "null"),
    ("{{ 'now' | date: '%Y-%m-%d %H:%M:%S' }}", 0, '"2025-03-04 10:11:12"'),
    ("{{ row.v | date: '%Y-%m-%d %H:%M' }}", "10:30", '"2025-03-04 10:30"'),
]


@pytest.mark.parametrize(("template", "value", "expected"), GOLDEN)
def test_templates_render_as_documented(template: str, value: Any, expected: str) -> None:
    assert render(template, v=value, **{"any name": "other"}) == expected


@pytest.mark.parametrize(
    ("template", "line", "column", "message"),
    [
        ("{{ row.v", 1, 1, "expected '}}'"),
        ("1\n{% if row.v %}\n1\n", 3, 2, "expected tag endif, found end of the template"),
        ("1\n{{ row.v | }}\n1", 2, 4, "found end of expression"),
        ("{% if row.v %}\n{% assign x %}\n{% endif %}", 2, 11, "expected '='"),
        ("{% if row.v %}{% else %}{% else %}{% endif %}", 1, 28, "endif"),
        ('{"a":\n  {{ row.v | upcas }}}', 2, 14, "did you mean `upcase`"),
        ("{% assign a = row.v | nope %}1", 1, 23, "unknown filter"),
        ("{{ row.v | append: (1..nope) | x }}", 1, 32, "unknown filter"),
        ("{{ row.v | plus }}", 1, 12, "does not take"),
        ("{{ row.v | upcase: 1, 2 }}", 1, 12, "does not take"),
        ("{{ row.v | cast: 'numbr' }}", 1, 12, "number, string, boolean, json"),
        ("{% include 'x' %}", 1, 4, "`include` is off"),
        ("{% render 'x' %}", 1, 4, "`render` is off"),
        ("{% nope %}", 1, 4, "unknown or misplaced tag 'nope'"),
        ("", 1, 1, "empty"),
        ('{"a": "x}', 1, 7, "not closed"),
        ('{"a": "x\n"}', 1, 9, "line break inside the JSON string"),
        ('{"a": "\\x"}', 1, 9, "no escape of JSON"),
        ('{"a": "\\{{ row.v }}"}', 1, 9, "backslash"),
        ('{"a": "\\u00{{ row.v }}"}', 1, 12, "backslash"),
        ('{"a": "\\u00g0"}', 1, 12, "four hexadecimal digits"),
        ('{"a": "{% if row.v %}x"{% endif %}}', 1, 11, "branches"),
        ('"{% if row.v %}{% else %}"{% endif %}', 1, 5, "branches"),
        ('{% unless row.v %}"{% elsif row.w %}"{% endunless %}"', 1, 4, "branches"),
        ('{% for x in row.v %}"{% endfor %}', 1, 4, "block of this `for`"),
        ('[{% for x in row.v %}1{% else %}"{% endfor %}]', 1, 5, "block of this `for`"),
        ('{% for x in row.v %}"{% break %}"{% endfor %}', 1, 25, "`break` leaves"),
        ('{% for x in row.v %}"{% continue %}{% endfor %}', 1, 25, "`continue` leaves"),
        ("{% for x in row.v %}{% capture c %}{% break %}{% endcapture %}{% endfor %}", 1, 39, "captured"),
        ("{% break %}", 1, 4, "outside of a loop"),
        ('{% case row.v %}{% when 1 %}"a{% else %}"b{% endcase %}"', 1, 4, "block of this `case`"),
        ('{% ifchanged %}"{% endifchanged %}"', 1, 4, "ifchanged"),
        ("{% tablerow x in row.v %}{% endtablerow %}", 1, 4, "HTML"),
    ],
)
def test_a_template_that_cannot_be_safe_is_refused_with_its_place(
    template: str, line: int, column: int, message: str
) -> None:
    error = template_error(template)
    assert message in error.message
    assert (error.line, error.column) == (line, column)
    assert str(error) == f"line {line}, column {column}: {error.message}"


def test_branches_that_all_open_a_string_may_close_it_together() -> None:
    template = '{% if row.v %}"a{% elsif row.w %}"b{% else %}"c{% endif %}{{ row.x }}"'
    assert render(template, v=False, w=True, x='"') == '"b\\""'


SECRET = "s3cret"


@pytest.mark.parametrize(
    ("template", "value", "reason"),
    [
        ("{{ row.v | divided_by: 0 }}", 1, "line 1, column 12: in the filter `divided_by`, division by zero"),
        ("{{ row.v | modulo: 0.0 }}", 1, "division by zero"),
        ("\n{{ row.v | cast: 'number' }}", SECRET, "line 2, column 12: in the filter `cast`, the value is no number"),
        ("{{ row.v | cast: 'boolean' }}", SECRET, "neither true nor false"),
        ("{{ row.v | cast: row.v }}", SECRET, "must be one of"),
        ("{{ row.v | parse_json }}", SECRET, "no JSON: unexpected character."),
        ("{{ row.v | parse_json }}", "[" * 50_000, "nested too deeply"),
        ("{{ row.v | parse_json }}", "1e99999999999999999999", "a number out of range"),
        ("{{ row.v | sort }}", [1, SECRET], "in the filter `sort`"),
        ("{{ row.v | base64_decode }}", SECRET, "in the filter `base64_decode`"),
        ("{{ row.v | truncate: row.v }}", SECRET, "in the filter `truncate`"),
        ("{{ row.v | concat: row.v }}", SECRET, "in the filter `concat`"),
        ("{% if row.v < 1 %}1{% endif %}", SECRET, "a type that this cannot work on"),
        ('"{{ row.v }}"', f"{SECRET}\ud800", "half a surrogate pair"),
        ("{{ row.v }}", f"{SECRET}\ud800", "half a surrogate pair"),
        ("{{ row.v | sha256 }}", f"{SECRET}\ud800", "in the filter `sha256`"),
        ("{% capture c %}{{ row.v }}{% endcapture %}1", f"{SECRET}\ud800", "half a surrogate pair"),
        ("{{ row.v }}", float("nan"), "not finite"),
        ("{{ row.v }}", Decimal("NaN"), "gave no JSON: unexpected character"),
        ("{{ forloop }}{% for x in row.v %}{{ forloop }}{% endfor %}", [1], "loop's own object"),
        ("{% if row.v %}{% endif %}", 1, "The template gave no text"),
        (
            '{"a": 1{% if row.v %},{% endif %}}',
            SECRET,
            "no JSON: a comma before `}`, at line 1, column 34 of the template",
        ),
        ('{"a": {{ row.v }}{{ row.v }}}', 1, "gave no JSON"),
        ('{"a": 1{{ row.v }}}', 1, "gave no JSON"),
        ('{"a": {{ row.v }}\n "b": 1}', SECRET, "`,` or `}` is missing, at line 2, column 2 of the template"),
        (
            '{"a":{% if row.v %}\n {{ row.v }}{{ row.v }} {% endif %}}',
            SECRET,
            "missing, at line 1, column 9 of the template",
        ),
        ('{"a": [{{ row.v }}', SECRET, "ends too early or has half a surrogate pair, at line 1, column 8"),
    ],
)
def test_a_row_that_a_template_fails_on_is_refused_without_its_value(template: str, value: Any, reason: str) -> None:
    text = refused(template, v=value)
    assert reason in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("template", "value", "reason"),
    [
        ("[{% for a in (1..row.v) %}{% for b in (1..row.v) %}{% endfor %}{% endfor %}]", 1000, "loop iterations"),
        ("[{% for a in (1..row.v) %}{% endfor %}]", 10**9, "range is longer"),
        ("[{% for a in (1..row.v) %}{% endfor %}]", Decimal("1E+999999999"), "too large"),
        ("[{% for a in (1..2) limit: row.v %}{% endfor %}]", Decimal("1E+999999999"), "too large"),
        ("{{ (1..row.v) | join }}", "999999999999", "range is longer"),
        ("{% assign r = (1..row.v) %}{% if r contains 'x' %}1{% endif %}", 10**12, "range is longer"),
        ("{{ 'x' | slice: row.v }}", Decimal("1E+999999999"), "too large"),
        ("{{ row.v | round }}", Decimal("1E+999999999"), "too large"),
        ("{{ row.v | plus: 1 }}", Decimal("1E-999999999"), "too large"),
        ("{{ 1 | divided_by: 3.0 | round: row.v }}", 10**9, "too many digits"),
        ("{{ row.v | replace: '', row.v }}", "ab" * 20_000, "longer than"),
        ("{{ row.v | split: '' | join: row.v }}", "ab" * 20_000, "longer than"),
        (
            "{% assign x = row.v %}{% for i in (1..99) %}{% assign x = x | append: x %}{% endfor %}1",
            "ab",
            "longer than",
        ),
        ("{% assign x = row.v %}{% for i in (1..99) %}{% assign x = x | concat: x %}{% endfor %}1", [1], "variables"),
        ("{% assign x = row.v %}{% for i in (1..99) %}{% assign x = x | times: x %}{% endfor %}1", 10, "too large"),
        (
            "{% assign x = row.v %}{% for i in (1..99) %}{% assign x = x | times: x %}{% endfor %}1",
            Decimal("1.1"),
            "too many digits",
        ),
        ('"{% for i in (1..9999) %}{{ row.v }}{% endfor %}"', "ab" * 2000, "bytes of text"),
        ("{% for i in (1..9999) %}{% assign x = row.v | size %}{% endfor %}1", "ab" * 20_000, "too much work"),
        (
            "{% for i in (1..9999) %}{% capture x %}{{ row.v }}{% endcapture %}{% endfor %}1",
            ["a" * 40_000],
            "too much work",
        ),
        ("{% for i in (1..9999) %}{% assign x = row.v | json %}{% endfor %}1", ["a" * 40_000], "too much work"),
        ("{{ row.v | ceil }}", "1e999999", "too large"),
        ("{{ row.v | strip_html }}", "<" * 100_000, "longer than"),
        ("{{ row.v | join | json | json | json | json | json | json | size }}", ['"' * 200_000], "longer than"),
        ("{{ row.v | join | escape | escape | size }}", ["<" * 2_000_000], "longer than"),
        ("{{ row.v | json | size }}", ["a" * 6_000_000] * 2, "longer than"),
    ],
)
def test_a_row_cannot_make_a_template_work_without_bounds(template: str, value: Any, reason: str) -> None:
    assert reason in refused(template, v=value)


def test_a_long_text_passes_through_a_filter_that_does_not_lengthen_it() -> None:
    assert render("{{ row.v | upcase | size }}", v="a" * 12_000_000) == "12000000"


def test_blocks_nested_too_deeply_are_refused() -> None:
    assert "nested" in template_error("{% if row.v %}" * 40 + "1" + "{% endif %}" * 40).message


def test_a_value_nested_deeply_is_refused_and_does_not_crash() -> None:
    value: list[Any] = []
    for _ in range(20_000):
        value = [value]
    assert "nested too deeply" in refused("{{ row.v }}", v=value)
    assert "nested too deeply" in refused('"{{ row.v }}"', v=value)
    assert "nested too deeply" in refused("{{ row.v | to_json }}", v=value)


def test_rows_that_fail_alike_are_told_the_same_reason() -> None:
    template = '{"a": "{{ row.v }}",\n "b": {{ row.v }} "c": 1}'
    assert refused(template, v="x") == refused(template, v='a "much" longer value é\n') == refused(template, v=12)
