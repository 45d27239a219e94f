"""A column may be called like anything that our own SQL names: the whole route over a table with a column for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import msgspec
import pytest

from rowcast import engine
from rowcast.arrival import normalize
from rowcast.columns import row_json
from rowcast.definition import Limits
from rowcast.models import from_json, to_json
from rowcast.ports import SourceResult, Verdict
from rowcast.sqltext import RESERVED, TAKEN, quote
from tests.world import ALL_ON, ON, World, sync_definition

ROWS = 40
RESERVED_WORDS = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
NESTED = ("depth", "most", "w", "f", "e", "key", "value")
"""Fields that our SQL asks of its own values: a struct of a source has them, too."""
KINDS: dict[str, tuple[str, Callable[[int], Any]]] = {
    "integer": ("{0}", lambda number: number),
    "text": ("'x' || {0}", lambda number: f"x{number}"),
}
STRUCT = "{{" + ", ".join(f"'{name}': {{0}}" for name in NESTED) + "}}", lambda number: dict.fromkeys(NESTED, number)
BESIDE: dict[str, tuple[str, Callable[[int], Any]]] = {
    "a map": ("MAP {{'at': {0}}}", lambda number: {"at": number}),
    "the lists": ("[[{0}, 1], []]", lambda number: [[number, 1], []]),
    "some JSON": ("""('{{"a": [1.50e1, ' || {0} || ']}}')::JSON""", lambda number: {"a": [15, number]}),
    "a fraction": ("{0} / 2", lambda number: number / 2),
}
"""Columns that our SQL takes apart."""


class Recording:
    """A connection that notes the bare words of each statement, but for the functions that it calls."""

    def __init__(self, real: Any, words: set[str]) -> None:
        self._real = real
        self._words = words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, statement: Any, *parameters: Any) -> Any:
        self._note(statement)
        return self._real.execute(statement, *parameters)

    def extract_statements(self, statement: str) -> Any:
        self._note(statement)
        return self._real.extract_statements(statement)

    def _note(self, statement: str) -> None:
        self._words.update(re.findall(r"[a-z_]\w*\b(?! *\()", QUOTED.sub(" ", statement).lower()))


class QuerySource:
    """Asks the engine itself, as the source of files does."""

    @contextmanager
    def query(self, query: str, connection: duckdb.DuckDBPyConnection) -> Iterator[SourceResult]:
        connection.execute(f"CREATE TABLE source_rows AS {query}")
        types = connection.execute("DESCRIBE source_rows").fetchall()
        expressions, columns = normalize([(row[0], row[1]) for row in types])
        yield SourceResult(relation=f"(SELECT {', '.join(expressions)} FROM source_rows)", columns=columns)


def table(columns: Mapping[str, tuple[str, Callable[[int], Any]]], numbers: dict[int, int]) -> str:
    """The query that gives these columns, of rows by key."""
    rows = ", ".join(f"({key}, {number})" for key, number in numbers.items())
    made = ", ".join(f"{text.format('t.number')} AS {quote(name)}" for name, (text, _) in columns.items())
    return f'SELECT t.own_key AS "the key", {made} FROM (VALUES {rows}) t(own_key, number)'


class Named:
    """A sync of a table with a column of one kind for each of these names, in which all values of a row tell one
    number."""

    def __init__(self, names: list[str], kind: str) -> None:
        self.columns = dict.fromkeys(names, KINDS[kind]) | BESIDE
        self.world = World(sync_definition(primary_key=("the key",)))
        self.world.source = QuerySource()  # type: ignore[assignment]

    def run(self, numbers: dict[int, int], **changes: Any) -> tuple[str, str, tuple[int, int, int]]:
        """`numbers`: by key. `changes`: of the definition."""
        query = table(self.columns, numbers)
        self.world.deploy(msgspec.structs.replace(self.world.definition, query=query, **changes))
        summary = self.world.run()
        return summary["status"], summary["reason"], (summary["added"], summary["changed"], summary["removed"])

    def arrived(self) -> dict[int, dict[str, Any]]:
        rows = [from_json(to_json(row)) for row in self.world.target.arrived.values()]
        return {row.pop("the key"): row for row in rows}

    def expected(self, numbers: dict[int, int]) -> dict[int, dict[str, Any]]:
        return {
            key: {name: value(number) for name, (_, value) in self.columns.items()} for key, number in numbers.items()
        }


def follow(names: list[str], kind: str) -> None:
    """A first run; one that owes its changes; one that pays them, of other columns and in another partitioning."""
    sync = Named(names, kind)
    numbers = {key: key for key in range(ROWS)}
    assert sync.run(numbers, limits=Limits(concurrency=1, rows_per_partition=ROWS // 4)) == (
        "completed",
        "",
        (ROWS, 0, 0),
    )
    numbers |= {0: -1, 1: -1, 2: -1, ROWS: 1}
    del numbers[3]
    sync.world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="No")
    assert sync.run(numbers)[2] == (1, 3, 1)
    assert len(sync.world.owed()) == 5
    sync.world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    dropped = sync.columns.pop("a fraction")
    narrow = msgspec.structs.replace(ALL_ON, changed=on_columns(*names, "some JSON"))
    coarser = Limits(concurrency=1, rows_per_partition=100)
    assert sync.run(numbers | {4: -2, 5: -2}, triggers=narrow, limits=coarser) == ("completed", "", (1, 5, 1))
    sync.columns["a fraction"] = dropped
    assert sync.run(numbers)[2] == (0, 2, 0)
    assert not sync.world.owed()
    sync.columns.pop("a fraction")
    arrived = sync.arrived()
    assert [row.pop("a fraction", None) is not None for row in arrived.values()].count(True) >= ROWS - 5
    assert arrived == sync.expected(numbers)


def on_columns(*names: str) -> Any:
    return msgspec.structs.replace(ON, columns=names)


def refuse(names: list[str], kind: str) -> None:
    """Rows without a key of their own."""
    sync = Named(names, kind)
    sync.columns["the key "] = ("CASE WHEN t.number > 1 THEN t.number // 2 END", lambda number: None)
    sync.world.definition = msgspec.structs.replace(sync.world.definition, primary_key=("the key ",))
    status, reason, _ = sync.run({key: key for key in range(8)})
    assert status == "failed"
    assert "2 with a null and 6 that share a key" in reason


@pytest.fixture(scope="module")
def words() -> list[str]:
    """All that the route's statements name where the table has ordinary columns."""
    found: set[str] = set()
    real = duckdb.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", lambda *args, **settings: Recording(real(*args, **settings), found))
        patch.setattr(engine, "_idle", {})
        follow(["one", "other"], "text")
        refuse(["one", "other"], "text")
    assert {"o", "number", "depth", *TAKEN} <= found
    keywords = {row[0] for row in real().execute(RESERVED_WORDS).fetchall()}  # which name nothing without quotes
    return sorted(word for word in found - keywords - {*TAKEN} if not word.startswith(RESERVED))


@pytest.mark.parametrize(("kind", "spelled"), [("integer", str.lower), ("text", str.upper)])
def test_columns_called_like_what_our_sql_names_are_followed_like_others(
    words: list[str], kind: str, spelled: Callable[[str], str]
) -> None:
    follow([spelled(word) for word in words], kind)


def test_rows_that_share_a_key_are_counted_whatever_the_columns_are_called(words: list[str]) -> None:
    refuse(words, "integer")


def test_structs_called_like_what_our_sql_names_do_not_pass_for_parts_of_other_values(words: list[str]) -> None:
    columns = dict.fromkeys(words, STRUCT) | BESIDE
    connection = duckdb.connect()
    with QuerySource().query(table(columns, {1: 7}), connection) as result:
        made = connection.execute(f"SELECT {row_json(result.columns)} FROM {result.relation}").fetchall()
    expected = {name: of(7) for name, (_, of) in columns.items()}
    assert [from_json(text) for (text,) in made] == [{"the key": 1} | expected]
