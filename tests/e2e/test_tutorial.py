"""The pages' terminals are typed again, in the embedded AWS: each command prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.folder import Folder
from tests.e2e.transcript import Shown, prose, shown, steady, typed

pytestmark = pytest.mark.emulator

RUN = r"\d{8}T\d{6}\.\d{3}Z"
ANSWERED = "[y/N]: y\n"


def repeated(folder: Folder, commands: list[Shown]) -> None:
    for one in commands:
        if one.command.startswith("cd "):
            continue
        question, _, output = one.output.rpartition(ANSWERED)
        printed = typed(folder, f"{one.command} --yes" if question else one.command)
        if output.strip():
            assert steady(printed) == steady(output), one.command


def test_the_tutorial_s_local_part_is_as_it_says(tmp_path: Path) -> None:
    start, *rest = shown("tutorial.md", "2. ", "3. ")[1:]
    assert start.command == "rowcast init my-shop --yes"
    folder = Folder(tmp_path / "my-shop")
    made = Folder(tmp_path).rowcast("init", str(folder.path), "--yes")
    assert steady(made.stdout.replace(f"{tmp_path}/", "")) == steady(start.output)
    try:
        repeated(folder, rest)
        edit(folder)
        repeated(folder, shown("tutorial.md", "4. "))
    finally:
        folder.rowcast("local", "down")


def edit(folder: Folder) -> None:
    """What the page tells to do to the file."""
    file, paid, status, gone, new = prose(
        "tutorial.md",
        r"Edit `([\w/.]+)`: order (\d+) is now `(\w+)`, order (\d+) is gone, and there is a new line `(.+?)`\.",
    )
    path = folder.path / file
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{gone},")]
    changed = [
        ",".join([key, status, *more]) if (key := line.split(",")[0]) == paid else line
        for line in lines
        for more in [line.split(",")[2:]]
    ]
    path.write_text("\n".join([*changed, new]) + "\n")


def test_the_pages_on_incidents_are_as_they_say(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "my-crm")
    init, _, run = shown("how-to/batch-function.md")
    assert init.command == "rowcast init my-crm --destination lambda --yes"
    assert folder.rowcast("init", "--destination", "lambda", "--yes").returncode == 0
    why, *looks, retry, after, discard = shown("how-to/rejected-rows.md")
    try:
        assert folder.rowcast("local", "up").returncode == 0
        repeated(folder, [run, why, *looks])
        data = folder.path / "data" / "orders.csv"
        data.write_text(
            "\n".join(f"{line}x@example.com" if line.endswith(",") else line for line in data.read_text().splitlines())
        )
        repeated(folder, [retry, after, discard])
        fill(folder, 400)
        assert folder.run("orders")["accepted"] == 405
        fill(folder, 200)
        held = folder.run("orders")["run"]
        runs, info, plan, _, approve = [
            Shown(re.sub(RUN, held, one.command), one.output) for one in shown("how-to/held-run.md")
        ]
        repeated(folder, [runs, info, plan, approve])
    finally:
        folder.rowcast("local", "down")


def fill(folder: Folder, rows: int) -> None:
    """So many orders that the function takes."""
    data = folder.path / "data" / "orders.csv"
    header = data.read_text().splitlines()[0]
    data.write_text("\n".join([header, *(f"{5000 + n},paid,10.00,x@example.com" for n in range(rows))]) + "\n")
