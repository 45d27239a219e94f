"""Counts of what the suites tried, as the documentation cites them: one JSON file a suite in build/evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "build" / "evidence"


def keep(suite: str, **counts: Any) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{suite}.json").write_text(json.dumps({"suite": suite, **counts}, indent=1, sort_keys=True) + "\n")
    print(f"\n{suite}: " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
