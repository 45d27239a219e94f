"""PostgreSQL's types, its connection, and what can go wrong with both, against a real server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rowcast.errors import SourceFailed
from tests.postgres_server import PostgresServer, running_server
from tests.postgres_tls import TlsFront, tls_front
from tests.sources_support import Answer, ask, postgres_source

pytestmark = pytest.mark.postgres


def text_type(name: str) -> list[str]:
    """A base type as the extension of that name makes it, as far as reading goes: stored and shown as text is."""
    return [
        f"CREATE TYPE {name}",
        f"CREATE FUNCTION {name}_in(cstring) RETURNS {name} LANGUAGE internal IMMUTABLE STRICT AS 'textin'",
        f"CREATE FUNCTION {name}_out({name}) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout'",
        f"CREATE FUNCTION {name}_send({name}) RETURNS bytea LANGUAGE internal STABLE STRICT AS 'textsend'",
        f"CREATE TYPE {name} (INPUT = {name}_in, OUTPUT = {name}_out, SEND = {name}_send, LIKE = text)",
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.execute(
            "CREATE TYPE mood AS ENUM ('sad', 'glad')",
            "CREATE TYPE pair AS (a int, b text)",
            "CREATE DOMAIN price AS numeric(9, 2)",
            "CREATE DOMAIN list_price AS price",
            "CREATE DOMAIN prices AS price[]",
            "CREATE DOMAIN cash AS money",
            *text_type("citext"),
            *text_type("hstore"),
            "CREATE FUNCTION hstore_to_jsonb(hstore) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$",
            "CREATE TABLE orders (id int PRIMARY KEY)",
            "CREATE SEQUENCE counter",
        )
        yield running


@pytest.fixture
def answer(server: PostgresServer, tmp_path: Path) -> Callable[[str], Answer]:
    return lambda query: ask(postgres_source(server), query, tmp_path)


@pytest.fixture(scope="module")
def front(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsFront]:
    with tls_front(server.port, tmp_path_factory.mktemp("tls")) as running:
        yield running


EXACT = [
    ("true", "boolean", "true"),
    ("'-32768'::int2", "integer", "-32768"),
    ("2147483647", "integer", "2147483647"),
    ("(-9223372036854775808)::int8", "integer", "-9223372036854775808"),
    ("4294967295::oid", "integer", "4294967295"),
    ("12.50::numeric(9,2)", "decimal", "12.50"),
    ("1e-30::numeric", "decimal", "0.000000000000000000000000000001"),
    ("123456789012345678901234567890123456789012345.6", "decimal", "123456789012345678901234567890123456789012345.6"),
    ("'NaN'::numeric", "decimal", '"NaN"'),
    ("'-Infinity'::numeric", "decimal", '"-Infinity"'),
    ("0.10::price", "decimal", "0.10"),
    ("0.10::list_price", "decimal", "0.10"),
    ("0.1::float8", "float", "0.1"),
    ("0.1::float4", "float", "0.1"),
    ("1e300::float8", "float", "1e+300"),
    ("'NaN'::float8", "float", '"NaN"'),
    ("'-Infinity'::float4", "float", '"-Infinity"'),
    ("'tab\t\"quote\" \\ 😀'", "text", r'"tab\t\"quote\" \\ 😀"'),
    ("'x'::char(3)", "text", '"x  "'),
    ("'x'::\"char\"", "text", '"x"'),
    ("'x'::name", "text", '"x"'),
    ("'Ab'::citext", "text", '"Ab"'),
    ("'glad'::mood", "text", '"glad"'),
    (r"'\x00ff'::bytea", "bytes", '"AP8="'),
    ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "uuid", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
    ("'2026-01-31'::date", "date", '"2026-01-31"'),
    ("'12026-01-31'::date", "date", '"12026-01-31"'),
    ("'5874897-12-31'::date", "date", '"5874897-12-31"'),
    ("'infinity'::date", "date", '"infinity"'),
    ("'-infinity'::date", "date", '"-infinity"'),
    ("'2026-01-31 10:00:00.5'::timestamp", "timestamp", '"2026-01-31T10:00:00.500000"'),
    ("'infinity'::timestamp", "timestamp", '"infinity"'),
    ("'294246-12-31 23:59:59.999999'::timestamp", "timestamp", '"294246-12-31T23:59:59.999999"'),
    ("'4714-11-24 00:00:00 BC'::timestamp", "timestamp", '"-4713-11-24T00:00:00"'),
    ("'2026-01-31 10:00:00+02'::timestamptz", "timestamptz", '"2026-01-31T08:00:00Z"'),
    ("'12026-01-31 10:00:00+00'::timestamptz", "timestamptz", '"12026-01-31T10:00:00Z"'),
    ("'-infinity'::timestamptz", "timestamptz", '"-infinity"'),
    ("'2026-07-01 00:00:00'::timestamp::timestamptz", "timestamptz", '"2026-07-01T00:00:00Z"'),
    ("'10:00:00.000001'::time", "time", '"10:00:00.000001"'),
    ("'24:00:00'::time", "time", '"24:00:00"'),
    ("'10:00+02'::timetz", "text", '"10:00:00+02"'),
    ("'1 year 2 days 3 hours'::interval", "text", '"P1Y2DT3H"'),
    ("'1.2.3.4'::inet", "text", '"1.2.3.4"'),
    ("'1.2.3.4/8'::inet", "text", '"1.2.3.4/8"'),
    ("'1.2.3.0/24'::cidr", "text", '"1.2.3.0/24"'),
    ("'08:00:2b:01:02:03'::macaddr", "text", '"08:00:2b:01:02:03"'),
    ("B'101'", "text", '"101"'),
    ("B'101'::varbit", "text", '"101"'),
    (
        """'{"b": 1.10, "a": [12345678901234567890.5, 1e400], "b": 2.0}'::json""",
        "json",
        '{"a":[12345678901234567890.5,1e400],"b":2.0}',
    ),
    ("""'{"bb": 1.10, "a": "1.10\\\\\\""}'::jsonb""", "json", r'{"a":"1.10\\\"","bb":1.10}'),
    ("""'"\\u0000"'::json""", "json", r'"\u0000"'),
    ("ARRAY[1.50, NULL, 'NaN'::numeric]", "json", '[1.50,null,"NaN"]'),
    ("ARRAY[[1, 2], [3, 4]]", "json", "[[1,2],[3,4]]"),
    ("ARRAY['a\"b', NULL]", "json", r'["a\"b",null]'),
    ("'{}'::int[]", "json", "[]"),
    ("ARRAY['glad'::mood]", "json", '["glad"]'),
    ("ARRAY[1.50]::prices", "json", "[1.50]"),
    ("""ARRAY['{"b": 1.0, "a": 2}'::jsonb]""", "json", '[{"a":2,"b":1.0}]'),
    ("NULL", "text", "null"),
    ("NULL::numeric", "decimal", "null"),
    ("NULL::timestamptz", "timestamptz", "null"),
    ("NULL::inet", "text", "null"),
    ("NULL::jsonb", "json", "null"),
    ("NULL::int[]", "json", "null"),
]


def test_every_type_arrives_exactly(answer: Callable[[str], Answer]) -> None:
    found = answer("SELECT " + ", ".join(f"{value} AS c{index}" for index, (value, _, _) in enumerate(EXACT)))
    expected = "{" + ",".join(f'"c{index}":{text}' for index, (_, _, text) in enumerate(EXACT)) + "}"
    assert list(found.types.values()) == [kind for _, kind, _ in EXACT]
    assert found.json == [expected]


def test_columns_have_the_physical_type_of_their_logical_type(answer: Callable[[str], Answer]) -> None:
    found = answer("SELECT 1::int2 AS i, 1.5::numeric AS n, '{}'::jsonb AS j, now() AS t, '10:00'::time AS h")
    assert found.physical == {
        "i": "BIGINT", "n": "VARCHAR", "j": "VARCHAR", "t": "TIMESTAMP WITH TIME ZONE", "h": "TIME",
    }  # fmt: skip


REFUSED = [
    ("1::money", "money", '"value"::numeric'),
    ("1::money::cash", "money", '"value"::numeric'),
    ("ARRAY[1::money]", "money[]", '"value"::numeric[]'),
    (r"ARRAY['\x00'::bytea]", "bytea[]", '"value"::text[]'),
    ("int4range(1, 2)", "int4range", '"value"::text'),
    ("ARRAY[int4range(1, 2)]", "int4range[]", '"value"::text'),
    ("ROW(1, 'a')::pair", "pair", 'to_jsonb("value")'),
    ("ARRAY[ROW(1, 'a')::pair]", "pair[]", '"value"::text'),
    ("ROW(1, 'a')", "record", 'to_jsonb("value")'),
    ("point(1, 2)", "point", '"value"::text'),
    ("to_tsvector('a')", "tsvector", '"value"::text'),
    ("'a=>1'::hstore", "hstore", 'hstore_to_jsonb("value")'),
    ("'0/0'::pg_lsn", "pg_lsn", '"value"::text'),
]


@pytest.mark.parametrize(("value", "kind", "cast"), REFUSED)
def test_a_type_without_an_exact_form_is_refused_with_the_cast_to_write(
    answer: Callable[[str], Answer], value: str, kind: str, cast: str
) -> None:
    with pytest.raises(SourceFailed) as caught:
        answer(f"SELECT 1 AS id, {value} AS value")
    assert f'Column "value" has type {kind}, ' in str(caught.value)
    assert cast in str(caught.value)
    assert answer(f'SELECT {cast} AS value FROM (SELECT {value} AS "value") AS q').rows


def test_an_instant_beyond_the_engine_is_refused(answer: Callable[[str], Answer]) -> None:
    for late in ("294247-01-01", "294247-01-10 04:00:54.775807", "294250-01-01", "294276-12-31 23:59:59.999999"):
        for kind in ("timestamp", "timestamptz"):
            with pytest.raises(SourceFailed, match=f'Column "late" holds a {kind} after the year 294246'):
                answer(f"SELECT '{late}+00'::{kind} AS late")


@pytest.mark.parametrize(
    "value",
    ["1e5000::numeric", "1e-1000::numeric", "ARRAY[1e5000::numeric]", """'{"a": 1e5000}'::jsonb""", "'1e10000'::json"],
)
def test_a_number_that_no_reader_takes_is_refused(answer: Callable[[str], Answer], value: str) -> None:
    with pytest.raises(SourceFailed, match='Column "v" holds a number of more than') as caught:
        answer(f"SELECT 1 AS id, {value} AS v")
    assert 'write "v"::VARCHAR AS "v"' in str(caught.value)
    assert answer(f'SELECT "v"::VARCHAR AS "v" FROM (SELECT {value} AS "v") AS q').types == {"v": "text"}


@pytest.mark.parametrize("name", ["result", "resolved", "element"])
def test_a_table_may_be_called_like_what_types_are_found_with(
    server: PostgresServer, answer: Callable[[str], Answer], name: str
) -> None:
    server.execute(f"CREATE TABLE {name} AS SELECT 1 AS id")
    assert answer(f"SELECT * FROM {name}").rows == [{"id": 1}]


def test_types_are_found_without_running_the_query(answer: Callable[[str], Answer]) -> None:
    with pytest.raises(SourceFailed, match="half way: division by zero"):
        answer("SELECT 1 / (100000 - i) AS a FROM generate_series(1, 100000) AS i")
    with pytest.raises(SourceFailed, match='"b" has type point'):
        answer("SELECT 1 / (100000 - i) AS a, point(1, 2) AS b FROM generate_series(1, 100000) AS i")


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("SELECT nope FROM orders", "42703"),
        ("SELECT * FROM", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT $1::int AS a", "42P02"),
        ("SELECT 1 / 0 AS a", "22012"),
        ("SELECT 1 / (i - 100000) AS a FROM generate_series(1, 100000) AS i", "22012"),
        ("SELECT (i * 30000)::int2 AS a FROM generate_series(1, 2) AS i", "22003"),
        ("SELECT nextval('counter') AS a", "25006"),
        ("SELECT set_config('transaction_read_only', 'off', true) AS a", "25006"),
        ("SELECT id FROM orders FOR UPDATE", "25006"),
    ],
)
def test_an_error_names_its_sqlstate(answer: Callable[[str], Answer], query: str, state: str) -> None:
    with pytest.raises(SourceFailed, match=f"SQLSTATE {state}"):
        answer(query)


@pytest.mark.parametrize(
    "query",
    ["SELECT pg_sleep(5)::text AS a", "SELECT i, pg_sleep(0.01)::text AS a FROM generate_series(1, 1000) AS i"],
)
def test_a_query_that_takes_too_long_is_broken_off(server: PostgresServer, tmp_path: Path, query: str) -> None:
    source = postgres_source(server, statement_timeout_seconds=1)
    with pytest.raises(SourceFailed, match=r"statement timeout.*SQLSTATE 57014.*raise `statement_timeout`"):
        ask(source, query, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"port": 1}, r"Connection refused; Is the server running .*\?$"),
        ({"host": "nowhere.invalid"}, "could not translate host name"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"user": "nobody"}, "SQLSTATE 28P01"),
        ({"password": "wrong"}, "SQLSTATE 28P01"),
        ({"tls": "require"}, "does not support SSL"),
        ({"tls": "verify"}, "does not support SSL"),
    ],
)
def test_a_failed_connection_says_where_and_why(
    server: PostgresServer, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceFailed, match=said) as caught:
        ask(postgres_source(server, **changes), "SELECT 1 AS a", tmp_path)
    assert 'source "warehouse"' in str(caught.value)
    assert server.password not in str(caught.value)


def test_a_certificate_is_trusted_under_its_authority_and_name_alone(
    server: PostgresServer, front: TlsFront, tmp_path: Path
) -> None:
    good = postgres_source(server, port=front.port, tls="verify", tls_ca=front.authority)
    assert ask(good, "SELECT 1 AS a", tmp_path).rows == [{"a": 1}]
    with pytest.raises(SourceFailed, match="certificate verify failed"):
        ask(postgres_source(server, port=front.port, tls="verify"), "SELECT 1 AS a", tmp_path)
    other_name = postgres_source(server, host="localhost", port=front.port, tls="verify", tls_ca=front.authority)
    with pytest.raises(SourceFailed, match="does not match host name"):
        ask(other_name, "SELECT 1 AS a", tmp_path)


def test_tls_without_a_check_is_had_by_asking_for_it(server: PostgresServer, front: TlsFront, tmp_path: Path) -> None:
    assert ask(postgres_source(server, port=front.port, tls="require"), "SELECT 1 AS a", tmp_path).rows == [{"a": 1}]


def test_a_query_sees_one_moment_in_utc_and_can_only_read(answer: Callable[[str], Answer]) -> None:
    names = ["transaction_isolation", "transaction_read_only", "TimeZone"]
    found = answer("SELECT " + ", ".join(f"current_setting('{name}') AS \"{name}\"" for name in names))
    assert found.rows == [dict(zip(names, ["repeatable read", "on", "UTC"], strict=True))]


BIG = """
import re, resource, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from rowcast.engine import engine
from tests.postgres_server import PostgresServer
from tests.sources_support import postgres_source
with engine(Path({scratch!r}), 128) as connection:
    query = "SELECT i AS id, repeat(md5(i::text), 40) AS text FROM generate_series(1, 300000) AS i"
    with postgres_source(PostgresServer(port={port})).query(query, connection) as result:
        rows = f"SELECT * FROM {{result.relation}}"
        connection.execute(f"COPY ({{rows}}) TO '{scratch}/out.parquet' (FORMAT parquet, ROW_GROUP_SIZE 4096)")
    count = connection.execute("SELECT count(*), count(DISTINCT id) FROM '{scratch}/out.parquet'").fetchone()
if sys.platform == "linux":  # where ru_maxrss includes the parent's
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(*count, peak)
"""


def test_a_result_larger_than_the_memory_allowed_streams_through(server: PostgresServer, tmp_path: Path) -> None:
    script = BIG.format(paths=sys.path, scratch=str(tmp_path), port=server.port)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, distinct, peak_kb = map(int, done.stdout.splitlines()[-1].split())
    assert (rows, distinct) == (300_000, 300_000)
    assert peak_kb < 300_000, "the result alone is 384 MB"
