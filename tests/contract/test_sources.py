"""What every source owes, whatever it reads: the contract of `ports.Source`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rowcast.errors import SourceFailed
from tests.postgres_server import PostgresServer, running_server
from tests.sources_support import Answer, ask, postgres_source, s3_folder

pytestmark = pytest.mark.postgres

Ask = Callable[[str], Answer]
SECRET = "hunter-2-of-a-row"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.execute(
            "CREATE TABLE orders (id bigint, customer text, total numeric, placed date, note text)",
            "INSERT INTO orders VALUES (1, 'Zoë 😀', 12.50, '2026-01-31', NULL), (2, '', 1e-7, '1969-12-31', '\"\\')",
            "CREATE TABLE numbers AS SELECT i AS id FROM generate_series(1, 200000) AS i",
            f"CREATE TABLE secrets AS SELECT '{SECRET}' AS value",
        )
        yield running


@pytest.fixture(params=["files", "postgres"])
def answer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ask]:
    if request.param == "postgres":
        source = postgres_source(request.getfixturevalue("server"))
        yield lambda query: ask(source, query, tmp_path)
        return
    with s3_folder(tmp_path) as folder:
        folder.put(
            "orders.csv",
            'id,customer,total,placed,note\n1,Zoë 😀,12.50,2026-01-31,\n2,"",0.0000001,1969-12-31,"""\\"\n',
        )
        folder.put_parquet("numbers.parquet", "SELECT i AS id FROM range(1, 200001) AS t(i)")
        folder.put("secrets.jsonl", f'{{"value": "{SECRET}"}}\n')
        yield lambda query: ask(folder.source(), query, tmp_path)


def test_a_result_has_columns_in_the_order_and_types_of_the_query(answer: Ask) -> None:
    assert answer("SELECT placed, id, total, customer FROM orders").types == {
        "placed": "date",
        "id": "integer",
        "total": "decimal",
        "customer": "text",
    }


def test_values_arrive_exactly(answer: Ask) -> None:
    rows = answer("SELECT id, customer, total, placed FROM orders WHERE id = 1").json
    assert [row.replace("12.5000000", "12.50") for row in rows] == [
        '{"id":1,"customer":"Zoë 😀","total":12.50,"placed":"2026-01-31"}'
    ]


def test_a_null_arrives_as_null(answer: Ask) -> None:
    assert [row["note"] for row in answer("SELECT id, note FROM orders").rows] == [None, '"\\']


def test_an_empty_result_has_its_columns_and_no_rows(answer: Ask) -> None:
    empty = answer("SELECT id, total FROM orders WHERE id < 0")
    assert (list(empty.types), empty.rows) == (["id", "total"], [])


def test_every_row_of_a_larger_result_arrives(answer: Ask) -> None:
    found = answer("SELECT id FROM numbers")
    assert len(found.json) == 200_000
    assert sum(row["id"] for row in found.rows) == 200_000 * 200_001 // 2


@pytest.mark.parametrize("ending", [";", " ; -- the end", "\n-- the end", " /* the ; end */ ;\n"])
def test_a_trailing_semicolon_or_comment_is_no_statement(answer: Ask, ending: str) -> None:
    assert answer(f"SELECT id FROM orders WHERE id = 1{ending}").rows == [{"id": 1}]


def test_a_semicolon_in_a_text_is_no_end(answer: Ask) -> None:
    assert answer("SELECT ';' AS a, '--' AS b").rows == [{"a": ";", "b": "--"}]


def test_columns_may_have_any_name(answer: Ask) -> None:
    names = ["two words", 'a "quote"', "Grüße 😀", "select", "it's"]
    quoted = ", ".join('1 AS "' + name.replace('"', '""') + '"' for name in names)
    assert answer(f"SELECT {quoted}").rows == [dict.fromkeys(names, 1)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "empty"),
        ("-- nothing", "empty"),
        ("SELECT 1 AS a; SELECT 2 AS a", "more than one statement"),
        ("SELECT 1 AS a; DROP TABLE orders", "more than one statement"),
        ("INSERT INTO orders (id) VALUES (3)", "no SELECT"),
        ("DELETE FROM orders", "no SELECT"),
        ("CREATE TABLE more AS SELECT 1 AS a", "no SELECT"),
        ("WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone", "no SELECT"),
        ("EXPLAIN SELECT 1", "no SELECT"),
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM orders", "nope"),
        ("SELECT * FROM ordres", "ordres"),
        ("SELECT 1 AS a, 2 AS a", '"a" is in the query twice'),
        ('SELECT 1 AS a, 2 AS "A"', "differs in case only"),
        ("SELECT 1 AS _key_hash", "reserved"),
        ("SELECT 1 AS _Fingerprint_2", "reserved"),
    ],
)
def test_what_is_no_single_select_is_refused_before_anything_is_read(answer: Ask, query: str, said: str) -> None:
    with pytest.raises(SourceFailed, match=said):
        answer(query)
    assert len(answer("SELECT id FROM orders").rows) == 2


@pytest.mark.parametrize(
    "query",
    [
        "SELECT CAST(value AS integer) AS number FROM secrets",
        "SELECT CAST(value AS date) AS day FROM secrets",
        "SELECT CAST(value AS boolean) AS flag FROM secrets",
    ],
)
def test_an_error_shows_no_value_of_a_row(answer: Ask, query: str) -> None:
    with pytest.raises(SourceFailed) as caught:
        answer(query)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_query_that_fails_on_its_last_row_is_a_failure_and_no_shorter_result(answer: Ask) -> None:
    bad_last = "CASE WHEN id < 200000 THEN '1' ELSE 'not a number' END"
    with pytest.raises(SourceFailed) as caught:
        answer(f"SELECT id, CAST({bad_last} AS integer) AS number FROM numbers")
    assert "not a number" not in str(caught.value)
