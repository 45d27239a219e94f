"""Several readers of one result, against a real server: together they see what one would see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rowcast.definition import PostgresSource
from rowcast.errors import SourceFailed
from rowcast.sources import postgres_split
from rowcast.sources.postgres import PostgresQuerySource
from tests.postgres_server import PostgresServer, running_server
from tests.sources_support import Answer, ask

pytestmark = pytest.mark.postgres
ROWS = 20_000
TOTAL = ROWS * 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.execute(
            f"CREATE TABLE accounts AS SELECT i AS id, 1000 AS amount FROM generate_series(1, {ROWS}) AS i",
            "CREATE UNIQUE INDEX ON accounts (id)",
            f"CREATE TABLE orders AS SELECT i AS id, i % 7 AS kind FROM generate_series(1, {ROWS}) AS i",
            "CREATE VIEW seen AS SELECT id, now() AS at FROM orders",
            "CREATE FUNCTION whim(int) RETURNS float LANGUAGE sql VOLATILE AS 'SELECT random()'",
            "CREATE FUNCTION moment(orders) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()'",
            "CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE"
            " AS 'BEGIN PERFORM pg_sleep(0.01); RETURN $1; END'",
            "CREATE TABLE parent (id int)",
            "CREATE TABLE child () INHERITS (parent)",
            "INSERT INTO parent SELECT generate_series(1, 5000)",
            "INSERT INTO child SELECT generate_series(5001, 20000)",
            "CREATE TABLE guarded AS SELECT id FROM orders",
            "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
            "CREATE ROLE plain LOGIN PASSWORD 'plain'",
            "CREATE ROLE single LOGIN PASSWORD 'single' CONNECTION LIMIT 1",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain, single",
            "VACUUM ANALYZE",
        )
        yield running


@pytest.fixture(autouse=True)
def every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_split, "LEAST_PAGES", 4)


class Reading:
    """A source with four readers; `told` is what it said of them."""

    def __init__(self, server: PostgresServer, scratch: Path) -> None:
        self.server = server
        self.scratch = scratch
        self.told: list[str] = []

    def ask(self, query: str, user: str | None = None, **changes: Any) -> Answer:
        source = PostgresSource(
            name="warehouse",
            host=self.server.host,
            port=self.server.port,
            database=self.server.database,
            user=user or self.server.user,
            tls="off",
            **{"readers": 4, **changes},
        )
        self.told.clear()
        return ask(PostgresQuerySource(source, user or self.server.password, self.told.append), query, self.scratch)


@pytest.fixture
def reading(server: PostgresServer, tmp_path: Path) -> Reading:
    return Reading(server, tmp_path)


SHARED = [
    "SELECT * FROM orders",
    "SELECT o.id, lower(o.kind::text) AS kind FROM public.orders AS o WHERE o.id > 9000 OR o.kind = 3 -- some",
    "SELECT id, to_char(id, '00000') AS text, to_jsonb(orders) AS whole FROM orders",
]


@pytest.mark.parametrize("query", SHARED)
def test_several_readers_bring_what_one_would_bring(reading: Reading, query: str) -> None:
    together = reading.ask(query)
    assert reading.told == ["4 readers share one snapshot."]
    assert together == reading.ask(query, readers=1)
    assert reading.told == []


WHOLE = [
    "SELECT id FROM orders LIMIT 100",
    "SELECT count(*) AS n FROM orders",
    "SELECT id, generate_series(1, 2) AS n FROM orders",
    "SELECT id, random() < 2 AS r FROM orders",
    "SELECT id, whim(id) < 2 AS r FROM orders",
    "SELECT id, now() > '2000-01-01' AS t FROM orders",
    "SELECT o.id, o.moment > '2000-01-01' AS t FROM orders AS o",
    "SELECT id, at > '2000-01-01' AS t FROM seen",
    "SELECT id FROM parent",
    "SELECT id FROM guarded",
    "SELECT id FROM orders WHERE id IN (TABLE parent)",
    "SELECT amount FROM accounts WHERE id = 5",
]


@pytest.mark.parametrize("query", WHOLE)
def test_a_query_whose_parts_might_not_add_up_has_one_reader(reading: Reading, query: str) -> None:
    found = reading.ask(query)
    assert [text.split(":")[0] for text in reading.told] == ["One reader"]
    assert found == reading.ask(query, readers=1)


@contextmanager
def writers(server: PostgresServer) -> Iterator[list[int]]:
    """Move amounts and whole accounts about, each transaction leaving the number and the sum as they were."""
    from adbc_driver_manager import AdbcConnection, AdbcStatement
    from adbc_driver_postgresql import connect

    over, done = threading.Event(), [0, 0]

    def write(number: int) -> None:
        with connect(server.uri()) as database, AdbcConnection(database) as connection:
            step = number
            while not over.is_set():
                step += 2
                low, high = 1 + step * 37 % ROWS, 1 + step * 7919 % ROWS
                for text in (
                    "BEGIN",
                    f"UPDATE accounts SET amount = amount - 7 WHERE id = {min(low, high)}",
                    f"UPDATE accounts SET amount = amount + 7 WHERE id = {max(low, high)}",
                    f"WITH gone AS (DELETE FROM accounts WHERE id = {1 + number * 9000 + step % 9000} RETURNING *)"
                    " INSERT INTO accounts SELECT * FROM gone",
                    "COMMIT",
                ):
                    with AdbcStatement(connection) as statement:
                        statement.set_options(**{"adbc.postgresql.use_copy": "false"})
                        statement.set_sql_query(text)
                        statement.execute_update()
                done[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_readers_see_one_moment_while_others_write(server: PostgresServer, reading: Reading) -> None:
    with writers(server) as done:
        for _ in range(12):
            before = sum(done)
            rows = reading.ask("SELECT id, amount FROM accounts").rows
            assert reading.told == ["4 readers share one snapshot."]
            assert sorted(row["id"] for row in rows) == list(range(1, ROWS + 1))
            assert sum(row["amount"] for row in rows) == TOTAL
        assert sum(done) > before, "nothing was written meanwhile"


def test_a_role_with_too_few_connections_falls_back_to_one_reader(reading: Reading) -> None:
    assert len(reading.ask("SELECT id FROM orders", user="single").rows) == ROWS
    [told] = reading.told
    assert told.startswith("One reader: a snapshot cannot be shared here. Cannot connect to")


def test_where_snapshots_cannot_be_exported_one_reader_reads(server: PostgresServer, reading: Reading) -> None:
    server.execute("REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC")
    try:
        assert len(reading.ask("SELECT id FROM orders", user="plain").rows) == ROWS
    finally:
        server.execute("GRANT EXECUTE ON FUNCTION pg_export_snapshot() TO PUBLIC")
    [told] = reading.told
    assert "SQLSTATE 42501" in told


def test_every_reader_is_under_the_statement_timeout(reading: Reading) -> None:
    with pytest.raises(SourceFailed, match="SQLSTATE 57014"):
        reading.ask("SELECT slow(id) AS id FROM orders", statement_timeout_seconds=1)
    assert reading.told == ["4 readers share one snapshot."]


def test_a_failure_of_the_last_reader_is_a_failure_of_all(reading: Reading) -> None:
    with pytest.raises(SourceFailed, match="division by zero"):
        reading.ask(f"SELECT 1 / ({ROWS} - id) AS n FROM orders")
    assert reading.told == ["4 readers share one snapshot."]
