"""The embedded AWS's life: it starts, keeps its state, follows the configuration, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.e2e.folder import Folder
from workbench.aws import Aws
from workbench.local import deploy, server
from workbench.local.provision import Needs

pytestmark = pytest.mark.emulator


def processes_of(folder: Folder) -> list[str]:
    """The command lines of what the folder's emulator started, as far as they live."""
    listed = subprocess.run(["ps", "-eo", "pgid,stat,args"], capture_output=True, text=True, check=True).stdout
    group = (folder.path / ".rowcast" / "emulator.lock").read_text().strip()
    fields = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [args for pgid, state, args in fields if pgid == group and not state.startswith("Z")]


def test_the_state_survives_down_and_up_and_no_process_is_left_in_between(folder: Folder) -> None:
    folder.table("lasting", {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    first = folder.run("lasting")
    assert len(processes_of(folder)) > 1
    assert folder.typed("local", "down").returncode == 0
    assert processes_of(folder) == []
    assert folder.typed("runs", "lasting").returncode == 1
    assert folder.typed("local", "status").returncode == 1
    assert folder.typed("local", "up").returncode == 0
    folder.table("lasting", {"id": 1, "name": "a"}, {"id": 2, "name": "c"})
    second = folder.run("lasting")
    assert (second["added"], second["changed"]) == (0, 1)
    assert [one["run"] for one in folder.lines("runs", "lasting")] == [second["run"], first["run"]]
    assert len(folder.events("lasting")) == 3


def test_an_emulator_that_was_killed_starts_again_with_what_it_knew(folder: Folder) -> None:
    folder.table("stopped", {"id": 1, "name": "a"})
    folder.run("stopped")
    time.sleep(3)  # it saves itself when it is idle
    os.kill(folder.lines("local", "status")[0]["pid"], signal.SIGKILL)
    assert "not running" in folder.typed("local", "status").stdout
    second = folder.run("stopped")
    assert (second["status"], second["added"]) == ("completed", 0)


def test_an_emulator_that_is_killed_has_what_the_note_of_the_deployment_says(tmp_path: Path) -> None:
    local = server.up(tmp_path, owner=os.getpid())
    try:
        Aws(local=local).client("ssm").put_parameter(Name="/deployed", Value="new", Type="String")
        noted = deploy.Deployed(
            product="p", folder="f", plan="new", emulator=0, stack="S", outputs={}, syncs=[], needs=Needs(), uploaded={}
        )
        deploy._write(server.Home(tmp_path), local, noted)
        os.kill(local.pid or 0, signal.SIGKILL)
        os.waitpid(local.pid or 0, 0)
        again = Aws(local=server.up(tmp_path, owner=os.getpid())).client("ssm")
        assert deploy.read(tmp_path) == noted
        assert again.get_parameter(Name="/deployed")["Parameter"]["Value"] == noted.plan
    finally:
        server.down(tmp_path)


def test_an_emulator_whose_folder_was_deleted_ends(tmp_path: Path) -> None:
    local = server.up(tmp_path, owner=os.getpid())
    shutil.rmtree(tmp_path / ".rowcast")
    deadline = time.monotonic() + 15
    while os.waitpid(local.pid or 0, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_starts_at_once_share_one_emulator(folder: Folder) -> None:
    folder.typed("local", "down")
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: folder.typed("local", "up", "--json"), range(2)))
    first, second = (json.loads(done.stdout.splitlines()[-1]) for done in both)
    assert first["pid"] == second["pid"]


def test_a_changed_configuration_is_deployed_before_the_run_with_one_line_of_notice(folder: Folder) -> None:
    folder.table("later", {"id": 1, "name": "a"})
    folder.sync("later")
    done = folder.typed("run", "later", "--local")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("deploying") == 1
    assert "deploying" not in folder.typed("run", "later", "--local").stdout


def test_wrong_configuration_is_told_whole_and_starts_nothing(tmp_path: Path) -> None:
    wrong = Folder(tmp_path)
    wrong.write("rowcast.yaml", yaml.safe_dump({"sources": {"here": {"type": "files", "path": "data"}}}))
    wrong.table("a", {"id": 1})
    wrong.sync("a", sheduled="manual", initial_sync="all")
    for command in (["validate"], ["local", "up"], ["run", "a", "--local"]):
        done = wrong.typed(*command)
        assert done.returncode == 2
        assert "sheduled" in done.stderr
        assert "initial_sync" in done.stderr
        assert "Traceback" not in done.stderr
    assert [line["path"] for line in wrong.lines("validate")] == ["initial_sync", "sheduled"]
    assert not (tmp_path / ".rowcast" / "local.json").exists()


def test_an_unknown_sync_is_a_usage_error_that_names_the_nearest(folder: Folder) -> None:
    done = folder.typed("run", "evnts", "--local")
    assert done.returncode == 2
    assert "events" in done.stderr


def test_a_missing_secret_is_named_with_the_variable_to_set(tmp_path: Path) -> None:
    made = Folder(tmp_path)
    source = {"type": "postgres", "host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}
    main = {"sources": {"here": {**source, "password": {"env": "E2E_PASSWORD"}, "tls": "off"}}}
    made.write("rowcast.yaml", yaml.safe_dump(main))
    made.sync("a", model={"source": "here", "query": "SELECT 1 AS id", "primary_key": "id"})
    try:
        done = made.typed("run", "a", "--local", "--json")
        assert done.returncode != 0
        assert "E2E_PASSWORD" in done.stderr
        unreachable = made.run("a", E2E_PASSWORD="very-secret")
        assert unreachable["status"] == "failed"
        assert "very-secret" not in unreachable["reason"]
        kept = [path for path in (tmp_path / ".rowcast").rglob("*") if path.is_file() and "state" not in path.parts]
        assert not any(b"very-secret" in path.read_bytes() for path in kept)
    finally:
        made.typed("local", "down")
