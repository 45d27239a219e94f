"""What a release left behind is read by this one, and finished; what a later release left is refused plainly."""

from __future__ import annotations

import copy
import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rowcast.errors import RunFailed
from rowcast.stores.calls import S3Calls
from tests.model.aws_world import AwsWorld, Services, aws_world
from tests.model.frozen import LATER, load, restore

FIXTURES = Path(__file__).parents[1] / "fixtures"
RELEASES = sorted(path for path in FIXTURES.iterdir() if (path / "deployment.json").exists())
SYNC = "orders"
ROWS_PER_PARTITION_THEN = {"v1": 250_000, "v2": 250_000}
"""The default, where it was another than today's."""


@pytest.fixture
def world() -> Iterator[AwsWorld]:
    with aws_world() as made:
        made.look = lambda: None  # type: ignore[method-assign]  # the oracle did not see what happened before
        yield made


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_every_form_that_a_release_stored_is_read(world: AwsWorld, release: Path) -> None:
    restore(load(release), world)
    services = Services(world)
    head = services.states.head(SYNC)
    done, open_ = sorted(services.states.runs(SYNC, 10), key=lambda run: run.run)
    today = world.definition.limits
    limits = replace(today, rows_per_partition=ROWS_PER_PARTITION_THEN.get(release.name, today.rows_per_partition))
    of_then = replace(world.definition, limits=limits)
    assert (head.generation, head.open_run, done.status, open_.status) == (1, open_.run, "completed", "running")
    assert [debt.key for debt in services.debts.debts(SYNC, "0" * 32, "f" * 32)] == [[2]]
    changes = services.changes
    for run in (done, open_):
        assert run.manifest is not None
        assert services.snapshots.manifest(run.manifest).rows == 6
        chunks = [one for result in changes.results(SYNC, run.run) for one in result.chunks]
        assert all(changes.chunk(SYNC, run.run, chunk).changes for chunk in chunks)
        assert [state.done for state in changes.states(SYNC, run.run)][:1] == [run is done]
        assert services.definitions.pinned(SYNC, run.definition) == of_then
    deployment = services.definitions.deployment(SYNC)
    assert services.definitions.deployed_definition(deployment) == of_then
    assert len(list(S3Calls(objects=services.objects).calls(SYNC, done.run))) == 1
    assert [notice is not None for _, notice in services.queue(deployment).receive()] == [True]
    book, _ = services.alerting.alerts.book(SYNC)
    assert book is not None
    assert book.run == done.run


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_a_run_that_a_release_left_open_is_finished_and_nothing_is_doubled(world: AwsWorld, release: Path) -> None:
    state = load(release)
    restore(state, world)
    world.source.rows = [dict(row) for row in LATER]
    assert world.run()["status"] == "completed"
    sent = {one.id for one in world.arrivals}
    assert not sent & set(state["accepted"])
    assert sent >= set(state["unnoted"]), "whether it arrived is not known: it is sent again, as the same change"
    arrived = {**state["arrived"], **{str(one.key): one.row for one in world.arrivals if one.took_effect}}
    assert {key: row for key, row in arrived.items() if row is not None} == {str(row["id"]): row for row in LATER}
    assert world.owed() == {}
    before = len(world.arrivals)
    assert world.run()["status"] == "completed"
    assert len(world.arrivals) == before
    assert world.run(**{"mode": "plan", "request": f"requests/{SYNC}/1-plan.json"})["status"] == "planned"


Alter = Callable[[dict[str, Any]], None]


def item(state: dict[str, Any], table: str, beginning: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in state["tables"][table] if one["sk"]["S"].startswith(beginning))
    return found


def newer(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "version": 99}).encode()


def packed(table: str, beginning: str) -> Alter:
    def alter(state: dict[str, Any]) -> None:
        body = item(state, table, beginning)["body"]
        body["B"] = b64encode(zlib.compress(newer(zlib.decompress(b64decode(body["B"]))))).decode()

    return alter


def plain(beginning: str) -> Alter:
    def alter(state: dict[str, Any]) -> None:
        for one in state["tables"]["state"]:
            if one["sk"]["S"].startswith(beginning):
                one["body"]["S"] = newer(one["body"]["S"].encode()).decode()

    return alter


def stored(part: str) -> Alter:
    def alter(state: dict[str, Any]) -> None:
        for key, body in state["objects"].items():
            if part in key:
                state["objects"][key] = b64encode(newer(b64decode(body))).decode()

    return alter


def deployment(state: dict[str, Any]) -> None:
    for name, value in state["parameters"].items():
        state["parameters"][name] = newer(value.encode()).decode()


NEWER: dict[str, tuple[Alter, str]] = {
    "head": (lambda state: item(state, "state", "head").update(version={"N": "99"}), "The head of orders"),
    "run": (plain("run#"), "The record of run"),
    "chunk": (packed("changes", "chunk#"), "Chunk 00000-000000"),
    "result": (packed("changes", "result#"), "The result of a partition"),
    "chunk state": (packed("changes", "state#"), "The state of chunk"),
    "debt": (packed("debts", ""), "A debt of orders"),
    "alerts": (plain("alerts"), "the alerts of orders"),
    "manifest": (stored("manifest.json"), "The manifest"),
    "definition": (stored("definitions/"), "definition"),
    "deployment": (deployment, "The deployment of orders"),
}


@pytest.mark.parametrize("form", NEWER)
def test_a_form_of_a_later_release_is_refused_in_a_sentence(world: AwsWorld, form: str) -> None:
    state = copy.deepcopy(load(RELEASES[-1]))
    alter, said = NEWER[form]
    alter(state)
    restore(state, world)
    with pytest.raises(RunFailed, match=said) as refused:
        read_all(Services(world))
    assert "deploy" in str(refused.value) or form == "manifest"
    assert "row 1" not in str(refused.value)


def read_all(services: Services) -> None:
    services.states.head(SYNC)
    services.alerting.alerts.book(SYNC)
    list(services.debts.debts(SYNC, "0" * 32, "f" * 32))
    services.definitions.deployment(SYNC)
    for run in services.states.runs(SYNC, 10):
        assert run.manifest is not None
        services.definitions.pinned(SYNC, run.definition)
        services.snapshots.manifest(run.manifest)
        for result in services.changes.results(SYNC, run.run):
            for chunk in result.chunks:
                services.changes.chunk(SYNC, run.run, chunk)
        list(services.changes.states(SYNC, run.run))


def test_a_start_on_what_a_later_release_stored_sends_nothing(world: AwsWorld) -> None:
    state = copy.deepcopy(load(RELEASES[-1]))
    plain("run#")(state)
    restore(state, world)
    assert world.run()["status"] == "failed"
    assert world.arrivals == []
