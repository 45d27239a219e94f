"""Values in text files arrive as they are written, or as text: none by a guess, none by less than all of its digits."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from rowcast.errors import SourceFailed
from tests.sources_support import Answer, Folder, ask, s3_folder

SPELLINGS = ("FROM 'd.csv'", "FROM read_csv('d.csv')", "FROM read_csv('d.csv', delim = ',')", "FROM 'd*.csv'")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with s3_folder(tmp_path) as made:
        yield made


def read(folder: Folder, query: str) -> Answer:
    return ask(folder.source(), query, folder.scratch)


@pytest.mark.parametrize("query", SPELLINGS)
@pytest.mark.parametrize(
    "written",
    [
        ("01.02.2026", "03.04.2026"),
        ("31.12.25",),
        ("01-02-26",),
        ("12-31-2025",),
        ("2025/12/31",),
        ("2026-1-2",),
        ("2026-01-02", "01.02.2026"),
        ("2026-01-02", "infinity"),
        ("2026-01-02 (BC)",),
        ("10000-01-01",),
        ("12/31/2025 10:00:00",),
        ("2026-01-02 10:00:00 UTC",),
        ("2026-01-02T10:00:00.1234567",),
        ("1:2:3",),
        ("10:00:00.1234567",),
    ],
)
def test_days_and_instants_in_csv_that_are_not_iso_8601_stay_text(
    folder: Folder, query: str, written: tuple[str, ...]
) -> None:
    folder.put("d.csv", "id,due\n" + "".join(f"{n},{text}\n" for n, text in enumerate(written)))
    found = read(folder, query)
    assert found.types == {"id": "integer", "due": "text"}
    assert [row["due"] for row in found.rows] == list(written)


@pytest.mark.parametrize("query", SPELLINGS)
@pytest.mark.parametrize(
    ("written", "kind", "sent"),
    [
        ("2026-01-02", "date", "2026-01-02"),
        ("0001-01-01", "date", "0001-01-01"),
        ("10:00", "time", "10:00:00"),
        ("10:00:00.5", "time", "10:00:00.500000"),
        ("2026-01-02 10:00:00", "timestamp", "2026-01-02T10:00:00"),
        ("2026-01-02T10:00", "timestamp", "2026-01-02T10:00:00"),
        ("2026-01-02T10:00:00.123456", "timestamp", "2026-01-02T10:00:00.123456"),
        ("2026-01-02T10:00:00Z", "timestamptz", "2026-01-02T10:00:00Z"),
        ("2026-01-02 10:00:00.5+02", "timestamptz", "2026-01-02T08:00:00.500000Z"),
        ("2026-01-02T10:00:00+0230", "timestamptz", "2026-01-02T07:30:00Z"),
    ],
)
def test_iso_8601_in_csv_is_found_beside_columns_that_are_written_otherwise(
    folder: Folder, query: str, written: str, kind: str, sent: str
) -> None:
    folder.put("d.csv", f"us,at,de,when\n12-31-2025,{written},31.12.2025,12/31/2025 10:00:00\n")
    found = read(folder, query)
    assert found.types == {"us": "text", "at": kind, "de": "text", "when": "text"}
    assert found.rows == [{"us": "12-31-2025", "at": sent, "de": "31.12.2025", "when": "12/31/2025 10:00:00"}]


def test_rows_stay_as_they_are_when_a_row_is_added_whose_day_is_written_otherwise(folder: Folder) -> None:
    body = "id,due\n1,01.02.2026\n2,03.04.2026\n"
    folder.put("d.csv", body)
    before = read(folder, "FROM d").json
    folder.put("d.csv", body + "3,12.31.2026\n")
    assert read(folder, "FROM d").json[:2] == before


def test_days_of_compressed_files_and_of_several_files_are_found_alike(folder: Folder) -> None:
    folder.put("z.csv.gz", gzip.compress(b"id,due\n1,01.02.2026\n"))
    folder.put("e/day=2026-01-01/a.csv", "id,due,on\n1,01.02.2026,2026-01-02\n")
    folder.put("e/day=2026-01-02/b.csv", "id,due,on\n2,12.31.2026,2026-01-03\n")
    assert read(folder, "FROM z").types["due"] == "text"
    found = read(folder, "FROM 'e/*/*.csv'")
    assert found.types == {"id": "integer", "due": "text", "on": "date", "day": "date"}


def test_a_query_that_says_how_days_are_written_has_them_read_so(folder: Folder) -> None:
    folder.put("d.csv", "id,due,at\n1,01.02.2026,03.02.2026 10:00\n")
    formats = "dateformat = '%d.%m.%Y', timestampformat = '%d.%m.%Y %H:%M'"
    assert read(folder, f"FROM read_csv('d.csv', {formats})").rows == [
        {"id": 1, "due": "2026-02-01", "at": "2026-02-03T10:00:00"}
    ]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e-400", "1.5e-320", "1.23456789012345678e5"])
def test_a_number_in_csv_that_no_float_holds_is_text(folder: Folder, number: str) -> None:
    folder.put("d.csv", f"id,n\n1,{number}\n2,1e5\n")
    for query in SPELLINGS:
        assert read(folder, query).rows == [{"id": 1, "n": number}, {"id": 2, "n": "1e5"}]


def test_floats_in_csv_that_say_that_they_are_zero_or_no_finite_number_stay_floats(folder: Folder) -> None:
    folder.put("d.csv", "n\n0e5\ninf\n1e300\n")
    assert read(folder, "FROM d").types == {"n": "float"}


@pytest.mark.parametrize("query", ["FROM 'd.json'", "FROM 'd*.json'", "FROM read_json('d.json', format = 'auto')"])
@pytest.mark.parametrize(
    ("first", "second", "kind", "sent"),
    [
        ("123456789012345678901", "5", "decimal", '{"id":1,"v":123456789012345678901}'),
        ("-9223372036854775809", "5", "decimal", '{"id":1,"v":-9223372036854775809}'),
        ("123456789012345678901", "5.5", "text", '{"id":1,"v":"123456789012345678901"}'),
        ("12345678901234567", "5.5", "text", '{"id":1,"v":"12345678901234567"}'),
        (f"{10**40 + 1}", "5", "text", f'{{"id":1,"v":"{10**40 + 1}"}}'),
        ("1e400", "5", "text", '{"id":1,"v":"1e400"}'),
        ("0.30000000000000004", "5", "float", '{"id":1,"v":0.30000000000000004}'),
        ('{"a": 123456789012345678901}', '{"a": 5}', "json", '{"id":1,"v":{"a":123456789012345678901}}'),
        ('[{"a b": 31, "d": "31-12-25"}]', "[]", "json", '{"id":1,"v":[{"a b":31,"d":"31-12-25"}]}'),
        ('"31-12-25"', "null", "text", '{"id":1,"v":"31-12-25"}'),
        ('"12-31-2025"', "null", "text", '{"id":1,"v":"12-31-2025"}'),
        ('"infinity"', "null", "text", '{"id":1,"v":"infinity"}'),
        ('"2026-01-02T10:00:00.1234567Z"', "null", "text", '{"id":1,"v":"2026-01-02T10:00:00.1234567Z"}'),
        ('"2026-01-02T10:00:00.5Z"', "null", "timestamptz", '{"id":1,"v":"2026-01-02T10:00:00.500000Z"}'),
        ('"2026-01-02"', "null", "date", '{"id":1,"v":"2026-01-02"}'),
    ],
)
def test_a_value_in_json_arrives_as_it_is_written(
    folder: Folder, query: str, first: str, second: str, kind: str, sent: str
) -> None:
    folder.put("d.json", f'[{{"id":1,"v":{first}}},{{"id":2,"v":{second}}}]')
    found = read(folder, query)
    assert (found.types["v"], found.json[0]) == (kind, sent)


def test_objects_in_json_whose_numbers_fit_are_reached_by_name(folder: Folder) -> None:
    folder.put("d.json", '{"id":1,"v":{"id":123456789012345678,"n":1.5,"at":"2026-01-02"}}')
    assert read(folder, "SELECT v.id, v.n FROM d").rows == [{"id": 123456789012345678, "n": 1.5}]


def test_names_in_json_that_differ_in_case_only_are_refused_where_a_value_would_be_lost(folder: Folder) -> None:
    folder.put("d.json", '{"id":1,"a":1.5,"A":123456789012345678901}')
    with pytest.raises(SourceFailed, match='Column "A_1" is named in JSON like another, but for its case'):
        read(folder, "FROM d")
