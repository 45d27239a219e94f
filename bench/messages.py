"""How fast rows become messages: Liquid templates, and messages of columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any

from bench.case import Case, Goal, Profile, Side, Size, Topic
from bench.sending import sync_of
from bench.side import timed
from rowcast.definition import Definition, Message, Triggers
from rowcast.message import RunInfo, compile_message
from rowcast.models import Change, Row

RUN = RunInfo("bench", 1763632800.0)
NAMES = RUN.names("bench")
DISTINCT = 2000

FLAT = """{"id": {{ row.id }}, "email": "{{ row.email }}", "name": "{{ row.name }}", "status": "{{ row.status }}",
 "quantity": {{ row.quantity }}}"""
NESTED = """{"id": {{ row.id }}, "status": "{{ row.status }}", "quantity": {{ row.quantity }}, "paid": {{ row.paid }},
 "customer": {"id": {{ row.customer }}, "email": "{{ row.email }}", "name": "{{ row.name }}",
  "address": {"street": "{{ row.street }}", "city": "{{ row.city }}", "zip": "{{ row.zip }}",
   "country": "{{ row.country }}"}},
 "times": {"created": "{{ row.created_at }}", "updated": "{{ row.updated_at }}"},
 "note": "{{ row.note }}", "by": "{{ sync.name }}"}"""
LOGIC = """{"id": {{ row.id }}, "status": "{{ row.status | upcase }}", "operation": "{{ change.operation }}",
 "customer": {"email": "{{ row.email | downcase }}", "name": "{{ row.name | default: 'unknown' }}",
  "city": "{{ row.city }}", "country": "{{ row.country }}"},
 {% if row.quantity > 10 %}"large": true,{% endif %}
 "note": {% if row.note %}"{{ row.note }}"{% else %}null{% endif %},
 "lines": [{% for line in row.lines %}{"sku": "{{ line.sku }}", "count": {{ line.count | plus: 1 }}}
  {%- unless forloop.last %},{% endunless %}{% endfor %}],
 "kind": {% case row.status %}{% when 'new', 'paid' %}"open"{% else %}"other"{% endcase %}}"""
TEMPLATES = {
    "flat": (FLAT, "Liquid, flat, 5 fields"),
    "nested": (NESTED, "Liquid, nested, 15 fields"),
    "logic": (LOGIC, "Liquid with filters, a loop and conditions"),
}
PLAIN = ("id", "customer", "status", "country", "email", "quantity", "created_at", "updated_at", "note", "paid")
NESTED_COLUMNS = {
    **{name: name for name in ("id", "status", "quantity", "paid", "note")},
    **{f"customer.{name}": name for name in ("customer", "email", "name")},
    **{f"customer.address.{name}": name for name in ("street", "city", "zip", "country")},
    **{"times.created": "created_at", "times.updated": "updated_at", "times.by": "name"},
}
COLUMNS = {
    "all": "all columns (10)",
    "decimals": "all columns (10), and two of decimals",
    "columns": "`columns`, 10 renamed",
    "nested": "`columns`, 15 nested",
    "json": "one column of JSON, 15 fields nested",
    "text": "one column of JSON as text, 15 fields nested",
}

TOPIC = Topic(
    title="Messages",
    about="""Processor time of one core. A template's rows hold texts that need no escaping: only then does
python-liquid give JSON at all. Its side is its own `render`, from a template that is parsed once, and `orjson.loads`
of what it gave; ours is from a change to the bytes that are sent, escaped, proven to be JSON and bounded. That both
mean the same JSON is checked on every row. "interpreter" is what a template falls back to that cannot be compiled.
For messages of columns the limit is `orjson.dumps` of a dictionary that lies ready; decimals it writes exactly
through its `default`. JSON as text lies in no dictionary, and has to be parsed to be known to be JSON: there the
limit is orjson's own way from text to bytes, which rounds numbers. The dump of the dictionary that the text tells of
is shown beside it.""",
    remains="""A template costs about 0.2 µs for each value, most of it the look-up in the row and the choice of how its
type is written. Messages of columns under other names have to be put together first, while the limit finds its
dictionary ready. The objects that they are written from stay from row to row, with a place for each value, so that what
nests costs no more than what lies flat: fifteen columns nested are within twice the dump. With ten flat ones what each
message costs once weighs more: they take twice the dump and a little more.

Of their 0.28 µs, ten look-ups by name take 0.05 in any way that Python has, to put the values in their places takes
0.05 more, the writer 0.11, bytes of its own 0.03 and the call 0.03; the dump takes 0.14. The core's writer, msgspec, is
as quick for these objects as orjson is for a dictionary. With orjson in its place it would take longer: it needs
dictionaries, which take longer to fill, and for each decimal it calls Python, while msgspec writes decimals, and
integers of any length, exactly and at once. To write many messages as lines of one text takes the call and the bytes
away, but to cut the lines apart costs as much as both. What would go on is to take values by their place: a chunk holds
them column by column, and objects made straight from columns take 0.06 µs instead of 0.10, and no call. Then each kind
of message would be written in two ways, since what a destination refused, templates and metadata go by the row, for a
hundredth of what a change costs its worker. A dictionary of columns as they are, or of JSON, lies ready for us too.

