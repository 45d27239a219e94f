"""Runs of the whole route on a real PostgreSQL server, through the command line, in the embedded AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.folder import Folder
from tests.postgres_server import PostgresServer, running_server

pytestmark = [pytest.mark.emulator, pytest.mark.postgres]
ROWS = 5_000
SHARES = 200
HOSTILE = [
    ("SELECT nothing FROM customers", "nothing"),
    ("SELECT * FROM nowhere", "nowhere"),
    ("SELECT id, 1.5::money AS price FROM customers", "price"),
    ("SELECT id % 10 AS id FROM customers", "share a key"),
    ("SELECT nullif(id, 5) AS id FROM customers", "null"),
    ("SELECT id AS other FROM customers", "other"),
    ("SELECT id, pg_sleep(5)::text AS slept FROM customers", "57014"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.execute(
            "CREATE TABLE customers AS SELECT i::bigint AS id, 'customer ' || i AS name,"
            " (i * 1.25)::numeric(12, 2) AS total,"
            " timestamptz '2026-01-01 00:00:00+01' + i * interval '1 second' AS at,"
            " jsonb_build_object('tier', i % 3) AS attributes, ARRAY[i, i + 1] AS pair, decode('00ff', 'hex') AS raw,"
            f" i % 2 = 0 AS active FROM generate_series(1, {ROWS}) i",
            "ALTER TABLE customers ADD PRIMARY KEY (id)",
            f"CREATE TABLE shares AS SELECT i AS id, 1 AS part FROM generate_series(1, {SHARES}) i",
        )
        yield running


@pytest.fixture(scope="module")
def shop(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    folder = Folder(tmp_path_factory.mktemp("shop"))
    source = {"type": "postgres", "host": server.host, "port": server.port, "database": server.database}
    source |= {"statement_timeout": "2 seconds"}
    sources = {"dwh": {**source, "user": server.user, "password": {"env": "SHOP_PASSWORD"}, "tls": "off"}}
    folder.write("rowcast.yaml", yaml.safe_dump({"sources": sources}))
    folder.sync("customers", model=model("SELECT * FROM customers"), initial_sync="skip")
    folder.sync("shares", model=model("SELECT id, 10 / part AS share FROM shares"))
    for number, (query, _) in enumerate(HOSTILE):
        folder.sync(f"hostile-{number}", model=model(query))
    yield folder
    folder.rowcast("local", "down")


def model(query: str) -> dict[str, Any]:
    return {"source": "dwh", "query": query, "primary_key": "id"}


def test_the_events_of_a_run_equal_the_change_of_the_table(shop: Folder, server: PostgresServer) -> None:
    first = shop.run("customers", SHOP_PASSWORD=server.password)
    assert (first["rows"], first["skipped"], first["accepted"]) == (ROWS, ROWS, 0)
    server.execute(
        "UPDATE customers SET total = total + 1 WHERE id % 50 = 0",
        "DELETE FROM customers WHERE id % 100 = 1",
        f"INSERT INTO customers SELECT {ROWS} + i, 'new', 1.10, '2026-06-01T12:00:00Z', '{{}}', '{{1}}', '\\x01', true"
        " FROM generate_series(1, 50) i",
    )
    second = shop.run("customers", SHOP_PASSWORD=server.password)
    assert (second["added"], second["changed"], second["removed"], second["accepted"]) == (50, 100, 50, 200)
    events = shop.events("customers", second["run"])
    by_operation = {
        operation: {event["detail"]["id"]: event["detail"] for event in events if event["operation"] == operation}
        for operation in ("added", "changed", "removed")
    }
    assert len(events) == 200
    assert set(by_operation["added"]) == set(range(ROWS + 1, ROWS + 51))
    assert set(by_operation["changed"]) == set(range(50, ROWS + 1, 50))
    assert set(by_operation["removed"]) == set(range(1, ROWS, 100))
    assert by_operation["changed"][200] == {
        "id": 200,
        "name": "customer 200",
        "total": 251.00,
        "at": "2025-12-31T23:03:20Z",
        "attributes": {"tier": 2},
        "pair": [200, 201],
        "raw": "AP8=",
        "active": True,
    }
    quiet = shop.run("customers", SHOP_PASSWORD=server.password)
    assert (quiet["added"], quiet["changed"], quiet["removed"]) == (0, 0, 0)
    assert shop.events("customers", quiet["run"]) == []


@pytest.mark.parametrize(("sync", "told"), [(f"hostile-{number}", told) for number, (_, told) in enumerate(HOSTILE)])
def test_a_query_that_gives_no_usable_result_ends_the_run_and_sends_nothing(
    shop: Folder, server: PostgresServer, sync: str, told: str
) -> None:
    failed = shop.run(sync, SHOP_PASSWORD=server.password)
    assert failed["status"] == "failed"
    assert told in failed["reason"]
    assert shop.events(sync) == []


def test_a_query_that_fails_half_way_sends_nothing_and_loses_nothing(shop: Folder, server: PostgresServer) -> None:
    assert shop.run("shares", SHOP_PASSWORD=server.password)["accepted"] == SHARES
    server.execute("UPDATE shares SET part = part + 1 WHERE id = 3", f"UPDATE shares SET part = 0 WHERE id = {SHARES}")
    failed = shop.run("shares", SHOP_PASSWORD=server.password)
    assert (failed["status"], failed["accepted"]) == ("failed", 0)
    assert shop.events("shares", failed["run"]) == []
    server.execute(f"UPDATE shares SET part = 1 WHERE id = {SHARES}")
    mended = shop.run("shares", SHOP_PASSWORD=server.password)
    assert (mended["added"], mended["changed"], mended["removed"]) == (0, 1, 0)


def test_a_wrong_password_is_told_without_the_password(shop: Folder, server: PostgresServer) -> None:
    failed = shop.run("hostile-0", SHOP_PASSWORD="not-the-password")
    assert failed["status"] == "failed"
    assert "28P01" in failed["reason"] or "password" in failed["reason"]
    assert "not-the-password" not in failed["reason"]
    assert shop.run("customers", SHOP_PASSWORD=server.password)["status"] == "completed"
