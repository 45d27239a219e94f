"""What a page shows of a terminal: commands with their output, to be typed again and compared."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.folder import Folder

DOCS = Path(__file__).resolve().parents[2] / "docs"
CHANGING = (
    (r"\d{8}T\d{6}\.\d{3}Z", "<run>"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<instant>"),
    (r"\b\d\d:\d\d:\d\d\b", "<clock>"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (r"\b\d+\.\d s\b", "<seconds>"),
)


@dataclass(frozen=True)
class Shown:
    command: str
    output: str


def shown(page: str, *sections: str) -> list[Shown]:
    """All commands of the consoles of a page, or of its sections whose headings begin so."""
    text = (DOCS / page).read_text(encoding="utf-8")
    if sections:
        parts = re.split(r"(?m)^## ", text)
        text = "\n".join(part for part in parts if part.startswith(sections))
    found = []
    for block in re.finditer(r"(?ms)^( *)```console\n(.*?)^\1```", text):
        for command in re.split(r"(?m)^\$ ", textwrap.dedent(block[2]))[1:]:
            line, _, output = command.partition("\n")
            found.append(Shown(line.partition("  #")[0].strip(), output))
    return found


def prose(page: str, pattern: str) -> tuple[str, ...]:
    """What the groups of the pattern match in the page, whose line ends count as spaces."""
    text = " ".join((DOCS / page).read_text(encoding="utf-8").split())
    [found] = re.findall(pattern, text)
    return found if isinstance(found, tuple) else (found,)


def steady(text: str) -> list[str]:
    """The lines without what differs from run to run, and without the width of columns."""
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def typed(folder: Folder, line: str) -> str:
    """What the command leaves on a terminal of 80 columns, where the lines that tell how far a run is vanish."""
    command, _, searched = line.partition(" | grep ")
    words = shlex.split(command)
    assert words[0] == "rowcast"
    done = folder.typed(*words[1:], COLUMNS="80")
    assert done.stderr.startswith(("Starting", "Deploying")) or not done.stderr, done.stderr
    printed = done.stderr + re.sub(r"(?m)^[a-z-]+: .*\n", "", done.stdout)
    return "\n".join(one for one in printed.splitlines() if searched in one)
