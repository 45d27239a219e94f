"""The same questions where PostgreSQL answers them: the whole route over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rowcast.definition import Guard
from rowcast.models import Change
from rowcast.ports import Source
from tests.postgres_server import PostgresServer, running_server
from tests.sources_support import postgres_source
from tests.world import World, sync_definition

pytestmark = pytest.mark.postgres
DIGITS = "1234567890123456789012345678901234567890"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


class PostgresWorld(World):
    """A world whose definition's query is asked of a server."""

    def __init__(self, server: PostgresServer) -> None:
        super().__init__(sync_definition())
        self.server = server

    def source_in(self, scratch: Path) -> Source:
        return postgres_source(self.server)

    def run_with(self, query: str, **changes: Any) -> dict[str, Any]:
        self.deploy(sync_definition(query=query, **changes))
        return self.run()

    def sent_changes(self) -> list[Change]:
        changes = [message.change for message in self.target.sent]
        self.target.calls.clear()
        return changes


@pytest.fixture
def world(server: PostgresServer) -> PostgresWorld:
    return PostgresWorld(server)


SAME = {
    "NaN": ("'NaN'::numeric", "'NaN'::numeric"),
    "1.0 and 1.00": ("1.0::numeric", "1.00::numeric"),
    "40 digits": (f"{DIGITS}::numeric", f"{DIGITS}.0::numeric"),
    "2^63": ("9223372036854775808::numeric", "9223372036854775808.00::numeric"),
    "an integer that is numeric now": ("5::bigint", "5.0::numeric"),
    "an instant in two zones": ("'2026-01-31 10:00+02'::timestamptz", "'2026-01-31 03:00-05'::timestamptz"),
    "json and jsonb": ("""'{"b": 1, "a": 2}'::json""", """'{"b": 1, "a": 2}'::jsonb"""),
}
DIFFERENT = {
    "40 digits but for the last": (f"{DIGITS}::numeric", f"{DIGITS[:-1]}1::numeric"),
    "Infinity and -Infinity": ("'Infinity'::numeric", "'-Infinity'::numeric"),
    "an instant and its text in a zone": ("'2026-01-31 10:00+00'::timestamptz", "'2026-01-31 10:00'::timestamp"),
    "before and after the gap of daylight saving": ("'2026-03-29 02:30'::timestamp", "'2026-03-29 03:30'::timestamp"),
    "NFC and NFD": (r"U&'caf\00e9'", r"U&'cafe\0301'"),
    "the empty text and null": ("''", "NULL::text"),
}


def test_values_are_the_same_or_different_as_they_are_in_files(world: PostgresWorld) -> None:
    cases = SAME | DIFFERENT
    sides = [", ".join(f'{pair[side]} AS "{name}"' for name, pair in cases.items()) for side in (0, 1)]
    world.run_with(f"SELECT 1 AS id, {sides[0]}")
    world.sent()
    world.run_with(f"SELECT 1 AS id, {sides[1]}", guard=Guard(allow_retyped=True))
    [change] = world.sent_changes()
    assert set(change.columns) == set(DIFFERENT)


def test_a_query_that_fails_after_half_its_rows_sends_nothing(world: PostgresWorld) -> None:
    world.run_with("SELECT i AS id, i AS v FROM generate_series(1, 3) AS i")
    world.sent()
    before = world.head
    summary = world.run_with("SELECT i AS id, 1 / (150000 - i) AS v FROM generate_series(1, 300000) AS i")
    assert (summary["status"], world.sent(), world.head.history) == ("failed", [], before.history)
    assert "division by zero" in summary["reason"]


@pytest.mark.parametrize(
    "value",
    [r"""'{"a": "\ud800"}'::json""", "(repeat('[', 1001) || repeat(']', 1001))::json"],
    ids=["a lone surrogate", "a thousand levels"],
)
def test_json_that_nothing_could_read_stops_the_run_with_what_to_write(world: PostgresWorld, value: str) -> None:
    summary = world.run_with(f"SELECT 1 AS id, {value} AS v")
    assert (summary["status"], world.sent()) == ("failed", [])
    assert 'write "v"::VARCHAR AS "v" in the query' in summary["reason"]
    assert world.run_with(f'SELECT id, "v"::VARCHAR AS "v" FROM (SELECT 1 AS id, {value} AS v) AS q')["added"] == 1


def test_a_text_without_a_place_in_postgresql_is_kept_out_by_it(world: PostgresWorld) -> None:
    assert world.run_with("SELECT 1 AS id, 'a' || chr(0) AS v")["status"] == "failed"
    assert world.sent() == []
