"""For the sweeps: an engine that remembers, and scratch folders in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.model.remembered import quick_engine


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with quick_engine():
        yield
