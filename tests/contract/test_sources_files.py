"""Files under a prefix: how a query names them, what their types are, and what a query cannot reach."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from rowcast.engine import engine
from rowcast.errors import SourceFailed
from tests.sources_support import BUCKET, PREFIX, Answer, Folder, ask, s3_folder

ORDERS = "id,total\n1,1.50\n2,12.5\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with s3_folder(tmp_path) as made:
        made.put("orders.csv", ORDERS)
        yield made


def read(folder: Folder, query: str) -> Answer:
    return ask(folder.source(), query, folder.scratch)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM orders",
        "SELECT * FROM Orders AS o",
        "SELECT orders.* FROM 'orders.csv'",
        "FROM './orders.csv' AS o",
        "SELECT * FROM read_csv('orders.csv')",
        "SELECT * FROM read_csv('orders.csv', header = true, delim = ',') AS o",
        "SELECT * FROM read_csv(['orders.csv'])",
        "SELECT * FROM 'ord*.csv'",
        f"SELECT * FROM 's3://{BUCKET}/{PREFIX}/orders.csv'",
        "WITH o AS (SELECT * FROM orders) SELECT * FROM o WHERE id IN (SELECT id FROM 'orders.csv')",
        "SELECT id, total FROM (SELECT '😀' || 'orders.csv' AS name, * FROM 'orders.csv') WHERE name = '😀orders.csv'",
    ],
)
def test_a_file_is_named_by_path_pattern_or_stem(folder: Folder, query: str) -> None:
    rows = read(folder, query).rows
    assert [(row["id"], row["total"]) for row in rows] == [(1, 1.5), (2, 12.5)]


@pytest.mark.parametrize("number", ["1e10000", "1" * 1001])
def test_a_number_in_json_that_no_reader_takes_is_refused(folder: Folder, number: str) -> None:
    folder.put("people.jsonl", f'{{"id": 1, "more": {{"size": {number}}}}}\n')
    query = "SELECT id, more FROM read_json('people.jsonl', columns = {id: 'BIGINT', more: 'JSON'})"
    with pytest.raises(SourceFailed, match='Column "more" holds a number of more than'):
        read(folder, query)


def test_a_text_that_is_a_file_name_stays_a_text(folder: Folder) -> None:
    assert read(folder, "SELECT 'orders.csv' AS name FROM 'orders.csv' WHERE id = 1").rows == [{"name": "orders.csv"}]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("people.csv", "id,name\n1,Zoë\n"),
        ("people.tsv", "id\tname\n1\tZoë\n"),
        ("people.csv.gz", gzip.compress("id,name\n1,Zoë\n".encode())),
        ("people.json", '[{"id": 1, "name": "Zoë"}]'),
        ("people.jsonl", '{"id": 1, "name": "Zoë"}\n'),
        ("people.ndjson", '{"id": 1, "name": "Zoë"}\n'),
        ("deep/down/people.jsonl.gz", gzip.compress('{"id": 1, "name": "Zoë"}\n'.encode())),
        ("people/2026/a.csv", "id,name\n1,Zoë\n"),
    ],
)
def test_each_format_is_read_under_its_table_name(folder: Folder, name: str, body: str | bytes) -> None:
    folder.put(name, body)
    assert read(folder, "SELECT id, name FROM people").rows == [{"id": 1, "name": "Zoë"}]


def test_parquet_is_read_with_the_types_it_has(folder: Folder) -> None:
    folder.put_parquet(
        "typed.parquet",
        "SELECT 1::UTINYINT AS small, 12.50::DECIMAL(9,2) AS total, [{'a': 1.10}] AS nested,"
        " TIMESTAMP_NS '2026-01-31 10:00:00.5' AS at, 'x'::BLOB AS data",
    )
    found = read(folder, "FROM typed")
    assert found.json == [
        '{"small":1,"total":12.50,"nested":[{"a":1.10}],"at":"2026-01-31T10:00:00.500000","data":"eA=="}'
    ]


def test_parts_of_a_microsecond_are_refused(folder: Folder) -> None:
    folder.put_parquet("typed.parquet", "SELECT TIMESTAMP_NS '2026-01-31 10:00:00.123456789' AS at")
    with pytest.raises(SourceFailed, match='Column "at" has parts of a microsecond: write "at"::TIMESTAMP'):
        read(folder, "FROM typed")


def test_the_folders_of_a_hive_layout_are_columns(folder: Folder) -> None:
    folder.put("events/year=2025/a.csv", "k\n1\n")
    folder.put("events/year=2026/b.csv", "k\n2\n")
    expected = [{"k": 1, "year": 2025}, {"k": 2, "year": 2026}]
    for query in ("FROM 'events/*/*.csv'", "FROM 'events/**/*.csv'", "FROM events"):
        assert read(folder, query).rows == expected


def test_a_file_name_in_the_result_is_the_same_in_every_run(folder: Folder, tmp_path: Path) -> None:
    assert read(folder, "SELECT id, filename FROM read_csv('orders.csv', filename = true) WHERE id = 1").rows == [
        {"id": 1, "filename": "orders.csv"}
    ]


def test_fractions_in_csv_are_decimals_without_loss(folder: Folder) -> None:
    folder.put("sums.csv", "a,b,c,d\n0.12345678901234567890,1.5,1e5,00123\n-10,1234567890123456789012345.25,2.5,7\n")
    found = read(folder, "SELECT * FROM sums")
    assert found.types == {"a": "decimal", "b": "decimal", "c": "float", "d": "text"}
    assert '{"a":0.12345678901234567890,"b":1.50,"c":100000.0,"d":"00123"}' in found.json
    assert read(folder, "SELECT sum(a) AS s FROM read_csv('sums.csv')").json == ['{"s":-9.87654321098765432110}']


def test_a_type_depends_on_all_rows_of_a_file(folder: Folder) -> None:
    folder.put("late.csv", "id,code\n" + "".join(f"{i},{i}\n" for i in range(30_000)) + "30000,x\n")
    assert read(folder, "SELECT code FROM late WHERE id = 30000").rows == [{"code": "x"}]
    assert read(folder, "SELECT code FROM read_csv('late.csv') WHERE id = 30000").rows == [{"code": "x"}]


def test_a_csv_file_with_nothing_but_its_names_is_empty(folder: Folder) -> None:
    folder.put("empty.csv", "id,t,1\n")
    for table in ("empty", "'empty.csv'"):
        found = read(folder, f"SELECT * FROM {table}")
        assert (list(found.types), found.rows) == (["id", "t", "1"], [])


def test_names_that_stand_twice_in_a_csv_file_are_numbered(folder: Folder) -> None:
    folder.put("twice.csv", "name,Name,name\n1,2,3\n")
    assert read(folder, "FROM twice").rows == [{"name": 1, "Name_1": 2, "name_2": 3}]


def test_types_that_the_query_gives_are_kept(folder: Folder) -> None:
    found = read(folder, "SELECT * FROM read_csv('orders.csv', types = {'id': 'VARCHAR', 'total': 'VARCHAR'})")
    assert found.rows == [{"id": "1", "total": "1.50"}, {"id": "2", "total": "12.5"}]


@pytest.mark.parametrize("query", ["FROM 'none.csv'", "FROM read_csv('none_*.csv')", "SELECT * FROM none"])
def test_a_name_that_fits_no_file_is_answered_with_those_that_exist(folder: Folder, query: str) -> None:
    folder.put("other.parquet", b"")
    with pytest.raises(SourceFailed, match=r"none.*orders\.csv, other\.parquet"):
        read(folder, query)


def test_a_table_name_that_fits_several_files_is_refused(folder: Folder) -> None:
    folder.put("old/orders.csv", ORDERS)
    with pytest.raises(SourceFailed, match=r"old/orders\.csv, orders\.csv"):
        read(folder, "FROM orders")
    assert len(read(folder, "FROM 'orders.csv'").rows) == 2


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/proc/self/environ')",
        "SELECT * FROM read_text('/proc/self/' || 'environ')",
        "SELECT * FROM read_blob('../outside.csv')",
        "SELECT * FROM 'https://example.com/orders.csv'",
        "SELECT * FROM glob('/tmp/' || '*')",
    ],
)
def test_a_query_reaches_nothing_outside_its_source(folder: Folder, query: str) -> None:
    (folder.scratch.parent / "outside.csv").write_text("a\n1\n")
    with pytest.raises(SourceFailed):
        read(folder, query)


def test_only_the_files_that_a_query_names_are_fetched(folder: Folder) -> None:
    folder.put("huge.csv", "a\n1\n")
    assert files_around("FROM orders", folder)[0] == ["orders.csv"]


def test_what_was_fetched_is_gone_when_it_has_been_read(folder: Folder) -> None:
    assert files_around("FROM orders", folder)[1] == []
    with pytest.raises(SourceFailed):
        read(folder, "SELECT nothing FROM orders")
    assert not list(folder.scratch.glob("source/**/*.csv"))


def files_around(query: str, folder: Folder) -> tuple[list[str], list[str]]:
    """The files of the scratch folder while a query's result is read, and afterwards."""

    def there() -> list[str]:
        return [path.name for path in folder.scratch.glob("source/**/*.csv")]

    with engine(folder.scratch, 500) as connection:
        with folder.source().query(query, connection):
            during = there()
        return during, there()