JSON in a column of text has to be known to be JSON, and is sent compact, with each name once (the last one counts)
and its numbers to the last digit. Passing over the text without keeping anything of it costs as much as the dump,
but tells neither of white space nor of a name that stands twice. To write it compactly without looking at names
takes 3.3 dumps, to parse it 3.4, with orjson as with msgspec, and orjson rounds numbers; to write what was parsed
1.6 more. Types learned from earlier texts would save a third, but would write names in the order of whichever text
came first, so that two workers could send other bytes for the same change. So twice the dump cannot be reached while
each of these promises stands: ours takes 5.4 dumps, and orjson's loads and dumps take 4.5.""",
    profiles=(
        Profile(
            stage="A message of ten columns under other names",
            unit="µs",
            before={
                "values read, and held in an object": 0.12,
                "written by msgspec, with bytes of its own": 0.16,
                "the call, and which row it is": 0.03,
                "(orjson's dump of the dictionary)": 0.14,
            },
            after={
                "values read, and held in an object": 0.10,
                "written by msgspec, with bytes of its own": 0.15,
                "the call, and which row it is": 0.03,
                "(orjson's dump of the dictionary)": 0.14,
            },
            note="""Best of forty rounds of processor time; before and after the objects that are written from stayed
from message to message.""",
        ),
        Profile(
            stage="A message of fifteen columns, nested",
            unit="µs",
            before={
                "values read, and held in four objects": 0.26,
                "written by msgspec, with bytes of its own": 0.29,
                "the call, and which row it is": 0.03,
                "(orjson's dump of the dictionary)": 0.26,
            },
            after={
                "values read, and held in four objects": 0.16,
                "written by msgspec, with bytes of its own": 0.27,
                "the call, and which row it is": 0.03,
                "(orjson's dump of the dictionary)": 0.26,
            },
            note="As above. Best of forty rounds of processor time.",
        ),
        Profile(
            stage="A message of 385 characters of JSON text",
            unit="µs",
            before={
                "parsed": 0.92,
                "written": 0.43,
                "calls": 0.25,
                "(passed over, nothing kept)": 0.26,
                "(orjson's dump of the dictionary)": 0.28,
                "(orjson's loads, then dumps)": 1.23,
            },
            after={
                "parsed": 0.92,
                "written": 0.40,
                "calls": 0.13,
                "(passed over, nothing kept)": 0.26,
                "(orjson's dump of the dictionary)": 0.27,
                "(orjson's loads, then dumps)": 1.20,
            },
            note="Best of nine rounds of processor time, each part alone.",
        ),
    ),
)


def cases(size: Size) -> list[Case]:
    rows = 40_000 if size == "small" else 1_000_000
    return [*(_template(kind, rows, size) for kind in TEMPLATES), *(_columns(kind, rows, size) for kind in COLUMNS)]


def _template(kind: str, rows: int, size: Size) -> Case:
    def side(name: str, function: str, **given: Any) -> Side:
        return Side(name=name, call=f"bench.messages:{function}", **given)

    return Case(
        name=f"liquid-{kind}-{size}",
        title=TEMPLATES[kind][1],
        size=size,
        reference="python-liquid, then orjson.loads",
        arguments={"kind": kind, "rows": rows},
        rounds=3,
        measure="cpu",
        rate=True,
        unit="messages",
        sides=(
            side("python-liquid, then orjson.loads", "python_liquid"),
            side("rowcast", "compiled", role="ours", goal=Goal(at_least=6.0)),
            side("rowcast, interpreter", "interpreted", role="ours", rounds=2),
        ),
    )


def _columns(kind: str, rows: int, size: Size) -> Case:
    dump = Side(name="orjson.dumps", call="bench.messages:dumped", role="limit")
    reread = Side(name="orjson.loads, then orjson.dumps", call="bench.messages:reread", role="limit")
    limits = (reread, dump) if kind == "text" else (dump,)
    return Case(
        name=f"columns-{kind}-{size}",
        title=f"Messages of {COLUMNS[kind]}",
        size=size,
        reference=limits[0].name,
        arguments={"kind": kind, "rows": rows * 10},
        measure="cpu",
        unit="messages",
        sides=(
            *limits,
            Side(name="rowcast", call="bench.messages:columns", role="ours", goal=Goal(at_most=2.0)),
        ),
    )


