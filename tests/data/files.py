"""The route over real files: a query that DuckDB asks of Parquet in S3, so that types are what they really are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rowcast.definition import Definition
from rowcast.message import RunInfo, compile_message
from rowcast.models import Change, Run
from rowcast.ports import Render, Source
from rowcast.sources.files import S3FilesSource
from tests.sources_support import BUCKET, PREFIX, Folder, s3_folder
from tests.world import World, sync_definition


class FilesWorld(World):
    """A world whose source is the folder `folder` and whose messages are those of the definition."""

    def __init__(self, folder: Folder, definition: Definition | None = None) -> None:
        super().__init__(definition or sync_definition())
        self.folder = folder

    def source_in(self, scratch: Path) -> Source:
        return S3FilesSource(client=self.folder.client, bucket=BUCKET, prefix=PREFIX, scratch=scratch)

    def render(self, definition: Definition, run: Run) -> Render:
        return compile_message(definition, RunInfo(id=run.run, started_at=run.started_at))

    def put(self, rows: str) -> None:
        """Makes the rows that a DuckDB query gives the source's."""
        self.folder.put_parquet("orders.parquet", rows)

    def run_with(self, rows: str) -> dict[str, Any]:
        self.put(rows)
        return self.run()

    def sent_changes(self) -> list[Change]:
        """Every change that was sent since the last look."""
        changes = [message.change for message in self.target.sent]
        self.target.calls.clear()
        return changes

    def bodies(self) -> list[str]:
        """The text of every message that was sent since the last look."""
        bodies = [message.body.decode() for message in self.target.sent]
        self.target.calls.clear()
        return bodies


@contextmanager
def files_world(scratch: Path, **changes: Any) -> Iterator[FilesWorld]:
    with s3_folder(scratch) as folder:
        yield FilesWorld(folder, sync_definition(**changes))


def values(*rows: str, columns: str = "id, v") -> str:
    """A query that gives these rows, each the SQL of its values."""
    return f"SELECT * FROM (VALUES {', '.join(f'({row})' for row in rows)}) AS t({columns})"
