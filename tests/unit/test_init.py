"""`rowcast init`: the made project is whole and valid, and nothing that was there is touched."""

from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import project
from workbench import cli, starter
from workbench.options import UsageFault


def made(folder: Path, *arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(cli.cli, ["init", str(folder), *arguments], input=answers, catch_exceptions=True)


@pytest.mark.parametrize("source", ["files", "postgres"])
@pytest.mark.parametrize("destination", ["eventbridge", "lambda"])
def test_every_kind_of_project_is_valid(source: str, destination: str, tmp_path: Path) -> None:
    result = made(tmp_path / "My shop", "--source", source, "--destination", destination, "--yes")
    assert result.exit_code == 0, result.output
    loaded = project.load(tmp_path / "My shop")
    assert loaded.name == "My-shop"
    assert list(loaded.syncs) == [starter.SYNC]
    assert loaded.syncs[starter.SYNC].definition.source.name == "shop"
    assert bool(loaded.functions) == (destination == "lambda")


def test_the_password_of_a_database_is_only_a_reference(tmp_path: Path) -> None:
    chosen = starter.Starter(name="Shop", source="postgres", destination="eventbridge")
    starter.write(tmp_path, chosen, {"PGPASSWORD": "s3cret", "PGHOST": "db.internal", "PGUSER": "y: es"})
    text = (tmp_path / "rowcast.yaml").read_text()
    assert "s3cret" not in text and "{env: PGPASSWORD}" in text and "tls: verify" in text
    source: Any = project.load(tmp_path).sources["shop"]
    assert (source.host, source.user, source.tls) == ("db.internal", "y: es", "verify")


def test_questions_are_asked_for_what_no_flag_says(tmp_path: Path) -> None:
    result = made(tmp_path / "shop", "--source", "files", answers="lambda\nOrders-of-May\n")
    assert result.exit_code == 0, result.output
    assert project.load(tmp_path / "shop").name == "Orders-of-May"
    assert (tmp_path / "shop" / "targets" / "orders.py").is_file()


def test_where_nobody_answers_nothing_is_made_and_the_way_on_is_said(tmp_path: Path) -> None:
    result = made(tmp_path / "shop", answers="")
    assert isinstance(result.exception, UsageFault) and "--yes" in str(result.exception)
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize("name", ["rowcast.yaml", "syncs/orders.yaml", "data/orders.csv", "rowcast.yml"])
def test_a_file_that_is_there_stops_everything(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    result = made(tmp_path, "--yes")
    assert isinstance(result.exception, UsageFault) and name in str(result.exception)
    assert (tmp_path / name).read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


def test_a_name_that_no_stack_can_have_is_refused(tmp_path: Path) -> None:
    result = made(tmp_path / "x", "--yes", "--name", "1 shop")
    assert isinstance(result.exception, UsageFault)
    assert not (tmp_path / "x").exists()


def test_a_name_that_no_stack_can_have_is_asked_for_again(tmp_path: Path) -> None:
    done = made(tmp_path / "a b", answers="files\neventbridge\n1 no\nFine\n")
    assert (done.exit_code, "'1 no' is no name" in done.output) == (0, True)
    assert "Made Fine" in done.output
    assert f"cd '{tmp_path / 'a b'}'" in done.output


def test_the_next_commands_exist_and_lead_into_the_folder(tmp_path: Path) -> None:
    output = made(tmp_path / "shop", "--yes").output
    commands = [line.split() for line in output.splitlines() if line.startswith("  ")]
    assert commands[0] == ["cd", str(tmp_path / "shop")]
    assert all(words[1] in cli.cli.commands for words in commands if words[0] == "rowcast")
    assert ["rowcast", "run", starter.SYNC, "--local"] in commands


def test_the_schema_line_stands_only_where_it_leads_to_the_schema(tmp_path: Path) -> None:
    chosen = starter.Starter(name="Shop", source="files", destination="eventbridge")
    assert "$schema" not in "".join(starter.contents(tmp_path, chosen, {}).values())
    inside = starter.ROOT / "examples" / "another"
    for name, text in starter.contents(inside, chosen, {}).items():
        for way in re.findall(r"\$schema=(\S+)", text):
            assert ((inside / name).parent / way).resolve().parent == starter.SCHEMAS
    assert "$schema" in starter.contents(inside, chosen, {})["rowcast.yaml"]


def test_the_sample_target_rejects_the_sample_row_without_an_address(tmp_path: Path) -> None:
    starter.write(tmp_path, starter.Starter(name="Shop", source="files", destination="lambda"))
    spec = importlib.util.spec_from_file_location("orders", tmp_path / "targets" / "orders.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = list(csv.DictReader((tmp_path / "data" / "orders.csv").read_text().splitlines()))
    event = {"metadata": {"primary_key_column": "order_id", "operation": "added"}, "rows": rows}
    assert [error["primary_key_value"] for error in module.handler(event, None)["errors"]] == ["1004"]
