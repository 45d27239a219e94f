"""What the suites of the sources share: a query's rows as JSON, and the places that queries are asked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from rowcast import columns as sql
from rowcast.definition import PostgresSource
from rowcast.engine import engine
from rowcast.models import from_json
from rowcast.ports import Source
from rowcast.sources.files import S3FilesSource
from rowcast.sources.postgres import PostgresQuerySource
from tests.postgres_server import PostgresServer

BUCKET = "source-bucket"
PREFIX = "sources/shop"


@dataclass(frozen=True)
class Answer:
    """`types`: logical types by column. `json`: each row's JSON text. `physical`: DuckDB's types by column."""

    types: dict[str, str]
    json: list[str]
    physical: dict[str, str]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [from_json(text) for text in self.json]


def ask(source: Source, query: str, scratch: Path, memory_mb: int = 512) -> Answer:
    """The query's answer, read as snapshot reads it: once, into a table of a bounded engine."""
    with engine(scratch, memory_mb) as connection:
        with source.query(query, connection) as result:
            connection.execute(f"CREATE TABLE kept AS SELECT * FROM {result.relation}")
        rows = connection.execute(f"SELECT {sql.row_json(result.columns)} FROM kept").fetchall()
        physical = connection.execute("DESCRIBE kept").fetchall()
    types: dict[str, str] = {column.name: column.type for column in result.columns}
    return Answer(types, sorted(row[0] for row in rows), {row[0]: row[1] for row in physical})


def postgres_source(server: PostgresServer, password: str | None = None, **changes: Any) -> PostgresQuerySource:
    settings: dict[str, Any] = {
        "name": "warehouse",
        "host": server.host,
        "port": server.port,
        "database": server.database,
        "user": server.user,
        "tls": "off",
        **changes,
    }
    return PostgresQuerySource(PostgresSource(**settings), server.password if password is None else password)


@dataclass(frozen=True)
class Folder:
    """A prefix in S3 that stands for a project's folder."""

    client: Any
    scratch: Path

    def put(self, name: str, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=data)

    def put_parquet(self, name: str, query: str) -> None:
        path = self.scratch / "made.parquet"
        duckdb.connect().execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        self.put(name, path.read_bytes())

    def source(self) -> S3FilesSource:
        return S3FilesSource(client=self.client, bucket=BUCKET, prefix=PREFIX, scratch=self.scratch)


@cache
def _session() -> Any:
    """One for all tests: reading botocore's models is most of what a client costs."""
    import boto3

    return boto3.Session(region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")


@contextmanager
def s3_folder(scratch: Path) -> Iterator[Folder]:
    from moto import mock_aws

    with mock_aws():
        client = _session().client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield Folder(client, scratch)
