"""Mistakes in queries and schedules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import project
from tests.project_folder import TO_EVENTBRIDGE, Folder, put


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_an_unknown_source_is_told_with_the_nearest(folder: Folder) -> None:
    problem = folder.in_sync("model.source", "shoop")
    assert problem.message == "there is no source shoop in rowcast.yaml"
    assert (problem.suggestion, problem.expected) == ("shop", "one of shop, warehouse")


def test_query_and_query_file_exclude_each_other(folder: Folder) -> None:
    folder.write("a.sql", "SELECT 1")
    assert folder.in_sync("model.query_file", "a.sql").message == "query and query_file exclude each other"


def test_one_of_query_and_query_file_is_needed(folder: Folder) -> None:
    assert folder.in_sync("model.query", ...).expected == "exactly one of query, query_file"


def test_a_query_file_that_does_not_exist_is_named(folder: Folder) -> None:
    base = put(TO_EVENTBRIDGE, "model.query", ...)
    assert folder.in_sync("model.query_file", "a.sql", base).message == "there is no file a.sql"


def test_a_mistake_in_a_query_file_is_told_with_the_files_line(folder: Folder) -> None:
    folder.write("a.sql", "-- one\nDELETE FROM orders")
    problem = folder.in_sync("model.query_file", "a.sql", put(TO_EVENTBRIDGE, "model.query", ...))
    assert problem.message == "the query begins with DELETE: only queries that read are run (line 2 of a.sql)"


@pytest.mark.parametrize("source", ["shop", "warehouse"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "the query is empty"),
        (" -- nothing\n ;;", "the query is empty"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1; DROP TABLE orders", "more than one statement"),
        ("INSERT INTO t SELECT 1", "begins with INSERT"),
        ("update t set a = 1", "begins with update"),
        ("/* c */ DELETE FROM t", "begins with DELETE"),
        ("CREATE TABLE t AS SELECT 1", "begins with CREATE"),
        ("COPY t TO 'x'", "begins with COPY"),
        ("EXPLAIN SELECT 1", "begins with EXPLAIN"),
        ("SET x = 1", "begins with SET"),
        ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "holds DELETE"),
        ("WITH d AS NOT MATERIALIZED (UPDATE t AS x SET a = 1 RETURNING *) SELECT * FROM d", "holds UPDATE"),
        ("WITH d AS (SELECT 1) INSERT INTO t SELECT * FROM d", "holds INSERT"),
        ("SELECT 'a", "does not end"),
    ],
)
def test_a_query_that_is_no_single_reading_statement_is_refused(
    folder: Folder, source: str, query: str, message: str
) -> None:
    problem = folder.in_sync("model.query", query, put(TO_EVENTBRIDGE, "model.source", source))
    assert problem.path == "model.query"
    assert message in problem.message


def test_a_mistyped_select_is_told_with_the_nearest_word(folder: Folder) -> None:
    assert folder.in_sync("model.query", "SELCT 1").suggestion == "SELECT"


def test_a_mistake_in_a_query_of_several_lines_is_told_with_its_line(folder: Folder) -> None:
    text = yaml.safe_dump(TO_EVENTBRIDGE).replace("query: SELECT 1 AS id", "query: |\n    SELECT 1;\n\n    SELECT 2\n")
    problem = folder.write("syncs/orders.yaml", text).problem()
    assert problem.line and text.splitlines()[problem.line - 1].strip() == "SELECT 2"


@pytest.mark.parametrize("source", ["shop", "warehouse"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1;",
        "select ';' as a; -- ; done\n;",
        "(SELECT 1) UNION (SELECT 2)",
        "VALUES (1)",
        "TABLE orders",
        "FROM 'orders.csv' SELECT *",
        "WITH a AS (SELECT 1) SELECT delete FROM a",
        "WITH a AS (SELECT 1) SELECT (1) delete FROM a",
        "WITH delete AS (SELECT 1) SELECT * FROM delete",
        "WITH a AS (SELECT * FROM json_to_record('{}') AS x(update int, insert text)) SELECT * FROM a",
        "WITH a AS (SELECT 'DELETE FROM t') SELECT * FROM a",
        "SELECT $$it's; here$$, E'a\\'; b', \"a;b\" FROM t",
        "/* outer /* inner; */ ; */ SELECT 1",
        "SELECT * FROM t -- DROP TABLE t; SELECT",
        "SELECT data->>'a', tags @> '{x}', n::numeric(10, 2), a ?| b FROM t",
        "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT n FROM a",
    ],
)
def test_a_query_that_reads_is_accepted(folder: Folder, source: str, query: str) -> None:
    text = put(put(TO_EVENTBRIDGE, "model.query", query), "model.source", source)
    project.load(folder.write("syncs/orders.yaml", text).root)


@pytest.mark.parametrize(
    "every", ["0 minutes", "30 seconds", "hour", "1.5 hours", "15 minutes and a bit", "-1 day", 15, "1 week"]
)
def test_a_rate_is_a_whole_number_of_minutes_hours_or_days(folder: Folder, every: Any) -> None:
    assert folder.in_sync("schedule", {"every": every}).path == "schedule.every"


@pytest.mark.parametrize(
    ("cron", "message", "suggestion"),
    [
        ("0 7 * * *", "5 fields instead of 6", "0 7 * * ? *"),
        ("0 7 * * MON", "5 fields instead of 6", "0 7 ? * MON *"),
        ("0 7 * * 1", "5 fields instead of 6", None),
        ("0 7 * * * *", "exactly one of day-of-month and day-of-week must be ?", "0 7 * * ? *"),
        ("0 7 ? * ? *", "exactly one of day-of-month and day-of-week must be ?", "0 7 * * ? *"),
        ("cron(0 7 * * ? *)", "only the fields themselves", "0 7 * * ? *"),
        ("60 7 * * ? *", "'60' is no minute (0-59)", None),
        ("0 24 * * ? *", "'24' is no hour", None),
        ("0 7 32 * ? *", "'32' is no day of month", None),
        ("0 7 * 13 ? *", "'13' is no month (1-12 or JAN-DEC)", None),
        ("0 7 ? * 0 *", "'0' is no day of week", None),
        ("0 7 ? * MOON *", "'MOON' is no day of week", None),
        ("0 7 * * ? 26", "'26' is no year", None),
        ("*/0 7 * * ? *", "'*/0' is no minute", None),
        ("1,, 7 * * ? *", "'1,,' is no minute", None),
    ],
)
def test_a_cron_expression_has_schedulers_six_fields(
    folder: Folder, cron: str, message: str, suggestion: str | None
) -> None:
    problem = folder.in_sync("schedule", {"cron": cron})
    assert problem.path == "schedule.cron"
    assert message in problem.message
    assert problem.suggestion == suggestion


def test_an_unknown_time_zone_is_told_with_the_nearest(folder: Folder) -> None:
    problem = folder.in_sync("schedule", {"cron": "0 7 * * ? *", "timezone": "Europe/Berln"})
    assert (problem.path, problem.suggestion) == ("schedule.timezone", "Europe/Berlin")


def test_a_time_zone_goes_with_cron_only(folder: Folder) -> None:
    problem = folder.in_sync("schedule", {"every": "1 day", "timezone": "UTC"})
    assert problem.message == "unknown field timezone: a time zone goes with cron"


def test_a_word_that_is_no_schedule_is_told_with_the_forms(folder: Folder) -> None:
    assert "or manual" in str(folder.in_sync("schedule", "sometimes").expected)


def test_the_schedule_of_the_defaults_is_judged_too(folder: Folder) -> None:
    assert folder.in_main("defaults.schedule", {"cron": "x"}).path == "defaults.schedule.cron"


def test_a_column_of_the_key_cannot_be_masked(folder: Folder) -> None:
    key = TO_EVENTBRIDGE["model"]["primary_key"]
    problem = folder.in_sync("mask", ["email", key])
    assert problem.path.startswith("mask")
    assert key in problem.message
