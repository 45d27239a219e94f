"""A source that tells when it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from rowcast.ports import SourceResult
from tests.world import TableSource


@dataclass
class NotingSource(TableSource):
    """Tells when it is read: that moment's rows are the run's snapshot."""

    on_query: Callable[[], None] = lambda: None

    @contextmanager
    def query(self, query: str, connection: duckdb.DuckDBPyConnection) -> Iterator[SourceResult]:
        self.on_query()
        with super().query(query, connection) as result:
            yield result
