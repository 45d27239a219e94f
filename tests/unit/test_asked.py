"""Commands that change what a sync sends or owes: they ask first, and write down who asked for what, and when."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import project
from rowcast.models import OPERATIONS, Replay, Run, from_json
from workbench import cli, cli_steer, deployment, renaming, show, steering

HELD = "20260101T000000.000Z"
COMMANDS = {
    "retry": ["retry", "a"],
    "discard": ["discard", "a", "--all", "--because", "why"],
    "rebaseline": ["rebaseline", "a"],
    "resync": ["resync", "a"],
    "replay": ["replay", "a", "--since", "1h"],
    "approve": ["approve", HELD],
    "reject": ["reject-run", HELD],
    "rename": ["rename", "a", "b"],
}
EXECUTIONS = [mode for mode in COMMANDS if mode != "rename"]
COUNTS = dict.fromkeys(OPERATIONS, 1) | {"rows": 3, "owed": 2, "left_out": {}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modes in which commands set to work, where every sync owes rows and a run waits."""
    modes: list[str] = []
    place: Any = SimpleNamespace()
    held = Run(sync="a", run=HELD, generation=1, execution="e", definition="d", started_at=0.0)
    ended = {"run": "r", "status": "planned"}

    def ask(_: Any, sync: str, mode: str, **wish: Any) -> None:
        modes.append(mode)
        ended["status"] = "planned" if mode == "plan" else "completed"

    def rename(*_: Any, **by_whom: str) -> dict[str, Any]:
        modes.append("rename")
        assert by_whom == {"by": "ann", "because": ""}
        return {"debts": 2}

    monkeypatch.setattr(renaming, "rename", rename)
    monkeypatch.setattr(renaming, "question", lambda *_: "take it along?")
    monkeypatch.setattr(steering, "who", lambda _: "ann")
    monkeypatch.setattr(cli_steer, "ready", lambda *_, **__: place)
    monkeypatch.setattr(deployment, "find", lambda *_, **__: place)
    monkeypatch.setattr(steering, "ask", ask)
    monkeypatch.setattr(steering, "owed", lambda *_: (None, 2, 1))
    monkeypatch.setattr(steering, "past", lambda *_, **__: (Replay(first=1, last=1), 0))
    monkeypatch.setattr(steering, "held", lambda *_: held)
    monkeypatch.setattr(steering, "plan", lambda *_: COUNTS)
    monkeypatch.setattr(project, "load", lambda _: SimpleNamespace(syncs={"a": None}))
    monkeypatch.setattr(project, "sync_names", lambda _: ["a"])
    monkeypatch.setattr(show, "followed", lambda *_, **__: ended)
    monkeypatch.setattr(show, "result", lambda _: None)
    return modes


def told(mode: str, *more: str, answer: str | None = None) -> Any:
    return CliRunner().invoke(cli.cli, [*COMMANDS[mode], *more], input=answer, standalone_mode=False)


def test_these_are_all_that_steer() -> None:
    asking = {command.name for command in cli_steer.COMMANDS if any(one.name == "yes" for one in command.params)}
    assert asking == {arguments[0] for arguments in COMMANDS.values()}


@pytest.mark.parametrize("mode", COMMANDS)
def test_a_steering_command_does_nothing_before_it_is_told_yes(mode: str, asked: list[str]) -> None:
    refused = told(mode, answer="n\n")
    assert (refused.return_value, "Nothing was done." in refused.output) == (1, True)
    assert "nothing was done" in str(told(mode).exception)
    assert set(asked) <= {"plan"}
    asked.clear()
    assert told(mode, answer="y\n").return_value == 0
    assert [one for one in asked if one != "plan"] == [mode]
    asked.clear()
    assert told(mode, "--yes").return_value == 0
    assert asked == [mode]


@pytest.mark.parametrize("mode", EXECUTIONS)
def test_what_is_asked_is_written_down_with_who_and_when(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(steering, "Execution", lambda place, sync, **steer: started.append({"sync": sync, **steer}))
    clients: dict[str, Any] = {
        "sts": SimpleNamespace(get_caller_identity=lambda: {"Arn": "arn:aws:iam::1:user/ann"}),
        "s3": SimpleNamespace(put_object=lambda Bucket, Key, Body: written.append(Body)),  # noqa: N803 - as AWS names it
    }
    aws = SimpleNamespace(local=None, client=clients.__getitem__)
    before = time.time()
    steering.ask(SimpleNamespace(aws=aws, output=str), "a", mode, because="ticket 1")  # type: ignore[arg-type]
    request = from_json(written[0])
    assert [request[name] for name in ("sync", "mode", "by", "because")] == [
        "a",
        mode,
        "arn:aws:iam::1:user/ann",
        "ticket 1",
    ]
    assert before <= request["at"] <= time.time()
    assert (started[0]["mode"], started[0]["request"].startswith("requests/a/")) == (mode, True)
