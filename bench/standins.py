"""What stands in for a source's and a store's other end in the sides of `bench.snapshot`."""

from __future__ import annotations

import datetime
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.data import FolderSnapshots
from rowcast.ports import Source

_PIECE = 1 << 20
_LOOK_SECONDS = 0.2


class Asking:
    """A source that is asked this query, whatever the definition says."""

    def __init__(self, source: Source, query: str) -> None:
        self._source = source
        self._query = query

    def query(self, _query: str, connection: Any) -> Any:
        return self._source.query(self._query, connection)


class FolderClient:
    """What the files source needs of an S3 client, over a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_paginator(self, _operation: str) -> FolderClient:
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        now = datetime.datetime.now(datetime.UTC)
        yield {
            "Contents": [
                {"Key": path.name, "Size": path.stat().st_size, "LastModified": now} for path in self._folder.iterdir()
            ]
        }

    def download_file(self, _bucket: str, key: str, path: str) -> None:
        shutil.copyfile(self._folder / key, path)


class Sink(FolderSnapshots):
    """A store that reads each file, keeps none, and answers after so many seconds."""

    def __init__(self, folder: Path, wait: float) -> None:
        super().__init__(folder)
        self._wait = wait

    def put_file(self, _key: str, path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            while file.read(_PIECE):
                pass
        time.sleep(self._wait)


@contextmanager
def disk_use(folder: Path) -> Iterator[list[int]]:
    """The most bytes that the folder's files had while it was open, as the list's only item, looked up again and
    again."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            most[0] = max(most[0], sum(_size(path) for path in folder.rglob("*")))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        over.set()
        looking.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # since it was listed
        return 0
