"""The command line as people meet it: what is documented, what mistakes end in, what a terminal shows."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import click
import pytest
import yaml
from botocore.exceptions import EndpointConnectionError
from click.testing import CliRunner

from rowcast.errors import RowcastError, RunFailed
from rowcast.models import Debt, Head, Run
from tests.unit.test_local import event
from workbench import cli, deployment, running, show
from workbench.local import deploy, server
from workbench.options import counted

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "cli.md").read_text()


def commands(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        path = f"{prefix}{name}"
        found |= commands(command, f"{path} ") if isinstance(command, click.Group) else {path: command}
    return found


ALL = commands(cli.cli)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the sync `orders`."""
    (tmp_path / "rowcast.yaml").touch()
    (tmp_path / "syncs").mkdir()
    (tmp_path / "syncs" / "orders.yaml").touch()
    return tmp_path


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_is_documented(name: str) -> None:
    assert f"rowcast {name}" in REFERENCE


def test_the_help_lists_every_command_once() -> None:
    told = CliRunner().invoke(cli.cli, ["--help"]).output
    assert sorted(re.findall(r"(?m)^  ([a-z][a-z-]+)  +[A-Z]", told)) == sorted(cli.cli.commands)


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_option_is_documented(name: str) -> None:
    options = [opt for parameter in ALL[name].params for opt in parameter.opts if opt.startswith("--")]
    assert [option for option in options if option not in REFERENCE] == []


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_speaks_json(name: str) -> None:
    assert "--json" in {opt for parameter in ALL[name].params for opt in parameter.opts}


def test_every_documented_command_exists() -> None:
    named = set(re.findall(r"`rowcast ((?:local |alerts )?[a-z-]+)", REFERENCE))
    assert named - set(ALL) == set()


def exit_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["rowcast", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["local", "status"], 1, ""),
        (["events"], 1, "rowcast local up"),
        (["runs", "--local"], 1, "rowcast local up"),
        (["rejects", "a", "--local"], 1, "rowcast local up"),
        (["rejects"], 2, "SYNC"),
        (["no-such-command"], 2, "no-such-command"),
        (["validate"], 2, "rowcast.yaml"),
        (["run", "a", "--local"], 2, "rowcast.yaml"),
        (["plan", "a", "--local"], 2, "rowcast.yaml"),
        (["plan", "a", "--local", "--detailed-exitcode"], 1, "rowcast.yaml"),
        (["plan", "--detailed-exitcode"], 1, "SYNC"),
        (["plan", "a", "--local", "--stack", "mine", "--detailed-exitcode"], 1, "--stack a real account"),
        (["runs"], 2, "there is no rowcast.yaml"),
        (["runs", "--limit", "0"], 2, "--limit"),
        (["runs", "--local", "--profile", "mine"], 2, "--profile a real account"),
        (["run", "a", "--local", "--stack", "mine"], 2, "--stack a real account"),
        (["rename", "a", "a", "--yes"], 2, "a has that name already"),
        (["init", "a-file/a-folder", "--yes"], 1, "a-file/a-folder: Not a directory"),
    ],
)
def test_a_mistake_ends_in_a_sentence_and_its_exit_code(
    arguments: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = type(show.err)(stderr=True, width=200)
    monkeypatch.setattr(show, "err", console)
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    code, told = exit_code(capsys, monkeypatch, "--project", str(tmp_path), *arguments)
    assert code == status
    assert said in told
    assert "Traceback" not in told


def test_from_within_a_project_its_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "rowcast.yaml").touch()
    (tmp_path / "syncs").mkdir()
    done = CliRunner().invoke(cli.cli, ["--project", str(tmp_path / "syncs"), "validate", "--json"])
    assert json.loads(done.output)["suggestion"] == str(tmp_path)


@pytest.mark.parametrize(
    ("options", "embedded"),
    [
        ({}, True),
        ({"local": True}, True),
        ({"profile": "mine"}, False),
        ({"stack": "mine"}, False),
    ],
)
def test_in_a_folder_with_an_embedded_aws_only_what_names_an_account_means_one(
    tmp_path: Path, options: dict[str, Any], embedded: bool
) -> None:
    home = server.Home(tmp_path)
    home.make()
    home.write(server.LocalAws(pid=None, port=1))
    chosen: dict[str, Any] = {"local": False, "profile": None, "stack": None} | options
    assert deployment.means_embedded(tmp_path, **chosen) is embedded


