"""How the columns of a DuckDB relation come to their physical types, or are refused."""

from __future__ import annotations

import duckdb
import pytest

from rowcast import columns as sql
from rowcast.arrival import refusal_in
from rowcast.errors import SourceFailed


def arrive(query: str) -> tuple[list[str], list[str], list[str]]:
    """Logical types, physical types and rows as JSON."""
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE given AS {query}")
    types = [(row[0], row[1]) for row in connection.execute("DESCRIBE given").fetchall()]
    expressions, columns = sql.normalize(types)
    connection.execute(f"CREATE TABLE kept AS SELECT {', '.join(expressions)} FROM given")
    physical = [row[1] for row in connection.execute("DESCRIBE kept").fetchall()]
    rows = [row[0] for row in connection.execute(f"SELECT {sql.row_json(columns)} FROM kept").fetchall()]
    return [column.type for column in columns], physical, rows


@pytest.mark.parametrize(
    ("value", "logical", "physical", "text"),
    [
        ("true", "boolean", "BOOLEAN", "true"),
        ("255::UTINYINT", "integer", "BIGINT", "255"),
        ("4294967295::UINTEGER", "integer", "BIGINT", "4294967295"),
        ("18446744073709551615::UBIGINT", "decimal", "VARCHAR", "18446744073709551615"),
        ("(-170141183460469231731687303715884105727)::HUGEINT", "decimal", "VARCHAR",
         "-170141183460469231731687303715884105727"),
        ("'99999999999999999999999999999999999999999999'::BIGNUM", "decimal", "VARCHAR",
         "99999999999999999999999999999999999999999999"),
        ("12.50::DECIMAL(9,2)", "decimal", "DECIMAL(9,2)", "12.50"),
        ("0.50::DECIMAL(2,2)", "decimal", "DECIMAL(3,2)", "0.50"),
        ("-0.50::DECIMAL(38,38)", "decimal", "VARCHAR", "-0.50000000000000000000000000000000000000"),
        ("0.1::FLOAT", "float", "FLOAT", "0.1"),
        ("'a'::ENUM ('a', 'it''s', ')')", "text", "VARCHAR", '"a"'),
        ("'101'::BIT", "text", "VARCHAR", '"101"'),
        ("'10:00:00+02'::TIMETZ", "text", "VARCHAR", '"10:00:00+02"'),
        ("NULL", "text", "VARCHAR", "null"),
        ("TIMESTAMP_S '2026-01-31 10:00:00'", "timestamp", "TIMESTAMP", '"2026-01-31T10:00:00"'),
        ("TIMESTAMP_NS '2026-01-31 10:00:00.123456'", "timestamp", "TIMESTAMP", '"2026-01-31T10:00:00.123456"'),
        ("""'{"b": 1.10, "a": {"d": 12345678901234567890.123, "c": 1e5}}'::JSON""", "json", "VARCHAR",
         '{"a":{"c":1e5,"d":12345678901234567890.123},"b":1.10}'),
        ("""'{"\\u0062": "\\"n1\\"", "a": "s", "b": "n2"}'::JSON""", "json", "VARCHAR", '{"a":"s","b":"n2"}'),
        ("""'["\\"n1\\",\\\\", "\\u00e9\\ud83d\\ude00", ""]'::JSON""", "json", "VARCHAR", r'["\"n1\",\\","é😀",""]'),
        ("'null'::JSON", "json", "VARCHAR", "null"),
        ("'[null]'::JSON", "json", "VARCHAR", "[null]"),
        ("'\"null\"'::JSON", "json", "VARCHAR", '"null"'),
        ("'12.50'::JSON", "json", "VARCHAR", "12.50"),
        ("[1.50, NULL]", "json", "VARCHAR", "[1.50,null]"),
        ("[[0.5::DECIMAL(1,1)], NULL, []]", "json", "VARCHAR", "[[0.5],null,[]]"),
        ("[1, 2]::INTEGER[2]", "json", "VARCHAR", "[1,2]"),
        ("['nan'::DOUBLE, 1e300]", "json", "VARCHAR", '["NaN",1e+300]'),
        ("{'z': 'a\"b', 'a c': {'x': NULL, 'd': DATE '2026-01-31'}}", "json", "VARCHAR",
         r'{"a c":{"d":"2026-01-31","x":null},"z":"a\"b"}'),
        ("{'t': TIMESTAMPTZ '2026-01-31 10:00:00+02', 'b': '\\xFF'::BLOB}", "json", "VARCHAR",
         '{"b":"/w==","t":"2026-01-31T08:00:00Z"}'),
        ("MAP {'b': [1.10], 'a': NULL}", "json", "VARCHAR", '{"a":null,"b":[1.10]}'),
        ("MAP {2: 'x', 10: 'y'}", "json", "VARCHAR", '{"10":"y","2":"x"}'),
        ("[MAP {'k': {'j': '{\"b\":1.0,\"a\":[]}'::JSON}}]", "json", "VARCHAR", '[{"k":{"j":{"a":[],"b":1.0}}}]'),
        ("NULL::STRUCT(a INTEGER)", "json", "VARCHAR", "null"),
        ("NULL::INTEGER[]", "json", "VARCHAR", "null"),
        ("NULL::MAP(VARCHAR, INTEGER)", "json", "VARCHAR", "null"),
    ],
)  # fmt: skip
def test_each_type_arrives_exactly(value: str, logical: str, physical: str, text: str) -> None:
    types, stored, rows = arrive(f"SELECT {value} AS v")
    assert (types, stored, rows) == ([logical], [physical], [f'{{"v":{text}}}'])


