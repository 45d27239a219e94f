"""Every mistake in the folder, its YAML and its fields, and what is said of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import project
from project import ProjectInvalid
from tests.project_folder import MAIN, ROLE, TO_EVENTBRIDGE, Folder, put


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectInvalid, match=re.escape(str(tmp_path / "no"))):
        project.load(tmp_path / "no")


def test_an_empty_folder_lacks_rowcast_yaml(tmp_path: Path) -> None:
    with pytest.raises(ProjectInvalid, match=r"there is no rowcast\.yaml in"):
        project.load(tmp_path)


def test_a_rowcast_yml_is_to_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "rowcast.yml").write_text("sources: {}")
    with pytest.raises(ProjectInvalid, match=r"rename rowcast\.yml"):
        project.load(tmp_path)


def test_a_missing_syncs_folder_is_told(folder: Folder) -> None:
    (folder.root / "syncs").rmdir()
    assert folder.problem().message == "the folder syncs does not exist"


def test_an_empty_syncs_folder_is_told_beside_the_mistakes_of_rowcast_yaml(folder: Folder) -> None:
    folder.write("rowcast.yaml", put(MAIN, "source", {}))
    assert [problem.message for problem in folder.problems()] == [
        "the folder syncs holds no sync",
        "unknown field source",
    ]


def test_all_mistakes_of_all_files_are_told_at_once(folder: Folder) -> None:
    folder.write("rowcast.yaml", put(MAIN, "sources.shop.path", "nowhere"))
    folder.write("syncs/a.yaml", put(put(TO_EVENTBRIDGE, "retries", {}), "schedule", {"cron": "0 7 * * *"}))
    folder.write("syncs/b.yaml", "model: [")
    assert [(problem.file, problem.path) for problem in folder.problems()] == [
        ("rowcast.yaml", "sources.shop.path"),
        ("syncs/a.yaml", "retries"),
        ("syncs/a.yaml", "schedule.cron"),
        ("syncs/b.yaml", ""),
    ]


def test_mistakes_in_rowcast_yaml_are_not_repeated_for_each_sync(folder: Folder) -> None:
    assert folder.in_main("sources.shop.type", "fles").path == "sources.shop.type"


@pytest.mark.parametrize("text", ["sources: [", "- a", "", "alerts: [a]"])
def test_syncs_are_not_blamed_for_a_rowcast_yaml_that_cannot_be_understood(folder: Folder, text: str) -> None:
    folder.write("rowcast.yaml", text).write("syncs/orders.yaml", put(TO_EVENTBRIDGE, "alerts", ["data-team"]))
    assert {problem.file for problem in folder.problems()} == {"rowcast.yaml"}


def test_two_files_may_not_describe_one_sync(folder: Folder) -> None:
    folder.write("syncs/orders.yaml", TO_EVENTBRIDGE).write("syncs/orders.yml", TO_EVENTBRIDGE)
    problem = folder.problem()
    assert (problem.file, problem.message) == (
        "syncs/orders.yml",
        "there is a sync orders already, in syncs/orders.yaml",
    )


@pytest.mark.parametrize("stem", ["New Orders", "-orders", "orders_2", "a" * 64])
def test_a_file_name_that_cannot_be_a_syncs_name_is_refused(folder: Folder, stem: str) -> None:
    assert folder.write(f"syncs/{stem}.yaml", TO_EVENTBRIDGE).problem().message == f"{stem!r} cannot be a sync's name"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("model:\n  source: a\n bad", 3, "not valid YAML"),
        ("a: 1\n---\nb: 2", 2, "not valid YAML"),
        ("model:\n\tsource: a", 2, "not valid YAML"),
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        ("- a", 1, "a list is of the wrong type"),
        (b"a: \xff", None, "not text in UTF-8"),
        ("a: \x00", None, "not valid YAML"),
        ("a: &x [*x]", 1, "aliases"),
        ("? [a]\n: b", 1, "a name must be text"),
        ("[" * 50_000, None, "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(
    folder: Folder, text: str | bytes, line: int | None, message: str
) -> None:
    problem = folder.write("syncs/orders.yaml", text).problems()[0]
    assert message in problem.message
    assert (problem.file, problem.line) == ("syncs/orders.yaml", line)


def test_a_field_given_twice_is_refused_with_both_lines(folder: Folder) -> None:
    text = yaml.safe_dump(TO_EVENTBRIDGE, sort_keys=False) + "alerts: []\nalerts: [data-team]\n"
    problem = folder.write("syncs/orders.yaml", text).problem()
    line = text.count("\n")
    assert problem.line == line
    assert problem.message == f"given twice, on line {line - 1} and on line {line}"
    text = yaml.safe_dump(TO_EVENTBRIDGE) + "guard: {max_removed: 1%, max_removed: 2%}\n"
    problem = folder.write("syncs/orders.yaml", text).problem()
    assert problem.message == f"given twice, on line {text.count(chr(10))}"


def test_a_file_that_is_no_mapping_is_told_what_it_should_hold(folder: Folder) -> None:
    problem = folder.write("syncs/orders.yaml", "- a\n").problem()
    assert problem.expected == "a mapping: the fields of one sync, whose name is the file's name"


def test_a_tag_is_refused(folder: Folder) -> None:
    text = yaml.safe_dump(TO_EVENTBRIDGE).replace("source: shop", "source: !Ref shop")
    assert folder.write("syncs/orders.yaml", text).problem().message == "a tag (!) has no meaning here"


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("trigers", "triggers"),
        ("model.primarykey", "primary_key"),
        ("triggers.chagned", "changed"),
        ("triggers.added.detailtype", "detail_type"),
        ("guard.removed", "max_removed"),
        ("destination.acount", "account"),
    ],
)
def test_an_unknown_field_is_told_with_line_path_and_the_nearest_known_one(
    folder: Folder, path: str, nearest: str
) -> None:
    problem = folder.in_sync(path, "x")
    written = (folder.root / "syncs/orders.yaml").read_text().splitlines()
    name = path.rpartition(".")[2]
    assert problem.message == f"unknown field {name}"
    assert (problem.path, problem.suggestion) == (path, nearest)
    assert problem.line and written[problem.line - 1].strip().startswith(f"{name}:")


def test_the_readable_list_shows_place_message_and_remedy(folder: Folder) -> None:
    folder.in_sync("trigers", "x")
    with pytest.raises(ProjectInvalid) as caught:
        project.load(folder.root)
    assert str(caught.value).startswith("1 problem in the project's configuration\n\nsyncs/orders.yaml:12  trigers\n")
    assert "unknown field trigers" in str(caught.value)
    assert "did you mean: triggers" in str(caught.value)


def test_problems_as_json_have_the_documented_fields(folder: Folder) -> None:
    (found,) = project.problems_json([folder.in_sync("trigers", "x")])
    assert list(found) == ["file", "line", "path", "message", "expected", "suggestion"]
    assert (found["file"], found["path"], found["suggestion"]) == ("syncs/orders.yaml", "trigers", "triggers")


@pytest.mark.parametrize("path", ["model", "destination", "triggers", "model.source", "model.primary_key"])
def test_a_missing_field_is_told_where_it_belongs(folder: Folder, path: str) -> None:
    within, _, name = path.rpartition(".")
    problem = folder.in_sync(path, ...)
    assert (problem.path, problem.message) == (within, f"the field {name} is missing")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.query", 5),
        ("model.primary_key", 7),
        ("model.primary_key", []),
        ("model.primary_key", ["a", "a"]),
        ("model.primary_key", [["a"]]),
        ("destination", "lambda"),
        ("triggers", []),
        ("triggers.added", "yes please"),
        ("triggers.added", None),
        ("message.template", 3),
        ("message.columns", ["a"]),
        ("initial_sync", "fill"),
        ("initial_sync", None),
        ("retry.immediate", "three"),
        ("retry.immediate", True),
        ("retry.immediate", -1),
        ("retry.immediate", 2.5),
        ("limits.concurrency", 0),
        ("guard.allow_empty", "maybe"),
        ("alerts", "data-team"),
        ("destination.region", "Ireland"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_what_is_expected(folder: Folder, path: str, value: Any) -> None:
    problem = folder.in_sync(path, value)
    assert problem.path.startswith(path)
    assert problem.expected


def test_a_number_where_text_is_wanted_may_want_quotes(folder: Folder) -> None:
    problem = folder.in_sync("destination.account", {"role_arn": ROLE, "external_id": 12345})
    assert problem.path == "destination.account.external_id"
    assert "quotes" in str(problem.expected)
