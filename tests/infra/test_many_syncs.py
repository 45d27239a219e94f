"""What each further sync adds to a deployment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import project
from bench.synth import many
from infra.constructs import layers
from tests.infra.conftest import synth


def assets(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.glob("*.assets.json")
    return [asset["source"] for asset in json.loads(file.read_text())["files"].values()]


def test_further_syncs_add_their_definitions_and_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests: list[Any] = []
    digest_of = layers.digest_of
    monkeypatch.setattr(layers, "digest_of", lambda *given: digests.append(given) or digest_of(*given))
    found, hashed = {}, {}
    for count in (1, 4):
        digests.clear()
        out = tmp_path / f"out-{count}"
        synth(out, of=project.load(many(tmp_path / f"project-{count}", count)))
        found[count] = [source["packaging"] for source in assets(out)]
        hashed[count] = len(digests)
    assert found[4].count("zip") == found[1].count("zip")
    assert found[4].count("file") == found[1].count("file") + 3
    assert hashed[4] == hashed[1]
