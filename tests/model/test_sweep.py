"""Death at every AWS call of every handler, over real handlers and adapters: the next start loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.model.evidence import keep
from tests.model.histories import HISTORIES

QUICK = ("go_on", "function", "resumed", "quiet", "failing")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each death is a forked process")
_counted: dict[str, Counter[str]] = defaultdict(Counter)


def swept(*arguments: str) -> list[dict[str, Any]]:
    """In a process of its own: only one without threads can be forked at any point."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "layers/core/python")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.model.sweep", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert results, done.stderr[-3000:]
    return results


def judge(results: list[dict[str, Any]], suite: str) -> None:
    for result in results:
        found = result["violations"]
        assert not found, f"{len(found)} violations in {result['history']}, seed {result['seed']}:\n{found[0]}"
        _counted[suite].update({name: result[name] for name in ("points", "worlds", "doubles")})
    keep(
        suite,
        points=_counted[suite]["points"],
        worlds_followed=_counted[suite]["worlds"],
        died_twice=_counted[suite]["doubles"],
        violations=0,
    )


@pytest.mark.parametrize("history", QUICK)
def test_a_worker_that_dies_at_any_aws_call_costs_no_change(history: str) -> None:
    judge(swept(history), "crash-sweep")


@pytest.mark.long
@pytest.mark.parametrize("history", [name for name in HISTORIES if name not in QUICK])
def test_a_worker_that_dies_in_a_rarer_run_costs_no_change(history: str) -> None:
    judge(swept(history), "crash-sweep-long")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 61))
def test_deaths_in_random_histories_cost_no_change(seed: int) -> None:
    judge(swept("random", "--seed", str(seed)), "crash-sweep-long")
