"""For the sweeps: an engine that remembers, and scratch folders in memory where the machine has them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model.remembered import remembered_engine


@pytest.fixture(autouse=True, scope="module")
def quick_engine() -> Iterator[None]:
    before = tempfile.tempdir
    if Path("/dev/shm").is_dir():
        tempfile.tempdir = "/dev/shm"
    with remembered_engine():
        yield
    tempfile.tempdir = before
