"""Files whose beginning does not say all: what is read must not depend on how much of a file DuckDB looks at first."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from rowcast.engine import engine
from rowcast.sources import files_sample, files_types
from rowcast.sources.files_types import options

CSV = "id,amount,name,day\n" + "".join(f"{n},{n}.5,name {n},2026-01-0{n % 9 + 1}\n" for n in range(1, 2100))
JSON = "".join(
    f'{{"id":{n},"amount":{n}.5,"name":"n{n}","day":"2026-01-0{n % 9 + 1}","at":"2026-01-01 10:00:0{n % 9}",'
    f'"seen":"2026-01-01T10:00:00Z","ok":true,"none":null}}\n'
    for n in range(1, 2100)
)
LATER_IN_CSV = {
    "nothing": "",
    "a quoted separator": '1,2.5,"a, b",2026-01-01\n',
    "a doubled quote": '1,2.5,"a ""b""",2026-01-01\n',
    "an escaped quote": '1,2.5,"a \\"b\\"",2026-01-01\n',
    "a quoted line's end": '1,2.5,"a\nb",2026-01-01\n',
    "a quote within": '1,2.5,5" pipe,2026-01-01\n',
    "single quotes": "1,2.5,'a',2026-01-01\n",
    "single quotes around a separator": "1,2.5,'a,b',2026-01-01\n",
    "an apostrophe": "1,2.5,O'Brien,2026-01-01\n",
    "text among numbers": "x,2.5,a,2026-01-01\n",
    "leading zeros": "007,2.5,a,2026-01-01\n",
    "a fraction among whole numbers": "1.5,2.5,a,2026-01-01\n",
    "more digits": "1,12345678901234567890.123456789,a,2026-01-01\n",
    "an exponent": "1,2e5,a,2026-01-01\n",
    "no number": "1,none,a,2026-01-01\n",
    "another form of day": "1,2.5,a,31/12/2026\n",
    "a day with slashes": "1,2.5,a,2026/01/02\n",
    "a day of a short year": "1,2.5,a,26-01-02\n",
    "no day of the calendar": "1,2.5,a,2026-02-31\n",
    "an endless day": "1,2.5,a,infinity\n",
    "an instant among days": "1,2.5,a,2026-01-01T10:00:00\n",
    "an empty last value": "1,2.5,a,\n",
    "one value more": "1,2.5,a,2026-01-01,\n",
    "one value less": "1,2.5,a\n",
    "a comment": "# the end\n",
}
LATER_IN_JSON = {
    "nothing": "",
    "another name": '{"id":1,"more":1}\n',
    "a fraction among whole numbers": '{"id":1.5}\n',
    "a number below zero": '{"id":-1}\n',
    "a large number": '{"id":9223372036854775808}\n',
    "text among numbers": '{"id":"1"}\n',
    "a long number among fractions": '{"amount":12345678901234567}\n',
    "a very long number among fractions": '{"amount":123456789012345678901}\n',
    "a number beyond floats": '{"amount":1e400}\n',
    "a day of a short year": '{"day":"26-01-02"}\n',
    "an instant of many digits": '{"seen":"2026-01-01T10:00:00.1234567Z"}\n',
    "a truth value among numbers": '{"amount":true}\n',
    "a number among texts": '{"name":1}\n',
    "an object among texts": '{"name":{"a":1}}\n',
    "a null among texts": '{"name":null}\n',
    "no day": '{"day":"2026-13-01"}\n',
    "an instant among days": '{"day":"2026-01-01 10:00:00"}\n',
    "an instant of another form": '{"at":"2026-01-01T10:00:00"}\n',
    "an instant with a fraction": '{"at":"2026-01-01 10:00:00.5"}\n',
    "an instant without a zone": '{"seen":"2026-01-01T10:00:00"}\n',
    "another zone": '{"seen":"2026-01-01T10:00:00+02:00"}\n',
    "a value where none was": '{"none":"x"}\n',
    "few values": '{"id":1}\n' * 3000,
    "no object": "[1]\n",
}


class Form(NamedTuple):
    beginning: str
    ends: dict[str, str]


FORMS = {"csv": Form(CSV, LATER_IN_CSV), "json": Form(JSON, LATER_IN_JSON)}
PROVEN = {"nothing", "a null among texts", "another zone", "an apostrophe", "an empty last value", "a doubled quote"}


@pytest.fixture(autouse=True)
def short_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_sample, "SAMPLE", ", sample_size=2048")


def read(path: Path, function: str, arguments: str | None = None) -> tuple[object, ...]:
    """What a file holds: types and rows; or the kind of error."""
    with engine(path.parent, 500) as connection:
        try:
            given = options(connection, function, f"'{path}'", "") if arguments is None else arguments
            whole = connection.execute(f"FROM {function}('{path}'{given})")
            described = [(column[0], str(column[1])) for column in whole.description or ()]
            return described, sorted(map(repr, whole.fetchall()))
        except duckdb.Error as error:
            return (type(error),)


def looked_at_as_a_whole(path: Path, function: str, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    with monkeypatch.context() as patch:
        patch.setattr(files_sample, "csv_form", lambda *_: None)
        patch.setattr(files_sample, "json_holds", lambda *_: False)
        return read(path, function)


@pytest.mark.parametrize(("form", "later"), [(form, later) for form in FORMS for later in FORMS[form].ends])
def test_a_file_is_read_as_if_duckdb_had_looked_at_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, later: str
) -> None:
    path = tmp_path / f"orders.{form}"
    path.write_text(FORMS[form].beginning + FORMS[form].ends[later])
    assert read(path, f"read_{form}") == looked_at_as_a_whole(path, f"read_{form}", monkeypatch)


def test_a_column_of_text_without_a_value_at_the_beginning_gets_its_type_from_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("id,n\n" + "1,\n" * 2100 + "1,5\n")
    found = read(path, "read_csv")
    assert found == looked_at_as_a_whole(path, "read_csv", monkeypatch)
    assert found[0] == [("id", "BIGINT"), ("n", "BIGINT")]


@pytest.mark.parametrize("later", sorted(PROVEN))
def test_a_file_that_goes_on_as_it_begins_is_not_looked_at_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    monkeypatch.setattr(files_types, "_WHOLE_FILE", ", sample_size='would be an error'")
    for form, (beginning, ends) in FORMS.items():
        if later in ends:
            path = tmp_path / f"orders.{form}"
            path.write_text(beginning + ends[later])
            assert len(read(path, f"read_{form}")) == 2
