"""The bill of materials names all that a layer's lock pins, with or without a service that knows of weaknesses."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.sbom import LAYERS, bill

LOCKS = sorted(LAYERS.glob("*/requirements.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_a_layer_s_bill_names_every_package_that_is_locked(lock: Path) -> None:
    text = lock.read_text()
    pinned = {line.split(" ")[0].rstrip("\\") for line in text.splitlines() if "==" in line and line[0].isalpha()}
    named = {f"{one['name']}=={one['version']}" for one in bill("core", text)["components"]}
    assert pinned == named
    assert named


def test_a_package_has_its_address_and_its_licence() -> None:
    (one,) = bill("core", "msgspec==1.2.3 ; python_version > '3' \\\n    --hash=sha256:00\n")["components"]
    assert one["purl"] == "pkg:pypi/msgspec@1.2.3"
    assert "BSD" in one["licenses"][0]["license"]["name"]
