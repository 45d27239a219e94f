"""A new project, as `rowcast init` makes it, in the embedded AWS: it runs at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.folder import Folder

pytestmark = pytest.mark.emulator


def test_a_new_project_runs_at_once_and_its_cost_follows_from_its_runs(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "my-crm")
    assert folder.rowcast("init", "--destination", "lambda", "--yes").returncode == 0
    try:
        run = folder.run("orders")
        assert (run["status"], run["rows"], run["accepted"], run["rejected"]) == ("completed", 5, 4, 1)
        [rejected] = folder.lines("rejects", "orders")
        assert rejected["key"] == 1004
        [cost] = folder.lines("cost", "orders")
        assert (cost["rows"], cost["changes"]) == (5, 5)
    finally:
        folder.rowcast("local", "down")