def test_a_damaged_csv_file_is_named_by_its_line_alone(folder: Folder) -> None:
    folder.put("bad.csv", "a,b\n" + "1,2\n" * 30_000 + "secret,value,too,many\n")
    with pytest.raises(SourceFailed) as caught:
        read(folder, "SELECT * FROM read_csv('bad.csv', columns = {'a': 'INT', 'b': 'INT'}, header = true)")
    assert "line 30002" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_cast_that_fails_is_the_querys_fault_and_not_the_files(folder: Folder) -> None:
    folder.put("people.csv", "id,name\n1,secret\n")
    with pytest.raises(SourceFailed, match="A cast in the query fails for a value: TRY_CAST gives null"):
        read(folder, "SELECT CAST(name AS INT) AS n FROM people")
    assert read(folder, "SELECT TRY_CAST(name AS INT) AS n FROM people").rows == [{"n": None}]


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("latin.csv", "a,b\n1,Zoë\n".encode("latin-1"), "latin.csv cannot be read at line 2 .* encoding = 'latin-1'"),
        ("noise.csv", bytes(range(256)) * 20, "noise.csv cannot be read"),
        ("cut.json", b'{"a":"secret"}\n{"a":', "cut.json cannot be read .* Its JSON is not valid"),
        ("no.parquet", b"secret", "no.parquet cannot be read .* It is no Parquet file"),
        ("wide.csv", "a,b\n1,Zoë\n".encode("utf-16"), "wide.csv cannot be read .* UTF-16: .* encoding = 'utf-16'"),
        ("big.csv", "a,b\n1,Zoë\n".encode("utf-16-be"), "big.csv cannot be read"),
        (
            "zip.csv",
            gzip.compress(b"a,secret\n1,2\n", mtime=0),
            r"zip.csv cannot be read .* gzip: name it zip\.csv\.gz",
        ),
        ("zip.json", gzip.compress(b'{"a":1}', mtime=0), "zip.json cannot be read .* compressed with gzip"),
        ("long.csv", b"a,b\n1," + b"s" * 2_100_000 + b"\n", "long.csv cannot be read .* max_line_size"),
        ("long.csv", b"a,b\n" + b"1,2\n" * 9 + b"1," + b"s" * 2_100_000 + b"\n", "long.csv .* max_line_size"),
        (
            "late.csv",
            b"a,b\n" + b"1,2\n" * 30_000 + b"secret\n",
            "late.csv .* different numbers of fields.* null_padding",
        ),
        ("twice.json", b'{"a":"secret","a":2}', "twice.json cannot be read .* one name twice"),
        ("no.csv.gz", b"secret,b\n1,2\n", "no.csv.gz cannot be read .* It is not compressed with gzip"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_named(folder: Folder, name: str, body: bytes, said: str) -> None:
    folder.put(name, body)
    with pytest.raises(SourceFailed, match=said) as caught:
        read(folder, f"SELECT * FROM '{name}', 'orders.csv'")
    assert "secret" not in str(caught.value)
    assert str(folder.scratch) not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        "id,name\n1,a\n2,b\n3,c,d\n",
        "id,name\n1,a\n2,b\n3,c,d\n4,e,f\n",
        "id,name\n1,a\n2\n3,c\n",
        "Report of May\n\nid,name\n1,a\n",
    ],
)
def test_lines_that_would_be_left_out_or_taken_for_one_field_are_refused(folder: Folder, body: str) -> None:
    folder.put("rag.csv", body)
    for query in ("FROM rag", "FROM 'rag.csv'", "FROM read_csv('rag.csv')"):
        with pytest.raises(SourceFailed, match=r"The lines of rag\.csv hold different numbers .* null_padding"):
            read(folder, query)
    assert read(folder, "FROM read_csv('rag.csv', null_padding = true)").rows


