"""What was sent, as people see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.markup import escape

from workbench.keys import text_of
from workbench.options import counted
from workbench.show import COLOURS, coloured, out
from workbench.tables import Rows

_EXAMPLES = 3
_LONGEST_REASON = 200
_WORDS = {"in_doubt": "in doubt", "unsent": "not sent"}


def calls(records: list[dict[str, Any]], *, full: bool, more: bool) -> None:
    if not records:
        out.print("No such call is kept.")
        return
    if full:
        for one in records:
            _call(one)
    else:
        _list(records)
    if more:
        out.print("[dim]There are more: --limit, --since[/]")


def _list(records: list[dict[str, Any]]) -> None:
    several = len({one["sync"] for one in records}) > 1
    names = ["TIME", *["SYNC"] * several, "RUN", "TRY", "SECONDS", "OUTCOMES", "KEYS"]
    rows = Rows(*names, numbers=("TRY", "SECONDS"), wide={"KEYS": 1})
    for one in records:
        clock = one["started_at"][5:19].replace("T", " ")
        place = [*[escape(one["sync"])] * several, one["run"]]
        counts = (str(one["attempt"]), f"{one['seconds']:.3f}", _outcomes(one))
        rows.add_row(clock, *place, *counts, escape(_keys(one["keys"])))
    out.print(rows)


def _call(one: dict[str, Any]) -> None:
    test = "  [yellow]test[/]" if one["test"] else ""
    out.print(f"[bold]{one['started_at']}[/]  {escape(one['sync'])}  {one['run']}  call {one['call']}{test}")
    out.print(f"  attempt {one['attempt']}, {one['seconds']:.3f} s, {_outcomes(one)}")
    if one["error"]:
        out.print(f"  [red]{escape(one['error'])}[/]")
    for name in ("request", "reply"):
        out.print(f"  [dim]{name:<8}[/]{escape(text_of(one[name]))}")


def _outcomes(one: dict[str, Any]) -> str:
    if not one["outcomes"]:
        return "[red]nothing sent[/]"
    counts = Counter(one["outcomes"])
    return ", ".join(f"{count} {_word(name)}" for name, count in counts.most_common())


def _word(name: str) -> str:
    colour = COLOURS.get(name, "red")
    return f"[{colour}]{_WORDS.get(name, name)}[/]"


def _keys(found: list[Any]) -> str:
    some = ", ".join(text_of(key) for key in found[:_EXAMPLES])
    return some + (f" and {len(found) - _EXAMPLES} more" if len(found) > _EXAMPLES else "")


def history(records: list[dict[str, Any]]) -> None:
    for one in records:
        _moment(one)


def _moment(one: dict[str, Any]) -> None:
    again = f"  [dim]owed since {one['retry_of']}[/]" if one.get("retry_of") else ""
    again += f"  [dim]sent again, first by {one['replay_of']}[/]" if one.get("replay_of") else ""
    out.print(f"[bold]{one['time'][:19].replace('T', ' ')}[/]  run {one['run']}  {coloured(one['operation'])}{again}")
    if one["operation"] == "settled":
        out.print(f"  nothing is owed any more: {escape(_settled(one))}")
        return
    for name, old, new in _values(one):
        out.print(f"  {escape(name)}: [red]{escape(old)}[/] → [green]{escape(new)}[/]")
    if one["message"] is not None:
        out.print(f"  [dim]message[/] {escape(text_of(one['message']))}")
    waiting = "no outcome yet" if one["run_status"] == "running" else f"not sent: the run was {one['run_status']}"
    outcome = _word(one["outcome"]) if one["outcome"] else f"[yellow]{waiting}[/]"
    tries = counted(one["attempts"], "send")
    reason = f": {escape(one['reason'])}" if one["reason"] else ""
    out.print(f"  {outcome} after {tries}{reason}")


def _settled(one: dict[str, Any]) -> str:
    """Why a row is owed no more though nothing was sent."""
    because = f": {one['because']}" if one["because"] else ""
    if one["mode"] == "discard":
        return f"given up by {one['requested_by']}{because}"
    if one["mode"] == "rebaseline":
        return f"the source was taken for accepted by {one['requested_by']}{because}"
    return "the source is back at what was accepted, or no trigger asks for the change"


def _values(one: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    before, after = one["before"], one["after"]
    if one["operation"] == "changed":
        for name in one["columns"]:
            yield name, text_of((before or {}).get(name)), text_of((after or {}).get(name))


def reasons(sync: str, records: Iterable[dict[str, Any]]) -> None:
    """Owed rows by what keeps them: how many, and a few of their keys."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], list[Any]] = {}
    for one in records:
        group = (one["kind"], one["reason"])
        counts[group] += 1
        if len(some := examples.setdefault(group, [])) < _EXAMPLES:
            some.append(one["key"])
    if not counts:
        out.print(f"{escape(sync)} owes nothing.")
        return
    rows = Rows("ROWS", "OUTCOME", "REASON", "KEYS", numbers=("ROWS",), wide={"REASON": 3, "KEYS": 2})
    for group, count in counts.most_common():
        shown = ", ".join(text_of(key) for key in examples[group]) + (", …" if count > len(examples[group]) else "")
        rows.add_row(str(count), _word(group[0]), escape(_short(group[1])), escape(shown))
    out.print(rows)
    out.print(f"[dim]one row a line: rowcast rejects {escape(sync)} --rows[/]")
    _whole(sync, (reason for _, reason in counts))


def _short(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"


def _whole(sync: str, reasons: Iterable[str]) -> None:
    if any(len(reason) > _LONGEST_REASON for reason in reasons):
        out.print(f"[dim]long reasons whole: rowcast rejects {escape(sync)} --json[/]")


def rejects(sync: str, records: list[dict[str, Any]]) -> None:
    if not records:
        out.print(f"{escape(sync)} owes nothing.")
        return
    rows = Rows("KEY", "OPERATION", "OUTCOME", "TRIES", "SINCE", "REASON", numbers=("TRIES",), wide={"REASON": 1})
    for one in records:
        rows.add_row(
            escape(text_of(one["key"])),
            coloured(one["operation"]),
            _word(one["kind"]),
            str(one["attempts"]),
            one["first_run"],
            escape(_short(one["reason"])),
        )
    out.print(rows)
    _whole(sync, (one["reason"] for one in records))
