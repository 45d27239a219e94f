"""Counts of what the suites tried, as the documentation cites them: one JSON file a suite in build/evidence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "build" / "evidence"


def keep(suite: str, **counts: Any) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{suite}.json").write_text(json.dumps({"suite": suite, **counts}, indent=1, sort_keys=True) + "\n")
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    sys.stdout.write(f"\n{suite}: {told}\n")
