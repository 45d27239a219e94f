"""The message of one row on the screen: what would be sent, to the digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import structs

from rowcast.definition import Message
from rowcast.models import Change, Mode, Run
from tests.world import sync_definition
from workbench import one_row, sent, show_plan, show_row, show_sent

ROW = {"id": 1, "price": Decimal("59.90"), "big": 10**20, "share": 1e22, "text": 'a"[b]\n' + "é" * 200}
CHANGE = Change(operation="added", key=[1], key_hash="0", id="c", after=ROW)


def test_a_preview_shows_the_numbers_that_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    record = one_row.preview(structs.replace(sync_definition(), message=Message()), CHANGE)
    show_row.preview(record)
    shown = capsys.readouterr().out
    for line in ('  "price": 59.90,', '  "big": 100000000000000000000,', '  "share": 1e22,'):
        assert line in shown.splitlines()
    assert f'  "text": "a\\"[b]\\n{"é" * 200}"' in shown.splitlines()


def test_what_a_replay_leaves_out_for_one_reason_is_counted_once() -> None:
    assert show_plan.left_out({"the row changed again since": 206}) == (
        "Left out 206 changes: the row changed again since."
    )


def test_a_masked_preview_shows_the_numbers_that_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    definition = structs.replace(sync_definition(), message=Message(), mask=("text",))
    show_row.preview(one_row.preview(definition, CHANGE))
    shown = capsys.readouterr().out
    assert '"price": 59.90,' in shown
    assert "é" not in shown


def test_a_plan_shows_the_numbers_that_would_be_sent(capsys: pytest.CaptureFixture[str]) -> None:
    price = Decimal("59.90")
    show_plan._change(
        {
            "operation": "added",
            "key": [1],
            "columns": {"price": (Decimal("1.0"), price)},
            "problem": "",
            "message": {"p": price},
        }
    )
    shown = capsys.readouterr().out
    assert "price: 1.0 → 59.90" in shown
    assert '{"p":59.90}' in shown


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("discard", "nothing is owed any more: given up by ada: ticket [12]"),
        ("rebaseline", "nothing is owed any more: the source was taken for accepted by ada: ticket [12]"),
        ("run", "nothing is owed any more: the source is back at what was accepted, or no trigger asks for the change"),
    ],
)
def test_the_life_of_a_row_says_why_it_is_owed_no_more(
    capsys: pytest.CaptureFixture[str], mode: Mode, said: str
) -> None:
    run = Run(
        sync="a", run="r1", mode=mode, generation=1, execution="", definition="", started_at=0.0,
        requested_by="ada", because="ticket [12]",
    )  # fmt: skip
    show_sent.history([{**sent._event(run, "1", 0.0), "operation": "settled"}])
    assert said in capsys.readouterr().out.splitlines()[1]
