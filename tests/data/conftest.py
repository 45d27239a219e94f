from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.files import FilesWorld, files_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FilesWorld]:
    """A backfilling sync of `id` over the Parquet file `orders`."""
    with files_world(tmp_path) as made:
        yield made
