"""The YAML that the pages show is taken by the project's own loader, and the JSON and Python that they show parse."""

from __future__ import annotations

import ast
import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import project
from project import schema
from tests.project_folder import MAIN, TO_EVENTBRIDGE, TO_LAMBDA, Folder
from tests.unit.test_reference import PAGES, named
from workbench import cli, cost

FILES = {name: json.loads(content) for name, content in schema.files().items()}
OF_MAIN = set(FILES["rowcast.schema.json"]["properties"])
OF_SYNC = set(FILES["sync.schema.json"]["properties"])


def blocks(language: str, page: Path) -> Iterator[str]:
    fence = re.compile(rf"(?ms)^( *)```{language}\n(.*?)^\1```")
    for found in fence.finditer(page.read_text(encoding="utf-8")):
        yield textwrap.dedent(found[2])


def fragments(page: Path) -> list[dict[str, Any]]:
    return [loaded for block in blocks("ya?ml", page) if (loaded := yaml.safe_load(block))]


WITH_YAML = [page for page in PAGES if fragments(page)]


@pytest.mark.parametrize("page", WITH_YAML, ids=named)
def test_every_configuration_that_is_shown_is_valid(page: Path, tmp_path: Path) -> None:
    shown = [one for one in fragments(page) if not set(one) <= {"region", "as_of", "prices", "assumptions"}]
    for_main = [one for one in shown if is_main(one)]
    syncs = [one for one in shown if not is_main(one)]
    strange = [sorted(set(one) - OF_SYNC) for one in syncs if not set(one) <= OF_SYNC]
    assert strange == []
    folder = Folder(tmp_path)
    (tmp_path / "orders.sql").write_text("SELECT 1 AS id")
    folder.write("rowcast.yaml", merged(MAIN, for_main))
    for number, one in enumerate(syncs or [{}]):
        lambdas = one.get("destination", {}).get("type") == "lambda"
        folder.write(f"syncs/s{number}.yaml", {**(TO_LAMBDA if lambdas else TO_EVENTBRIDGE), **one})
    project.load(tmp_path)


def is_main(fragment: dict[str, Any]) -> bool:
    """`alerts` may stand in both files: only rowcast.yaml's describes channels."""
    channels = isinstance(fragment.get("alerts"), dict) and all(
        isinstance(one, dict) and "type" in one for one in fragment["alerts"].values()
    )
    return bool(set(fragment) & (OF_MAIN - OF_SYNC)) or channels


def merged(base: dict[str, Any], more: list[dict[str, Any]]) -> dict[str, Any]:
    made = dict(base)
    for one in more:
        for name, value in one.items():
            made[name] = {**made.get(name, {}), **value} if isinstance(value, dict) else value
    return made


def test_the_prices_that_are_shown_are_taken(tmp_path: Path) -> None:
    [shown] = blocks("yaml", next(page for page in PAGES if page.name == "cost.md"))
    (tmp_path / "prices.yaml").write_text(shown)
    assert cost.read_prices(tmp_path).region == yaml.safe_load(shown)["region"]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_json_and_python_that_is_shown_parses(page: Path) -> None:
    for block in blocks("json", page):
        if not re.match(r"(GET|POST|PUT) ", block):
            json.loads(block)
    for block in blocks("python", page):
        ast.parse(block)


def test_every_bill_that_is_shown_is_what_the_command_prints() -> None:
    text = next(page for page in PAGES if page.name == "cost.md").read_text(encoding="utf-8")
    bills = re.findall(r"(?m)^\$ rowcast (.*cost .*)\n((?:(?!\$ |```).*\n)+)", text)
    assert len(bills) >= 2
    for command, output in bills:
        printed = CliRunner().invoke(cli.cli, shlex.split(command.partition("  #")[0])).stdout
        assert [line.rstrip() for line in printed.splitlines()] == [line.rstrip() for line in output.splitlines()]
