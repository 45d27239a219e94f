"""Counts of what the suites tried: one JSON file a suite in build/evidence, written each time it runs.

`python -m tests.model.evidence` writes them into docs/explanation/evidence.md, between its two marks.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "evidence"
PAGE = ROOT / "docs" / "explanation" / "evidence.md"
MARKS = re.compile(r"(?<=<!-- counts -->\n).*(?=<!-- end of counts -->)", re.DOTALL)
TRIED = {
    "crash-sweep": "a worker dies at an AWS call",
    "crash-sweep-long": "the same in rarer and random histories",
    "at_once": "a worker dies at a call while several chunks are under way",
    "killed": "SIGKILL of a function's process in the embedded AWS",
    "faults": "AWS throttles, fails, times out, takes a part",
    "model": "stories at random",
    "model-long": "long stories at random",
    "interleavings": "executions of one sync, interleaved at their calls",
    "interleavings-long": "the same at every pair of calls, and in random turns",
    "twice": "a handler invoked twice, interleaved at its AWS calls",
    "mutations": "faults put into the engine",
}


def keep(suite: str, **counts: Any) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{suite}.json").write_text(json.dumps({"suite": suite, **counts}, indent=1, sort_keys=True) + "\n")
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    sys.stdout.write(f"\n{suite}: {told}\n")


def table() -> str:
    """What was counted, suites of one kind added up, with the day of the oldest count."""
    files = sorted(FOLDER.glob("*.json"))
    sums: dict[str, dict[str, int]] = {}
    for file in files:
        counts = json.loads(file.read_text())
        kind = _kind(counts.pop("suite"))
        for name, count in counts.items():
            into = sums.setdefault(kind, {})
            into[name] = into.get(name, 0) + count
    lines = ["| what was tried | counts | violations |", "|---|---|--:|"]
    for kind, what in TRIED.items():
        if kind in sums:
            counts = sums[kind]
            violations = counts.pop("violations", counts.get("mutations", 0) - counts.get("caught", 0))
            told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
            lines.append(f"| {what} (`{kind}`) | {told} | {violations} |")
    day = datetime.fromtimestamp(min(file.stat().st_mtime for file in files), UTC).date()
    return f"\nCounted on {day} or later, on Python {sys.version.split()[0]}.\n\n" + "\n".join(lines) + "\n\n"


def _kind(suite: str) -> str:
    """`interleavings-retry-long` counts as `interleavings-long`."""
    if suite in TRIED:
        return suite
    kind = suite.split("-", maxsplit=1)[0]
    return f"{kind}-long" if suite.endswith("-long") else kind


if __name__ == "__main__":
    PAGE.write_text(MARKS.sub(lambda _: table(), PAGE.read_text()))
