"""The pages of docs keep to what there is: their links, commands and proofs exist, and each is found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from rowcast import errors
from rowcast.sources import postgres_errors
from workbench import cli
from workbench.docs import reference

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_every_test_that_is_named_as_a_proof_exists() -> None:
    page = (REFERENCE / "hightouch.md").read_text(encoding="utf-8")
    proofs = re.findall(r"`((?:unit|contract|integration|infra|e2e|model)/\w+\.py)(?:::(\w+))?`", page)
    assert len(proofs) > 40
    missing = [
        f"{file}::{name}"
        for file, name in proofs
        if not (ROOT / "tests" / file).is_file() or f"def {name}" not in (ROOT / "tests" / file).read_text("utf-8")
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([\w./-]*)(#[\w-]+)?\)", text):
        linked = (page.parent / target) if target else page
        assert linked.exists(), target
        if DOCS in page.parents:
            assert linked.is_file() and DOCS in linked.resolve().parents, f"{target} is not in the site: say it as code"
        if anchor:
            assert anchor[1:] in anchors(linked), f"{target}{anchor}"


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_but_decisions_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([\w./-]+)\)", index)}
    pages = {page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"} - {DOCS / "README.md"}
    assert [named(page) for page in sorted(pages - linked)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    wrong = []
    for line in commands(page.read_text(encoding="utf-8")):
        command, rest = followed(line)
        if command is None:
            wrong.append(line)
            continue
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        wrong += [f"{line}: {option}" for option in OPTION.findall(rest) if option not in known]
    assert wrong == []


def commands(text: str) -> Iterator[str]:
    """What follows `rowcast` in spans of code, in consoles, and in lines that are indented as code."""
    for found in re.findall(r"`rowcast ([^`]+)`|(?m:^ *\$ rowcast (.+)$)|(?m:^    rowcast (.+)$)", text):
        line = re.split(r"  +#| [|>] |\\\|", next(filter(None, found)))[0].strip()
        line = re.sub(r"^--project \S+ ", "", line)
        if re.match(r"[a-z]", line):
            yield line


def followed(line: str) -> tuple[click.Command | None, str]:
    """The command that the line begins with, through its groups, and what comes after."""
    command: click.Command = cli.cli
    rest = line
    while isinstance(command, click.Group) and rest:
        name, _, rest = rest.partition(" ")
        found = command.commands.get(name)
        if found is None:
            return None, line
        command = found
    return command, rest


def test_a_command_that_does_not_exist_is_noticed() -> None:
    page = "`rowcast runn orders`\n\n    rowcast run a --locl\n$ rowcast --project x local up   # starts\n"
    lines = list(commands(page))
    assert lines == ["runn orders", "run a --locl", "local up"]
    assert followed(lines[0])[0] is None
    assert followed(lines[1])[0] is cli.cli.commands["run"]
    assert followed(lines[2])[1] == ""


@pytest.mark.parametrize("path", reference.files(), ids=named)
def test_what_is_made_from_the_code_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == reference.files()[path], "run: make reference"


def test_every_setting_is_in_the_reference() -> None:
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    settings = {name for file in ("rowcast", "sync") for name in properties(json.loads(read(f"{file}.schema.json")))}
    assert len(settings) > 60
    assert sorted(name for name in settings if f"`{name}`" not in page) == []


def read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from properties(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from properties(part)


def test_every_error_is_in_the_reference() -> None:
    named = set(re.findall(r"(?m)^\| `([A-Z]\w+)` \|", read("errors.md")))
    raised = {one.__name__ for one in vars(errors).values() if isinstance(one, type)}
    assert named == raised


def test_every_alarm_is_in_the_reference() -> None:
    resources = reference.reviewed()["Resources"]
    ids = [name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"]
    told = re.findall(r"`(\w+)`", read("metrics.md").partition("## Alarms")[2].partition("\n## ")[0])
    assert [name for name in ids if not any(re.match(rf"Rowcast(Alarms|Sync\w+){one}", name) for one in told)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_command_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    text = page.read_text(encoding="utf-8")
    said = set(re.findall(r"(?m)(?:`|^ *\$ |^    )make ([a-z-]+)", text))
    assert said <= targets


def settings_in(schema: Any) -> set[str]:
    """The names of all fields of a JSON Schema."""
    if isinstance(schema, list):
        return set().union(*map(settings_in, schema))
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties")
    return set(own if isinstance(own, dict) else ()).union(*map(settings_in, schema.values()))


def test_a_setting_that_a_source_s_page_or_error_names_exists() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "sources").glob("*.md"))
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", pages))
    named |= set(re.findall(r"[a-z]+(?:_[a-z]+)+", " ".join(postgres_errors._HINTS.values())))
    of_others = {"pg_export_snapshot", "to_json"}
    assert named - of_others <= settings_in(json.loads(read("rowcast.schema.json")))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_lets_npx_fetch_a_release_that_is_not_locked(page: Path) -> None:
    assert "npx " not in page.read_text(encoding="utf-8")


def test_the_dashboards_pictures_call_alarms_by_names_that_fit() -> None:
    picture = (DOCS / "captures" / "dashboard-deployment.svg").read_text(encoding="utf-8")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    assert "OldDebts-new-orders" in texts
    assert [one for one in texts if "arn:" in one or "AWS::" in one] == []
