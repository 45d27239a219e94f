"""Masked columns appear in the message itself and nowhere else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from rowcast.definition import Definition, Message
from rowcast.masking import MASK, masked_result, scrubber
from rowcast.message import RunInfo, compile_message
from rowcast.models import Change, Run, from_json, to_json
from rowcast.plan import plan_key
from rowcast.ports import CallResult, MessageToSend, Render, Verdict
from tests.world import World, sync_definition

CANARY = "Canary@Example.com"


def change(**after: Any) -> Change:
    row = {"id": 1, "email": CANARY, "age": 7313, "more": {"deep": ["Nest of canaries"]}, **after}
    before = {**row, "email": "old-" + CANARY}
    return Change(operation="changed", key=[1], key_hash="0", id="c", columns=["email"], before=before, after=row)


class MaskedWorld(World):
    """A world whose messages are made by the real code, as its definition says."""

    def render(self, definition: Definition, run: Run) -> Render:
        return compile_message(definition, RunInfo(id=run.run, started_at=run.started_at))


MESSAGES = {
    "all columns": Message(),
    "renamed columns": Message(columns={"customer.mail": "v"}),
    "an envelope": Message(metadata=True),
    "a template": Message(template='{"mail": "{{ row.v | upcase }}", "all": {{ row | to_json }}}'),
    "a template that takes a value apart": Message(template='{"at": "{{ row.v | split: "@" | last }}"}'),
    "a template that hashes": Message(template='{"hash": "{{ row.v | sha256 }}", "b": "{{ row.v | base64_encode }}"}'),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_masked_column_is_sent_and_appears_in_no_record_nor_debt_shown(name: str) -> None:
    world = MaskedWorld(sync_definition(mask=("v",), message=MESSAGES[name]))
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason=f"who is <{CANARY.upper()}>?")
    world.source.put(id=1, v=CANARY)
    summary = world.run()
    sent = world.target.sent[0].body.lower()
    assert summary["rejected"] == 1
    kept = to_json([list(world.calls.calls(world.sync, summary["run"]))]).lower()
    kept += to_json([debt.reason for debt in world.owed().values()]).lower()
    assert b"who is <***>?" in kept
    for trace in (b"canary", b"example.com"):
        assert trace not in kept
    if name == "a template that hashes":
        assert from_json(sent)["hash"].encode() not in kept
        assert from_json(sent)["b"].encode() not in kept
    else:
        assert b"example.com" in sent


def test_without_a_mask_a_record_is_what_was_sent_and_answered() -> None:
    result = CallResult(verdicts=[], request={"any": 1}, reply=None)
    assert masked_result(result, [], (), lambda one: b"") is result


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (CANARY, MASK),
        (f"no such {CANARY.lower()}.", f"no such {MASK}."),
        ({"errors": [{"reason": f"'{CANARY}'", "age": 7313}]}, {"errors": [{"reason": f"'{MASK}'", "age": MASK}]}),
        ({CANARY: 1}, {MASK: 1}),
        ([7313, Decimal("7313"), 17313, "a7313"], [MASK, MASK, 17313, "a7313"]),
        ("deep Nest of canaries", f"deep {MASK}"),
        (None, None),
        (True, True),
        ("x" * 990 + " " + CANARY[:9], "x" * 990 + " " + MASK),
    ],
)
def test_what_a_destination_says_shows_no_masked_value(said: Any, shown: Any) -> None:
    assert scrubber([change()], ("email", "age", "more"))(said) == shown


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Müller-Lüdenscheidt", json.dumps({"name": "Müller-Lüdenscheidt"})),
        ("Müller", "KeyError: {'name': 'M\\u00FCller'}"),
        (" éa ", json.dumps(["éa"])),
        ("Zoë 😀", json.dumps(["Zoë 😀"])),
        ('a"é', json.dumps(['a"é'])),
        ("Müller", "no Müller"),
        (Decimal("1.10"), "no 1.1, no 1.10"),
        (Decimal("12.00"), "no 12, no 12.0, no 12.00"),
        (Decimal("1E+5"), "no 1E+5, no 100000, no 100000.0"),
        (Decimal("0.1234567890123456789"), "no 0.12345678901234568"),
        (Decimal("1E-9"), "no 0.000000001, no 1e-09"),
        (7313, "no 7313, no 7313.0"),
        (10**400, "no 1" + 400 * "0"),
        (Decimal("1E+9999"), "no 1E+9999"),
    ],
)
def test_a_masked_value_is_found_however_it_is_spelled(value: Any, said: str) -> None:
    shown = scrubber([change(email=value, age=None, more=None)], ("email",))(said)
    assert not {"M", "Z", "a", "é", *"123456789"} & set(shown.replace("KeyError", "").replace("name", ""))
    assert MASK in shown


def test_a_masked_number_is_found_among_values_however_it_is_spelled() -> None:
    scrub = scrubber([change(email=Decimal("1.10"))], ("email",))
    assert scrub([Decimal("1.1"), Decimal("1.100"), Decimal("11E-1"), Decimal("1.11"), 1]) == [
        MASK,
        MASK,
        MASK,
        Decimal("1.11"),
        1,
    ]


def test_an_invocation_s_payload_keeps_its_metadata_and_shows_masked_rows() -> None:
    render = compile_message(sync_definition(), RunInfo(id="r", started_at=0.0))
    one = change()
    payload = to_json({"metadata": {"batch": "7313"}, "rows": [msgspec.Raw(render(one))]})
    message = MessageToSend(change=one, body=render(one), time=0.0, sync="s", run="r")
    result = CallResult(verdicts=[Verdict(kind="accepted")], request=msgspec.Raw(payload), reply=None)
    masked = masked_result(result, [message], ("email", "age", "more"), render)
    assert masked.request == {
        "metadata": {"batch": "7313"},
        "rows": [{"id": 1, "email": MASK, "age": MASK, "more": MASK}],
    }


def test_an_event_shows_its_masked_detail_and_address() -> None:
    render = compile_message(sync_definition(), RunInfo(id="r", started_at=0.0))
    one = change()
    message = MessageToSend(change=one, body=render(one), time=0.0, sync="s", run="r")
    entry = {"EventBusName": "b", "Source": "shop", "DetailType": f"to {CANARY}", "Detail": render(one).decode()}
    result = CallResult(verdicts=[], request={"Entries": [entry]}, reply={"Entries": [{"ErrorMessage": CANARY}]})
    masked = masked_result(result, [message], ("email",), render)
    assert masked.request["Entries"][0]["DetailType"] == f"to {MASK}"
    assert from_json(masked.request["Entries"][0]["Detail"])["email"] == MASK
    assert masked.reply == {"Entries": [{"ErrorMessage": MASK}]}


def test_a_message_that_masked_rows_cannot_make_is_masked_whole() -> None:
    template = Message(template="{\"n\": {{ row.email | split: '@' | last | cast: 'number' }}}")
    render = compile_message(sync_definition(message=template), RunInfo(id="r", started_at=0.0))
    one = change(email="a@5")
    message = MessageToSend(change=one, body=render(one), time=0.0, sync="s", run="r")
    result = CallResult(
        verdicts=[], request={"Entries": [{"Source": "", "DetailType": "", "Detail": "{}"}]}, reply=None
    )
    assert masked_result(result, [message], ("email",), render).request["Entries"][0]["Detail"] == f'"{MASK}"'


DEEP = ["[" * levels + "]" * levels for levels in (250, 900, 1_000)]


@pytest.mark.parametrize("part", [*DEEP, "1e1000000000000000000", "9" * 5000])
def test_what_cannot_be_read_again_is_masked_whole(part: str) -> None:
    body = f'{{"v": [{part}]}}'.encode()
    message = MessageToSend(change=change(), body=body, time=0.0, sync="s", run="r")
    payload = b'{"metadata": {}, "rows": [' + body + b"]}"
    result = CallResult(verdicts=[], request=msgspec.Raw(payload), reply=msgspec.Raw(body))
    masked = masked_result(result, [message], ("email",), lambda change: body)
    assert (masked.request, masked.reply) == ({"messages": [MASK]}, MASK)


def test_a_plan_shows_masked_columns_neither_as_values_nor_in_messages() -> None:
    world = MaskedWorld(sync_definition(mask=("v",)))
    world.source.put(id=1, v="old-" + CANARY)
    world.run()
    world.source.put(id=1, v=CANARY)
    summary = world.steer("plan")
    document = world.objects.get(plan_key(world.sync, summary["run"])) or b""
    assert b'["***","***"]' in document
    assert CANARY.lower().encode() not in document.lower()
