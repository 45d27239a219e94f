"""How `make test` spreads over its workers: file by file, what takes long first, so that both end together. Tests that
share what is dear to make stay on one worker: an emulator with a deployed folder, a synthesized template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# `make test` draws the same examples each time: a run that fails has found what its change did. Others are drawn by
# `make test-long`, which asks for the profile "random".
settings.register_profile("repeated", derandomize=True)
settings.register_profile("random", print_blob=True)
settings.load_profile("repeated")

ROOT = Path(__file__).parent
ORDER = ("e2e", "model", "infra", "data", "contract", "integration", "unit")
TOGETHER = ("e2e", "infra")
ALONE = ("test_cdk", "test_enforced", "test_init", "test_killed", "test_postgres", "test_tutorial")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / folder: place for place, folder in enumerate(ORDER)}
    items.sort(key=lambda item: places.get(item.path.parent, len(places)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.split("::", 1)[0])
            shared = file.parent.name in TOGETHER and file.stem not in ALONE
            return str(file.parent if shared else file)

    config.option.loadscopereorder = False
    return Scheduling(config, log)