def test_a_stack_of_an_earlier_release_that_lacks_an_output_is_to_be_deployed_again() -> None:
    nowhere: Any = SimpleNamespace(client=lambda _: None)
    place = deployment.Place(nowhere, {"StateTable": "t"})
    with pytest.raises(RowcastError, match="has no output Bucket: deploy again"):
        _ = place.snapshots
    with pytest.raises(RowcastError, match="has no output StateMachine: deploy again"):
        place.output("StateMachine")


class Renamed:
    """`old` was renamed, `gone` has run and is in no folder any more."""

    def head(self, sync: str) -> Head:
        if sync == "old":
            raise RunFailed("old was renamed to new")
        return Head(sync=sync, token=int(sync == "gone"))

    def run(self, *_: str) -> None:
        return None

    def runs(self, *_: Any) -> list[Run]:
        return []


@pytest.mark.parametrize(("sync", "status"), [("orders", 0), ("old", 0), ("gone", 0), ("ordres", 2)])
@pytest.mark.parametrize("command", [["runs"], ["calls"], ["rejects"], ["history", "--key", "1"]])
def test_records_are_looked_at_under_any_name_that_has_run(
    command: list[str], sync: str, status: int, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Records(deployment.Place):
        states = Renamed()
        calls = debts = SimpleNamespace(runs=lambda _: [], debts=lambda *_: [])

    monkeypatch.setattr(deployment, "find", lambda *_, **__: Records(SimpleNamespace(), {}))
    code, told = exit_code(capsys, monkeypatch, "--project", str(shop), command[0], sync, *command[1:])
    assert code == (1 if command[0] == "history" and not status else status), told
    assert ("Did you mean orders?" in told) == (status == 2)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reset_of_what_does_not_run_works(
    form: list[str], shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert exit_code(capsys, monkeypatch, "--project", str(shop), "local", "reset", *form)[0] == 0


def test_who_breaks_off_local_up_is_told_how_to_go_on(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(deploy, "ensure", Mock(side_effect=KeyboardInterrupt))
    code, told = exit_code(capsys, monkeypatch, "--project", str(shop), "local", "up")
    assert (code, "rowcast local up" in told, "rowcast local down" in told) == (130, True, True)


def test_an_embedded_aws_that_stops_meanwhile_is_named(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    gone = EndpointConnectionError(endpoint_url="http://127.0.0.1:1/")
    monkeypatch.setattr(deploy, "ensure", Mock(side_effect=gone))
    code, told = exit_code(capsys, monkeypatch, "--project", str(shop), "local", "up")
    assert (code, "The embedded AWS stopped" in told, "rowcast local up" in told) == (1, True, True)


HELD = {
    "status": "held",
    "sync": "orders",
    "run": "r1",
    "seconds": 1.0,
    "reason": "why",
    "found": {"added": 1, "changed": 2, "removed": 200},
    **dict.fromkeys(running.COUNTS, 0),
}


DETAILS = {
    **dict.fromkeys(("mode", "requested_by", "because", "decides", "started_at", "ended_at", "phase", "stopped"), ""),
    **dict.fromkeys(("generation", "partitions_diffed", "chunks", "attempts"), 0),
    **{"columns_added": [], "columns_dropped": [], "execution": "e", "reasons": []},
}


def test_a_held_run_shows_what_it_found_wherever_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show.result(HELD)
    show.run_info({**DETAILS, **HELD})
    said = capsys.readouterr().out
    assert said.count("1 added, 2 changed, 200 removed") == 2


@pytest.mark.parametrize("form", [[], ["--rows"]])
def test_a_long_reason_is_cut_and_where_it_is_whole_is_said(
    form: list[str], shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    owed = Debt(
        sync="orders",
        key=[1],
        key_hash="0",
        operation="added",
        reason="long " * 200,
        accepted=None,
        sent={"id": 1},
        in_doubt=False,
        attempts=1,
        first_run="r",
        last_run="r",
    )

    class Records(deployment.Place):
        states = Renamed()
        debts = SimpleNamespace(debts=lambda *_: [owed])

    monkeypatch.setattr(deployment, "find", lambda *_, **__: Records(SimpleNamespace(), {}))
    monkeypatch.setattr(sys, "argv", ["rowcast", "--project", str(shop), "rejects", "orders", *form])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().out
    assert said.count("long") < 60
    assert "rowcast rejects orders --json" in said


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_row_of_which_nothing_is_kept_is_told_in_every_form(
    form: list[str], shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Records(deployment.Place):
        states = Renamed()

    monkeypatch.setattr(deployment, "find", lambda *_, **__: Records(SimpleNamespace(), {}))
    monkeypatch.setattr(sys, "argv", ["rowcast", "--project", str(shop), "history", "orders", "--key", "9", *form])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr()
    assert "Nothing is kept of 9 in orders" in (said.err if form else said.out)


def journal(shop: Path) -> None:
    home = server.Home(shop)
    home.make()
    home.write(server.LocalAws(pid=None, port=1))
    home.arrivals.write_text(event("gone", 1))


@pytest.mark.parametrize(("sync", "status"), [("orders", 0), ("gone", 0), ("ordres", 2)])
def test_events_of_a_misspelt_sync_are_a_mistake(
    sync: str, status: int, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    journal(shop)
    code, told = exit_code(capsys, monkeypatch, "--project", str(shop), "events", "--sync", sync)
    assert (code, "Did you mean orders?" in told) == (status, status == 2)


@pytest.mark.parametrize(("run", "status"), [("r1", 0), ("nope", 2)])
def test_events_of_a_run_that_never_was_are_a_mistake(
    run: str, status: int, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    journal(shop)
    monkeypatch.setattr(server, "running", lambda _: True)
    monkeypatch.setattr(deployment, "find", lambda *_, **__: SimpleNamespace(states=Renamed()))
    code, told = exit_code(capsys, monkeypatch, "--project", str(shop), "events", "--run", run)
    assert (code, "There is no run nope" in told) == (status, status == 2)


def test_validate_lists_every_mistake_as_a_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "syncs").mkdir()
    (tmp_path / "rowcast.yaml").write_text(yaml.safe_dump({"sources": {}, "sorces": {}}))
    (tmp_path / "syncs" / "a.yaml").write_text(yaml.safe_dump({"modl": {}}))
    done = CliRunner().invoke(cli.cli, ["--project", str(tmp_path), "validate", "--json"], standalone_mode=False)
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert done.return_value == 2
    assert {line["file"] for line in lines} == {"rowcast.yaml", "syncs/a.yaml"}
    assert all(line["valid"] is False for line in lines)


FIELDS = {"run", "sync", "status", "rows", "added", "changed", "removed", "skipped", "accepted", "rejected", "in_doubt"}
FIELDS |= {"owed_before", "owed_after", "seconds", "reason"}


def test_a_run_that_could_not_start_has_every_field_of_the_contract() -> None:
    assert set(running.failure("a", "why")) >= FIELDS


class Machine:
    """A state machine with one execution that has ended."""

    def __init__(self, description: dict[str, Any], history: list[dict[str, Any]]) -> None:
        self.description = description
        self.history = history

    def start_execution(self, **_: Any) -> dict[str, Any]:
        return {"executionArn": "arn"}

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return self.description

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        return {"events": self.history}


class States:
    def runs(self, *_: Any) -> list[Any]:
        return []


class Place:
    states = Renamed()

    def __init__(self, machine: Machine) -> None:
        self.aws = self
        self.machine = machine
        self.local = True

    def client(self, _: str) -> Machine:
        return self.machine

    def output(self, _: str) -> str:
        return "arn"


def result_of(description: dict[str, Any], history: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    execution = running.Execution(Place(Machine(description, history or [])), "a")  # type: ignore[arg-type]
    assert list(execution.follow(watch=False)) == []
    return execution.result()


def test_a_start_that_finds_another_run_counts_nothing_of_it() -> None:
    output = {"next": "busy", "run": "r1", "summary": {"run": "r1", "status": "already_running", "added": 5}}
    result = result_of({"status": "SUCCEEDED", "output": json.dumps(output)})
    assert (result["status"], result["run"], result["added"]) == ("already_running", "r1", 0)
    assert set(result) >= FIELDS


def test_a_failed_run_tells_what_the_state_machine_announced() -> None:
    end = {"end": {"summary": {"run": "r1", "status": "failed", "reason": "no such bus"}}}
    history = [{"stateExitedEventDetails": {"output": json.dumps(end)}}]
    result = result_of({"status": "FAILED"}, history)
    assert (result["status"], result["reason"]) == ("failed", "no such bus")
    assert set(result) >= FIELDS


def test_an_execution_that_was_stopped_still_has_an_accounting() -> None:
    result = result_of({"status": "ABORTED", "cause": "stopped by hand"})
    assert (result["status"], result["reason"]) == ("failed", "stopped by hand")


def test_what_arrived_shows_what_it_is_about_on_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    console = type(show.out)(width=80, record=True, highlight=False)
    monkeypatch.setattr(show, "out", console)
    event = {"sync": "new-orders", "operation": "changed", "target": "orders", "time": "2026-11-20T17:16:27.009Z"}
    detail = {"source": "com.example.shop", "detail-type": "Order placed", "detail": {"id": 1001, "status": "x" * 50}}
    show.events([{**event, **detail}])
    header, line = console.export_text().splitlines()
    assert 'Order placed {"id":1001,' in line
    assert len(line) == 80
    assert header.index("WHAT") == line.index("Order placed")


def test_who_waits_for_events_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(show, "err", type(show.err)(stderr=True))
    show.events([], follow=True)
    assert capsys.readouterr().err == "Waiting for what arrives; Ctrl-C ends it.\n"


@pytest.mark.parametrize(("count", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (2_000_000, "2,000,000 rows")])
def test_a_count_agrees_with_its_noun(count: int, said: str) -> None:
    assert counted(count, "row") == said


def following(monkeypatch: pytest.MonkeyPatch, seconds_of_a_look: float) -> tuple[running.Execution, list[float]]:
    """An execution that runs for a minute on a clock of its own, and when its progress was looked at."""
    now, looks = [0.0], list[float]()
    monkeypatch.setattr(running.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(running.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    execution = running.Execution(Place(Machine({}, [])), "a")  # type: ignore[arg-type]

    def look() -> running.Progress | None:
        looks.append(now[0])
        now[0] += seconds_of_a_look
        return running.Progress(rows=7) if now[0] < 50 else None

    monkeypatch.setattr(execution, "_progress", look)
    monkeypatch.setattr(execution, "_description", lambda: {"status": "RUNNING" if now[0] < 60 else "SUCCEEDED"})
    return execution, looks


def test_looking_at_a_large_run_takes_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    execution, looks = following(monkeypatch, 1.0)
    list(execution.follow(watch=True))
    assert len(looks) == 3


def test_progress_never_goes_back_to_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    execution, looks = following(monkeypatch, 0.01)
    told = [progress.rows for progress in execution.follow(watch=True)]
    assert (told[-1], len(looks) > 60) == (7, True)


def test_who_stops_following_a_run_is_told_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    execution, _ = following(monkeypatch, 0.01)

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "_progress", interrupted)
    monkeypatch.setattr(show, "err", type(show.err)(stderr=True))
    with pytest.raises(KeyboardInterrupt):
        show.followed(execution, quiet=False)
    assert "the run goes on. To look at it: rowcast runs a" in capsys.readouterr().err


def test_the_end_of_a_run_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    console = type(show.out)(width=80, record=True, highlight=False)
    monkeypatch.setattr(show, "out", console)
    counts = dict.fromkeys(running.COUNTS, 1234)
    show.result(
        {
            "run": "20261120T160018.656Z",
            "sync": "welcome-customers",
            "status": "completed",
            **counts,
            "seconds": 4.4,
            "reason": "",
        }
    )
    assert all(len(line) <= 80 for line in console.export_text().splitlines())
