"""Source and detail type of an event, as text and as templates."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.definition import Trigger, Triggers
from rowcast.errors import MessageInvalid
from rowcast.message import TemplateError, check_text, compile_address
from rowcast.models import Change
from rowcast.ports import MessageToSend


def message(**row: Any) -> MessageToSend:
    change = Change(operation="added", key=[1], key_hash="00", id="c1", after=row)
    return MessageToSend(change=change, body=b"{}", time=1763632800.9, sync="orders", run="r1")


def addressed(source: str = "com.shop", detail_type: str = "Order", **row: Any) -> tuple[str, str]:
    return compile_address(Triggers(added=Trigger(source=source, detail_type=detail_type)))(message(**row))


def test_text_without_liquid_is_sent_as_it_is() -> None:
    assert addressed("com.shop", "Order {placed} %") == ("com.shop", "Order {placed} %")


def test_templates_see_all_that_messages_see() -> None:
    source = "{{ sync.name }}.{{ row.shop | downcase }}.{{ run.id }}"
    detail_type = '{% if previous %}Old{% else %}New{% endif %} {{ change.operation }} {{ now | date: "%Y" }}'
    assert addressed(source, detail_type, shop="EU") == ("orders.eu.r1", "New added 2025")


def test_values_are_written_as_plain_text_and_white_space_is_gathered() -> None:
    assert addressed("{{ row.v }}\n", " {{ row.n }}\t{{ row.x }} b", v='a"b\\', n=1, x=None) == ('a"b\\', "1 b")


@pytest.mark.parametrize(
    ("source", "value", "reason"),
    [
        ("{{ row.v }}", "aws.secret", "begins with aws."),
        ("{{ row.v }}", "AWS.secret", "begins with aws."),
        ("{{ row.v }}", "", "source is empty"),
        ("{{ row.v }}", None, "source is empty"),
        ("{{ row.v }}", "secret" * 50, "longer than the 256 characters"),
        ("{{ row.v }}", "secret\ud800", "half a surrogate"),
        ("{{ row.v | divided_by: 0 }}", 1, "line 1"),
    ],
)
def test_what_eventbridge_would_not_take_rejects_the_row_without_its_value(
    source: str, value: Any, reason: str
) -> None:
    with pytest.raises(MessageInvalid, match=reason) as caught:
        addressed(source=source, v=value)
    assert "secret" not in str(caught.value)


def test_the_longest_source_and_detail_type_pass() -> None:
    assert addressed("{{ row.s }}", "{{ row.d }}", s="s" * 256, d="d" * 128) == ("s" * 256, "d" * 128)
    with pytest.raises(MessageInvalid, match="detail type is longer than the 128"):
        addressed("{{ row.s }}", "{{ row.d }}", s="s", d="d" * 129)


def test_a_template_that_does_not_compile_is_refused_before_any_run() -> None:
    with pytest.raises(TemplateError, match="unknown filter"):
        check_text("{{ row.v | nope }}")
    check_text("no template")
    check_text("{{ row.v }}")


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_value_gives_an_address_that_can_be_sent_or_rejects_the_row(value: str) -> None:
    try:
        source, detail_type = addressed("{{ row.v }}", "Order {{ row.v }}", v=value)
    except MessageInvalid:
        return
    assert 1 <= len(source) <= 256
    assert 1 <= len(detail_type) <= 128
    assert not source.lower().startswith("aws.")
    source.encode()