def row(number: int) -> Row:
    status = ("new", "paid", "packed", "shipped", "returned")[number % 5]
    return {
        "id": number,
        "customer": number * 7 % 5_000_000,
        "status": status,
        "country": ("DE", "FR", "GB", "US", "JP")[number % 5],
        "email": f"user{number * 13}@example.com",
        "quantity": number % 20,
        "created_at": f"2026-03-04T05:{number % 60:02}:07",
        "updated_at": f"2026-05-06T07:{number % 60:02}:09Z",
        "note": f"Note {number % 1000} of order {number}",
        "paid": number % 2 == 0,
        "name": f"Given{number % 97} Family{number % 89}",
        "street": f"{number % 300} High Street",
        "city": "Malmö",
        "zip": f"{10000 + number % 80000}",
        "lines": [{"sku": f"sku-{line}", "count": line} for line in range(number % 4)],
    }


def python_liquid(kind: str, rows: int) -> dict[str, Any]:
    import liquid
    import orjson

    template = liquid.Environment().from_string(TEMPLATES[kind][0])
    change = {"operation": "added", "id": "c", "columns": []}

    def render(one: Row) -> Any:
        return orjson.loads(template.render(row=one, previous=None, change=change, **NAMES))

    return _measured([row(number) for number in range(DISTINCT)], rows, render, orjson.dumps)


def compiled(kind: str, rows: int) -> dict[str, Any]:
    return _measured(_changes(row), rows, compile_message(_sync(template=TEMPLATES[kind][0]), RUN))


def interpreted(kind: str, rows: int) -> dict[str, Any]:
    from rowcast.message.template import compile_template

    return _measured(_changes(row), rows // 5, compile_template(TEMPLATES[kind][0]).interpreter(NAMES))


def columns(kind: str, rows: int) -> dict[str, Any]:
    messages: dict[str, dict[str, Any]] = {
        "all": {},
        "decimals": {},
        "columns": {"columns": {f"the_{name}": name for name in PLAIN}},
        "nested": {"columns": NESTED_COLUMNS},
        "json": {"column": "payload"},
        "text": {"column": "payload"},
    }
    return _measured(_changes(_row_of(kind)), rows, compile_message(_sync(**messages[kind]), RUN))


def dumped(kind: str, rows: int) -> dict[str, Any]:
    import orjson

    def exact(value: Decimal) -> orjson.Fragment:
        return orjson.Fragment(str(value))

    dump = partial(orjson.dumps, default=exact) if kind == "decimals" else orjson.dumps
    return _measured([_message_of(kind, row(number)) for number in range(DISTINCT)], rows, dump)


def reread(kind: str, rows: int) -> dict[str, Any]:
    import orjson

    make = _row_of(kind)
    texts = [make(number)["payload"] for number in range(DISTINCT)]
    return _measured(texts, rows, lambda text: orjson.dumps(orjson.loads(text)))


def _row_of(kind: str) -> Callable[[int], Row]:
    if kind in ("json", "text"):
        as_text = (lambda value: json.dumps(value, ensure_ascii=False)) if kind == "text" else (lambda value: value)
        return lambda number: {"id": number, "payload": as_text(_nested(row(number)))}
    if kind == "nested":
        return row
    return lambda number: _plain(kind, row(number))


def _plain(kind: str, one: Row) -> Row:
    decimals = {"price": Decimal(one["id"]) / 100 + 1, "tax": Decimal("0.190")} if kind == "decimals" else {}
    return {name: one[name] for name in PLAIN} | decimals


def _message_of(kind: str, one: Row) -> Any:
    if kind in ("all", "decimals"):
        return _plain(kind, one)
    return {f"the_{name}": one[name] for name in PLAIN} if kind == "columns" else _nested(one)


def _nested(one: Row) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for name, column in NESTED_COLUMNS.items():
        *path, last = name.split(".")
        inner = message
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = one[column]
    return message


def _sync(**message: Any) -> Definition:
    return sync_of(Triggers(), message=Message(**message))


def _changes(make: Callable[[int], Row]) -> list[Change]:
    return [
        Change(operation="added", key=[number], key_hash=f"{number:032x}", id="c", after=make(number))
        for number in range(DISTINCT)
    ]


def _measured(
    given: list[Any], count: int, render: Callable[[Any], Any], encode: Callable[[Any], bytes] = bytes
) -> dict[str, Any]:
    """`encode`: makes bytes of what `render` gives, for the digest of all messages' meaning."""
    first = [encode(render(one)) for one in given]
    with timed():
        for _ in range(count // DISTINCT):
            for one in given:
                render(one)
    return {"work": count // DISTINCT * DISTINCT, "digest": _digest(first)}


def _digest(messages: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for message in messages:
        found.update(json.dumps(json.loads(message), sort_keys=True).encode() + b"\n")
    return found.hexdigest()[:16]
