"""Messages made of columns, and how the kinds are chosen."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from rowcast.definition import (
    Definition,
    EventBridgeDestination,
    Field,
    FilesSource,
    Message,
    Trigger,
    Triggers,
    decode,
    encode,
)
from rowcast.errors import MessageInvalid, RunFailed
from rowcast.message import RunInfo, TemplateError, check_message, compile_message
from rowcast.models import Change, from_json, to_json

RUN = RunInfo("run-1", 1763632800.9)


def definition(**message: Any) -> Definition:
    return Definition(
        sync="orders",
        source=FilesSource(name="shop", prefix="shop/"),
        query="SELECT 1",
        primary_key=("id",),
        destination=EventBridgeDestination(),
        triggers=Triggers(),
        message=Message(**message),
    )


def added(**row: Any) -> Change:
    return Change(operation="added", key=[1], key_hash="00", id="c1", after=row)


def rendered(change: Change, **message: Any) -> str:
    return compile_message(definition(**message), RUN)(change).decode()


def test_no_message_sends_the_whole_row_in_the_order_of_its_columns() -> None:
    row = {"z": 1, "a": Decimal("12.50"), "n": None, "j": {"b": [True, "é😀"]}}
    assert rendered(added(**row)) == '{"z":1,"a":12.50,"n":null,"j":{"b":[true,"é😀"]}}'


def test_the_message_of_a_removed_row_speaks_of_the_row_as_it_last_was() -> None:
    change = Change(operation="removed", key=[1], key_hash="00", id="c1", before={"id": 1})
    assert rendered(change) == '{"id":1}'
    assert rendered(change, template='{"id": {{ row.id }}, "was": {{ previous.id }}}') == '{"id":1,"was":1}'


def test_columns_are_renamed_and_nested_by_dots() -> None:
    columns = {"id": "order_id", "customer.email": "mail", "customer.name": "who", "a.b.c": "n"}
    row = {"order_id": 7, "mail": 'a"b', "who": "Al", "n": None, "unused": 1}
    assert rendered(added(**row), columns=columns) == (
        '{"id":7,"customer":{"email":"a\\"b","name":"Al"},"a":{"b":{"c":null}}}'
    )


def test_a_missing_column_is_named() -> None:
    with pytest.raises(MessageInvalid, match="no column `mail`"):
        rendered(added(id=1), columns={"m": "mail"})
    with pytest.raises(MessageInvalid, match="no column `payload`"):
        rendered(added(id=1), column="payload")


@pytest.mark.parametrize(
    "columns", [{"a": "x", "a.b": "y"}, {"a.b": "x", "a": "y"}, {"a..b": "x"}, {"": "x"}, {".a": "x"}, {}]
)
def test_output_names_that_cannot_stand_together_are_refused(columns: dict[str, str]) -> None:
    with pytest.raises(TemplateError):
        check_message(Message(columns=columns))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('{"a": 1.10, "b": [ ]}', '{"a":1.10,"b":[]}'),
        ('"text"', '"text"'),
        ("123456789012345678901234567890.50", "123456789012345678901234567890.50"),
        ({"a": Decimal("1.10")}, '{"a":1.10}'),
        ([1, None], "[1,null]"),
        (5, "5"),
        (False, "false"),
    ],
)
def test_a_column_that_holds_the_json_is_sent_compactly(value: Any, expected: str) -> None:
    assert rendered(added(payload=value), column="payload") == expected


@pytest.mark.parametrize(
    "value", [None, "", "{secret", "NaN", '{"secret": 1} x', '"\\ud800"', "[" * 100_000, "1e99999999999999999999"]
)
def test_a_column_without_json_is_refused_without_its_value(value: Any) -> None:
    with pytest.raises(MessageInvalid, match="payload") as caught:
        rendered(added(payload=value), column="payload")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_values_without_json_form_are_refused_in_every_kind() -> None:
    for message in ({}, {"columns": {"v": "v"}}, {"column": "v"}, {"template": '{"v": {{ row.v }}}'}):
        with pytest.raises(MessageInvalid) as caught:
            rendered(added(v={"secret": "\ud800"}), **message)
        assert "secret" not in str(caught.value)
        assert caught.value.__context__ is None


def test_text_that_reads_nan_is_just_text() -> None:
    assert rendered(added(v="NaN and Infinity")) == '{"v":"NaN and Infinity"}'


def test_a_part_may_be_a_constant_and_nulls_may_be_left_out() -> None:
    columns: dict[str, str | Field] = {
        "id": "id",
        "kind": Field(value={"name": "order", "tags": [1, None]}),
        "customer.email": Field(column="mail", when_null="omit"),
        "customer.phone": Field(column="phone", when_null="omit"),
        "note": Field(column="note"),
        "nothing": Field(value=None),
    }
    row = {"id": 1, "mail": None, "phone": None, "note": None}
    kind = '"kind":{"name":"order","tags":[1,null]}'
    assert rendered(added(**row), columns=columns) == f'{{"id":1,{kind},"note":null,"nothing":null}}'
    row["phone"] = ""
    assert rendered(added(**row), columns=columns) == (
        f'{{"id":1,{kind},"customer":{{"phone":""}},"note":null,"nothing":null}}'
    )


def test_a_triggers_own_message_stands_in_place_of_the_syncs() -> None:
    own = Triggers(removed=Trigger(message=Message(template='{"gone": {{ row.id }}}')), changed=Trigger())
    render = compile_message(structs.replace(definition(columns={"n": "id"}), triggers=own), RUN)
    removed = Change(operation="removed", key=[1], key_hash="00", id="c1", before={"id": 1})
    assert render(removed) == b'{"gone":1}'
    assert render(added(id=1)) == b'{"n":1}'


def test_an_own_message_of_a_trigger_may_be_all_columns() -> None:
    own = Triggers(added=Trigger(message=Message()))
    render = compile_message(structs.replace(definition(columns={"n": "id"}), triggers=own), RUN)
    assert render(added(id=1)) == b'{"id":1}'


CHANGED = Change(
    operation="changed", key=[1], key_hash="00", id="c-9", before={"id": 1}, after={"id": 2}, columns=["id"]
)


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ({}, {"id": 2}),
        ({"column": "id"}, 2),
        ({"columns": {"n": "id"}}, {"n": 2}),
        ({"template": "[{{ row.id }}]"}, [2]),
    ],
)
def test_the_envelope_holds_every_kind_of_message(message: dict[str, Any], data: Any) -> None:
    assert from_json(rendered(CHANGED, metadata=True, **message)) == {
        "metadata": {
            "version": "1",
            "sync": "orders",
            "run": "run-1",
            "change_id": "c-9",
            "operation": "changed",
            "columns": ["id"],
        },
        "data": data,
        "previous": {"id": 1},
    }


def test_the_envelope_of_an_added_row_has_no_previous_one() -> None:
    assert from_json(rendered(added(id=1), metadata=True))["previous"] is None


def test_a_row_before_that_has_no_json_form_rejects_its_envelope() -> None:
    change = structs.replace(CHANGED, before={"id": "\udc00"})
    with pytest.raises(MessageInvalid):
        rendered(change, metadata=True)


keys = st.text(min_size=1).filter(lambda name: all(name.split(".")))
scalars = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(keys.filter(lambda name: "." not in name), json_values, min_size=1, max_size=4), json_values)
def test_any_row_arrives_exactly_in_columns_constants_and_envelope(row: dict[str, Any], constant: Any) -> None:
    columns: dict[str, str | Field] = {f"out.{name}": Field(column=name, when_null="omit") for name in row}
    columns["constant"] = Field(value=constant)
    sent = from_json(rendered(added(**row), metadata=True, columns=columns))
    assert sent["metadata"]["change_id"] == "c1"
    assert sent["data"].get("out", {}) == {name: exact(value) for name, value in row.items() if value is not None}
    assert sent["data"]["constant"] == exact(constant)


def exact(value: Any) -> Any:
    return from_json(to_json(value))


def test_definitions_with_fields_and_own_messages_come_back_exactly() -> None:
    message = Message(columns={"a": "x", "b": Field(value=[1, {"c": None}]), "c": Field(column="y", when_null="omit")})
    full = structs.replace(
        definition(metadata=True, oversize="s3"),
        triggers=Triggers(added=Trigger(message=message, source="{{ row.a }}")),
    )
    assert decode(encode(full)) == full


def test_only_one_kind_of_message_can_be_given() -> None:
    with pytest.raises(TemplateError, match="`template`, `column`"):
        check_message(Message(template="{}", column="a"))
    check_message(Message())
    check_message(Message(column="a"))
    check_message(Message(columns={"a": "b"}))
    check_message(Message(template="{}"))


def test_a_deployed_template_that_does_not_compile_ends_the_run() -> None:
    with pytest.raises(RunFailed, match="line 1, column 6"):
        compile_message(definition(template="{}{% endfor %}"), RUN)


def test_templates_see_the_sync_the_run_and_the_change() -> None:
    change = Change(
        operation="changed",
        key=[1],
        key_hash="00",
        id="c-9",
        before={"id": 1, "a": "old"},
        after={"id": 1, "a": "new"},
        columns=["a"],
    )
    template = """[{{ sync.name }}, {{ run.id }}, {{ run.started_at }}, {{ change.operation }}, {{ change.id }},
        {{ change.columns }}, {{ row.a }}, {{ previous.a }}, {{ now }}, {{ today }}]"""
    assert from_json(rendered(change, template=template)) == [
        *("orders", "run-1", "2025-11-20T10:00:00Z", "changed", "c-9", ["a"], "new", "old"),
        *("2025-11-20T10:00:00Z", "2025-11-20"),
    ]
    assert rendered(added(a=1), template="[{{ previous }},{{ previous.a }}]") == "[null,null]"


def test_the_same_change_gives_the_same_bytes() -> None:
    template = '{"a": {% cycle "x", "y" %}, "i": {% increment n %}, "d": "{{ "now" | date: "%s" }}", "v": {{ row.v }}}'
    render = compile_message(definition(template=template), RUN)
    assert render(added(v=1)) == render(added(v=1)) == compile_message(definition(template=template), RUN)(added(v=1))


def test_messages_without_a_template_do_not_import_liquid() -> None:
    code = "import sys, rowcast.message as m; m.check_message(m.Message(column='a')); sys.exit('liquid' in sys.modules)"
    path = os.pathsep.join(path for path in sys.path if path)
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, check=False).returncode == 0