def test_empty_lines_before_the_names_are_no_lines(folder: Folder) -> None:
    folder.put("orders.csv", "\n\n" + ORDERS)
    assert len(read(folder, "FROM orders").rows) == 2


def test_an_empty_csv_file_is_named(folder: Folder) -> None:
    folder.put("empty.csv", "")
    with pytest.raises(SourceFailed, match=r"empty.csv cannot be read .* It is empty"):
        read(folder, "FROM empty")


def test_a_source_without_files_or_without_access_says_so(folder: Folder) -> None:
    source = folder.source()
    source._prefix = "elsewhere/"
    with pytest.raises(SourceFailed, match="no files under s3://source-bucket/elsewhere/"):
        ask(source, "FROM orders", folder.scratch)
    source._owner = "shop"
    with pytest.raises(
        SourceFailed, match=r"no files in the folder that source shop has in rowcast\.yaml.* s3://source"
    ):
        ask(source, "FROM orders", folder.scratch)
    source._bucket = "no-such-bucket"
    with pytest.raises(SourceFailed, match="Cannot list s3://no-such-bucket/elsewhere/: NoSuchBucket"):
        ask(source, "FROM orders", folder.scratch)


def test_a_csv_file_that_is_not_utf_8_is_read_by_its_encoding(folder: Folder) -> None:
    folder.put("latin.csv", "a,b\n1,Zoë\n".encode("latin-1"))
    assert read(folder, "FROM read_csv('latin.csv', encoding = 'latin-1')").rows == [{"a": 1, "b": "Zoë"}]
