"""JSON safety over arbitrary templates and rows: what is sent equals what a parser of JSON would have built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.errors import MessageInvalid
from rowcast.message.errors import TemplateError
from rowcast.message.template import compile_template
from rowcast.models import Change, Row, from_json, to_json

NAMES = {"sync": {"name": "s"}, "run": {"id": "r", "started_at": "2025-03-04T10:11:12Z"}}
NASTY = '"}],\\\n\r\t\x00\u2028😀{{ row.a }}{% raw %}\\u0041 é'
texts = st.text() | st.text(alphabet='"\\/{}[]%,:\n\r\t\x00\x1f\u2028😀é a1')
plain = st.none() | st.booleans() | st.integers() | texts
values = st.recursive(
    plain | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
rows = st.fixed_dictionaries({"any": values, "plain": plain, "text": texts, "list": st.lists(values, max_size=3)})

Part = tuple[str, Callable[[Row], Any]]
"""A piece of a template that writes one JSON value, and the value that a row should give."""


def rendered(template: str, row: Row) -> Any:
    change = Change(operation="added", key=[1], key_hash="00", id="c", after=row)
    return from_json(compile_template(template).renderer(NAMES)(change))


def read(value: Any) -> str:
    """What a plain value reads as inside a string."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def constant(value: Any) -> Part:
    return to_json(value).decode(), lambda row: value


def string(pieces: list[str]) -> Part:
    """A JSON string of literal text and columns, which are written `@name`."""
    written = "".join(f"{{{{ row.{piece[1:]} }}}}" if piece[0] == "@" else piece for piece in pieces)
    return f'"{written}"', lambda row: "".join(read(row[p[1:]]) if p[0] == "@" else p for p in pieces)


def array(parts: list[Part]) -> Part:
    return "[" + ", ".join(text for text, _ in parts) + " ]", lambda row: [value(row) for _, value in parts]


def mapping(parts: list[Part]) -> Part:
    """Under the names k0, k1, …, and one name that is a row's text."""
    fields = [f'"k{number}": {text}' for number, (text, _) in enumerate(parts)] + ['"of {{ row.text }}": 1']
    return "{ " + ",".join(fields) + " }", lambda row: {
        **{f"k{number}": value(row) for number, (_, value) in enumerate(parts)},
        "of " + row["text"]: 1,
    }


def either(column: str, parts: tuple[Part, Part]) -> Part:
    (yes, yes_value), (no, no_value) = parts
    text = f"{{% if row.{column} %}}{yes}{{% else %}}{no}{{% endif %}}"
    return text, lambda row: (no_value if row[column] is None or row[column] is False else yes_value)(row)


LOOP = "[{% for x in row.list %}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}]"
leaves = st.sampled_from(
    [
        ("{{ row.any }}", lambda row: row["any"]),
        ("{{ row['any'] | to_json }}", lambda row: row["any"]),
        ("{% assign v = row.any %}{{ v }}", lambda row: row["any"]),
        ("{{ row.missing }}", lambda row: None),
        ("{{ row.any | to_json | parse_json }}", lambda row: row["any"]),
        ("{% capture c %}<{{ row.text }}>{% endcapture %}{{ c }}", lambda row: f"<{row['text']}>"),
        (
            "{% case change.operation %}{% when 'added' %}{{ row.text }}{% else %}0{% endcase %}",
            lambda row: row["text"],
        ),
        (LOOP, lambda row: row["list"]),
    ]
)
literals = st.text(alphabet="ab é😀:,[]", min_size=1, max_size=3)
parts = st.recursive(
    leaves
    | st.sampled_from([None, True, 0, "x", 12345678901234567890]).map(constant)
    | st.lists(literals | st.sampled_from(["@text", "@plain"]), max_size=4).map(string),
    lambda inner: (
        st.lists(inner, max_size=3).map(array)
        | st.lists(inner, max_size=3).map(mapping)
        | st.tuples(st.sampled_from(["any", "plain"]), st.tuples(inner, inner)).map(lambda drawn: either(*drawn))
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(parts, rows)
def test_any_template_renders_any_row_to_the_value_that_was_meant(part: Part, row: Row) -> None:
    text, meant = part
    assert rendered(text, row) == from_json(to_json(meant(row)))


FRAGMENTS = (
    *('{"a":', "}", "[", "]", '"', '"k"', ",", ":", "\\", "\\n", "1", "null", " ", "x", "{{ row.a }}", "{{ row.b }}"),
    *("{% if row.a %}", "{% else %}", "{% endif %}", "{% unless row.a %}", "{% endunless %}", "{{ c }}"),
    *("{% for x in row.l %}", "{{ x }}", "{% break %}", "{% endfor %}", "{% capture c %}", "{% endcapture %}"),
    *(
        "{% case row.a %}",
        "{% when row.b %}",
        "{% endcase %}",
        "{% cycle row.a, row.b %}",
        "{{ row.a | append: row.b }}",
    ),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12), st.booleans())
def test_whatever_a_template_is_made_of_no_text_of_a_row_changes_its_structure(pieces: list[str], listed: bool) -> None:
    template = "".join(pieces)
    template = f"[{template}]" if listed else template
    try:
        harmless = rendered(template, {"a": "A!", "b": "A!", "l": ["A!", "A!"]})
    except TemplateError:
        return  # refused before any row was seen
    except MessageInvalid:
        harmless = MessageInvalid
    try:
        nasty = rendered(template, {"a": NASTY, "b": NASTY, "l": [NASTY, NASTY]})
    except MessageInvalid:
        nasty = MessageInvalid
    assert nasty == with_text(harmless)


def with_text(value: Any) -> Any:
    """The value as it would be, had the nasty text been in the row."""
    if isinstance(value, str):
        return value.replace("A!", NASTY)
    if isinstance(value, list):
        return [with_text(item) for item in value]
    if isinstance(value, dict):
        return {with_text(name): with_text(item) for name, item in value.items()}
    return value
