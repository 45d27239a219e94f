"""Tables on terminals of any width."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from workbench import demo
from workbench.tables import Rows

RUN, SYNC = "20261121T034932.205Z", "customers-of-a-long-name"


def printed(rows: Rows, width: int) -> list[str]:
    console = Console(file=StringIO(), width=width, soft_wrap=True)
    console.print(rows)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def runs() -> Rows:
    rows = Rows("RUN", "SYNC", "MODE", "ROWS", "OWED", numbers=("ROWS", "OWED"), may_go=("MODE", "ROWS"))
    rows.add_row(RUN, SYNC, "run", "1000000", "[red]20[/]")
    rows.add_row(RUN, "a", "plan", "5", "0")
    return rows


@pytest.mark.parametrize(("width", "gone"), [(80, []), (65, ["MODE"]), (55, ["MODE", "ROWS"]), (20, ["MODE", "ROWS"])])
def test_a_narrow_terminal_leaves_columns_out_and_cuts_no_name(width: int, gone: list[str]) -> None:
    header, first, second, *told = printed(runs(), width)
    assert [name for name in ("MODE", "ROWS") if name not in header] == gone
    assert first.startswith(f"{RUN}  {SYNC}  ")
    assert first.split()[-1] == "20"
    assert second.split()[:2] == [RUN, "a"]
    assert told == ([f"not shown, since the terminal is narrow: {', '.join(gone)}"] if gone else [])
    assert len({len(header), len(first), len(second)}) == 1


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_sentence_wraps_and_other_wide_columns_are_cut(width: int) -> None:
    rows = Rows("KEY", "REASON", "PAYLOAD", wide={"REASON": 1, "PAYLOAD": 1})
    rows.add_row("[b]1[/]", "the e-mail address is malformed", "x" * 100)
    lines = printed(rows, width)
    assert all(len(line) <= max(width, 31) for line in lines)
    words = " ".join(line[5 : lines[0].index("PAYLOAD")].strip() for line in lines[1:])
    assert words == "the e-mail address is malformed"
    assert lines[1].endswith("…")


def test_a_table_of_names_alone_is_as_wide_as_they_are() -> None:
    rows = Rows("BUS", "ARN")
    rows.add_row("orders", "arn:aws:events:eu-west-1:111122223333:event-bus/orders")
    assert printed(rows, 40)[1] == "orders  arn:aws:events:eu-west-1:111122223333:event-bus/orders"


def test_the_demo_counts_what_it_does_not_show(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"operation": "added", "bus": "b", "source": "s", "detail-type": "d", "detail": {"id": 1}}
    demo._events([event] * 12)
    call = {"operation": "added", "payload": {"rows": [{"id": 1}]}, "reply": None}
    demo._invocations([call])
    printed = capsys.readouterr().out
    assert "12 events read back from the buses, 3 of them not shown" in printed
    assert "1 invocation of the function" in printed
