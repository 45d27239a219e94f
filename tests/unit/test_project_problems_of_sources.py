"""Mistakes in sources, secrets, alert channels and limits; and what editors say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import project
from project import Problem, ProjectInvalid, structure
from project.document import Document
from project.schema import schemas
from tests.project_folder import MAIN, TO_EVENTBRIDGE, TO_LAMBDA, Folder, put


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("backoff", ["1", "soon", "-1s", "0s", "10 minutes", 1])
def test_a_backoff_is_a_short_time(folder: Folder, backoff: Any) -> None:
    assert folder.in_sync("retry.backoff", backoff).path == "retry.backoff"


@pytest.mark.parametrize("rate", ["600", 600, "600 per day", "0 per second", "600/minute", "many per hour"])
def test_a_rate_is_changes_per_second_minute_or_hour(folder: Folder, rate: Any) -> None:
    assert folder.in_sync("limits.rate", rate).path == "limits.rate"


@pytest.mark.parametrize("share", ["101%", 15, "15 percent", -0.1, True, "half"])
def test_a_guard_is_a_share(folder: Folder, share: Any) -> None:
    problem = folder.in_sync("guard.max_removed", share)
    assert (problem.path, problem.expected) == ("guard.max_removed", "a share: 15% or 0.15")


def test_an_unknown_alert_channel_is_told_with_the_nearest(folder: Folder) -> None:
    problem = folder.in_sync("alerts", ["data-team", "date-team"])
    assert problem == Problem(
        "syncs/orders.yaml",
        problem.line,
        "alerts[1]",
        "there is no alert channel date-team in rowcast.yaml",
        "one of data-team",
        "data-team",
    )


def test_at_least_one_source_is_needed(folder: Folder) -> None:
    folder.write("syncs/orders.yaml", TO_EVENTBRIDGE).write("rowcast.yaml", "sources: {}")
    assert {problem.path for problem in folder.problems()} == {"sources", "model.source"}


def test_an_unknown_kind_of_source_is_told_with_the_nearest(folder: Folder) -> None:
    assert folder.in_main("sources.warehouse.type", "postgresql").suggestion == "postgres"


def test_a_sources_folder_must_exist(folder: Folder) -> None:
    problem = folder.in_main("sources.shop.path", "dat")
    assert (problem.path, problem.suggestion) == ("sources.shop.path", "data")


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "https://example.com/x", "s3://B/x"])
def test_a_sources_folder_lies_in_the_project_or_in_s3(folder: Folder, path: str) -> None:
    assert folder.in_main("sources.shop.path", path).path == "sources.shop.path"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 0),
        ("port", "5432"),
        ("tls", "on"),
        ("tls", False),
        ("statement_timeout", "15 minutes"),
        ("statement_timeout", "500ms"),
        ("tls_ca_file", "missing.pem"),
        ("tls_ca_file", "rowcast.yaml"),
    ],
)
def test_a_postgres_field_out_of_its_bounds_is_refused(folder: Folder, field: str, value: Any) -> None:
    assert folder.in_main(f"sources.warehouse.{field}", value).path == f"sources.warehouse.{field}"


@pytest.mark.parametrize("password", ["hunter2", 12345, {"plain": "hunter2"}, {"hunter2": None}, ["hunter2"], None])
def test_a_plain_password_is_refused_and_never_shown(folder: Folder, password: Any) -> None:
    problem = folder.in_main("sources.warehouse.password", password)
    assert problem.path == "sources.warehouse.password"
    assert problem.message == "a secret must not stand here as plain text"
    assert "{secret:" in str(problem.expected)
    assert "{env:" in str(problem.expected)
    assert "hunter2" not in str(problem)
    assert "12345" not in str(problem)


@pytest.mark.parametrize("reference", [{"secret": "my pass!"}, {"env": "A-B"}, {"parameter": "a b"}, {"secret": 5}])
def test_a_reference_of_the_wrong_form_is_refused_and_not_shown(folder: Folder, reference: dict[str, Any]) -> None:
    problem = folder.in_main("sources.warehouse.password", reference)
    assert problem.path == f"sources.warehouse.password.{next(iter(reference))}"
    assert str(next(iter(reference.values()))) not in problem.message


@pytest.mark.parametrize(
    ("channel", "path"),
    [
        ({"type": "slak", "webhook": {"secret": "a"}}, "type"),
        ({"type": "slack", "webhook": "https://hooks.example.com/x"}, "webhook"),
        ({"type": "webhook", "url": "http://example.com"}, "url"),
        ({"type": "email", "address": "nobody"}, "address"),
        ({"type": "sms", "number": 4930123456}, "number"),
        ({"type": "eventbridge", "bus": "a b"}, "bus"),
    ],
)
def test_an_alert_channel_has_the_fields_of_its_type(folder: Folder, channel: dict[str, Any], path: str) -> None:
    assert folder.in_main("alerts.data-team", channel).path == f"alerts.data-team.{path}"


def test_a_sync_in_rowcast_yaml_belongs_into_a_file_of_its_own(folder: Folder) -> None:
    assert "each sync is a file of its own" in folder.in_main("syncs", {}).message


ANYTHING: tuple[Any, ...] = (
    None,
    True,
    0,
    1.5,
    "",
    "on",
    "x y",
    [],
    ["a"],
    {},
    {"a": "b"},
    {"type": "lambda"},
    {"env": "X"},
    ...,
)


def places(value: Any, at: str = "") -> list[str]:
    inner = (
        [place for name, item in value.items() for place in places(item, f"{at}.{name}")]
        if isinstance(value, dict)
        else []
    )
    return [at.removeprefix("."), *inner]


@pytest.mark.parametrize("name", ["rowcast.schema.json", "sync.schema.json"])
def test_editors_and_validation_judge_the_form_of_files_alike(name: str) -> None:
    bases = [MAIN] if name.startswith("rowcast") else [TO_EVENTBRIDGE, TO_LAMBDA]
    schema = schemas()[name]
    editor = jsonschema.Draft202012Validator(schema)
    for base in bases:
        full = (
            base
            if base is MAIN
            else base | {"schedule": {"every": "1 day"}, "message": {"column": "a"}, "guard": {"max_removed": 0.1}}
        )
        for place in places(full)[1:]:
            for value in ANYTHING:
                content = put(full, place, value)
                document = Document("x", content)
                structure.check(document, schema)
                assert editor.is_valid(content) == (not document.problems), (place, value)


@pytest.mark.parametrize("base", [TO_EVENTBRIDGE, TO_LAMBDA])
def test_whatever_stands_at_a_place_is_accepted_or_told(folder: Folder, base: dict[str, Any]) -> None:
    folder.write("syncs/good.yaml", base)
    for place in places(base)[1:]:
        for value in ANYTHING:
            folder.write("syncs/orders.yaml", put(base, place, value))
            try:
                project.load(folder.root)
            except ProjectInvalid as invalid:
                assert {problem.file for problem in invalid.problems} == {"syncs/orders.yaml"}


def test_a_hosts_name_is_no_url_and_the_url_is_not_shown(folder: Folder) -> None:
    problem = folder.in_main("sources.warehouse.host", "postgres://me:hunter2@db/x")
    assert problem.path == "sources.warehouse.host"
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("password", ["!hunter2", "*hunter2"])
def test_a_password_that_yaml_reads_as_a_mark_is_not_shown(folder: Folder, password: str) -> None:
    text = yaml.safe_dump(MAIN).replace("    user: u\n", f"    user: u\n    password: {password}\n")
    folder.write("syncs/orders.yaml", TO_EVENTBRIDGE).write("rowcast.yaml", text)
    assert "hunter2" not in str(folder.problems()[0])
    assert "in quotes" in str(folder.problems()[0]) or "needs quotes" in str(folder.problems()[0])


def test_a_pool_must_exist(folder: Folder) -> None:
    folder.write("rowcast.yaml", {**MAIN, "pools": {"crm": {"rate": "10 per second"}}})
    problem = folder.write("syncs/orders.yaml", put(TO_EVENTBRIDGE, "limits", {"pool": "cmr"})).problem()
    assert (problem.path, problem.suggestion) == ("limits.pool", "crm")
    folder.write("rowcast.yaml", MAIN)
    assert "pools: in rowcast.yaml" in str(folder.problem().expected)


def test_a_pool_and_a_rate_exclude_each_other(folder: Folder) -> None:
    folder.write("rowcast.yaml", {**MAIN, "pools": {"crm": {"rate": "10 per second"}}})
    limits = {"pool": "crm", "rate": "1 per second"}
    problem = folder.write("syncs/orders.yaml", put(TO_EVENTBRIDGE, "limits", limits)).problem()
    assert (problem.path, "exclude each other" in problem.message) == ("limits", True)


@pytest.mark.parametrize("pool", [{}, {"rate": 5}, {"rate": "5 per day"}, "10 per second", {"name": "a"}])
def test_a_pool_has_a_rate(folder: Folder, pool: Any) -> None:
    assert (
        folder.write("syncs/orders.yaml", TO_EVENTBRIDGE)
        .write("rowcast.yaml", {**MAIN, "pools": {"crm": pool}})
        .problems()[0]
        .path.startswith("pools.crm")
    )