@pytest.mark.parametrize(
    "value",
    [
        "'{{\"a\": 1e10000}}'::JSON",
        "'[ 1, -1.5E-99999999999999999999 ]'::JSON",
        "'0e10000'::JSON",
        "'[0.{long}]'::JSON",
        "'{long}1'::JSON",
        "{{'a': ['[1E+10000]'::JSON]}}",
        "['{long}1'::BIGNUM]",
        "'-{long}'::BIGNUM",
    ],
)
def test_a_number_that_no_reader_takes_is_refused_with_the_cast_to_write(value: str) -> None:
    with pytest.raises(duckdb.InvalidInputException) as caught:
        arrive(f"SELECT {value.format(long='1' * 1000)} AS v")
    said = refusal_in(str(caught.value))
    assert said.startswith('Column "v" holds a number of more than 1,000 characters or with an exponent of more than 4')
    assert 'write "v"::VARCHAR AS "v"' in said and "111" not in said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("'[1e9999,-1.5E-09999]'::JSON", "[1e9999,-1.5E-09999]"),
        ("'{long}'::JSON", "{long}"),
        ("'{long}'::BIGNUM", "{long}"),
        ("""'["1e99999",":1e99999","{long}1","\\":{long}1",1.5]'::JSON""",
         """["1e99999",":1e99999","{long}1","\\":{long}1",1.5]"""),
    ],
)  # fmt: skip
def test_a_number_within_the_bounds_and_text_of_any_kind_arrive(value: str, text: str) -> None:
    long = "1" * 1000
    assert arrive(f"SELECT {value.replace('{long}', long)} AS v")[2] == [f'{{"v":{text.replace("{long}", long)}}}']


@pytest.mark.parametrize(
    ("kind", "cast"),
    [
        ("INTERVAL", '"v"::VARCHAR'),
        ("UNION(a INTEGER, b VARCHAR)", '"v"::VARCHAR'),
        ("VARIANT", '"v"::JSON'),
        ("GEOMETRY", 'ST_AsText("v")'),
        ("INTERVAL[]", '"v"::VARCHAR'),
        ("STRUCT(a INTEGER, b UNION(c INTEGER))", '"v"::VARCHAR'),
        ("MAP(INTEGER[], VARCHAR)", '"v"::VARCHAR'),
        ("TUPLE(INTEGER, INTEGER)", '"v"::VARCHAR'),
        ("SOMETHING NEW", '"v"::VARCHAR'),
    ],
)
def test_a_type_without_an_exact_form_is_refused_with_the_cast_to_write(kind: str, cast: str) -> None:
    with pytest.raises(SourceFailed) as caught:
        sql.normalize([("id", "INTEGER"), ("v", kind)])
    assert f'Column "v" has type {kind}, ' in str(caught.value)
    assert f'write {cast} AS "v"' in str(caught.value)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "b", "a"], '"a" is in the query twice'),
        (["a", "A"], '"A" is in the query also as "a"'),
        (["Ä", "ä"], "differs in case only"),
        (["a", ""], "Column 2 of the query has no usable name"),
        (["a\0b"], "Column 1 of the query has no usable name"),
        (["_key_hash"], "reserved"),
        (["_FINGERPRINT_x"], "reserved"),
        (["_Rowcast_step"], "reserved"),
        (["File_Row_Number"], "reserved; rename it with AS"),
    ],
)
def test_a_name_that_a_snapshot_cannot_hold_is_refused(names: list[str], said: str) -> None:
    with pytest.raises(SourceFailed, match=said):
        sql.normalize([(name, "INTEGER") for name in names])


def test_names_of_any_other_kind_are_kept() -> None:
    names = ["two words", 'a "quote"', "it's", "😀", "select", " ", "1"]
    quoted = ", ".join(f"1 AS {sql.quote(name)}" for name in names)
    _, _, rows = arrive(f'SELECT {quoted}, {{\'x "y"\': [1]}} AS "n\'est"')
    assert rows == [
        '{"two words":1,"a \\"quote\\"":1,"it\'s":1,"😀":1,"select":1," ":1,"1":1,"n\'est":{"x \\"y\\"":[1]}}'
    ]
