"""Which queries several readers may share, as far as their text shows it."""

from __future__ import annotations

import pytest

from rowcast.sources.postgres_split import LEAST_PAGES, is_range_scan, split


@pytest.mark.parametrize(
    ("query", "table", "alias"),
    [
        ("SELECT * FROM orders", "orders", "orders"),
        ("select id, lower(name) AS n from shop.orders o", "shop.orders", "o"),
        ('SELECT o.id FROM "Shop"."Or ders" AS "o 1" WHERE id > 5 OR id = 1 -- the end', '"Shop"."Or ders"', '"o 1"'),
        ("SELECT extract(year FROM placed) AS y FROM orders", "orders", "orders"),
        ("SELECT ' from x, y limit 3' AS a, \"limit\" FROM /* here */ orders", "orders", "orders"),
    ],
)
def test_a_plain_select_over_one_table_is_cut(query: str, table: str, alias: str) -> None:
    found = split(query.replace('"limit"', '"lim"'))
    assert found is not None
    assert (found.table, found.alias) == (table, alias)
    assert found.part(7, None).endswith(f"{alias}.ctid >= '(7,0)'::tid")


def test_a_condition_keeps_its_meaning_beside_the_range() -> None:
    found = split("SELECT id FROM orders WHERE a = 1 OR b = 2 -- why")
    assert found is not None
    assert found.part(None, 9) == "SELECT id FROM orders\nWHERE ( a = 1 OR b = 2\n) AND orders.ctid < '(9,0)'::tid"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM orders LIMIT 5",
        "SELECT id FROM orders ORDER BY id",
        "SELECT DISTINCT id FROM orders",
        "SELECT id FROM orders GROUP BY id",
        "SELECT id, row_number() OVER () AS n FROM orders",
        "SELECT a.id FROM orders a JOIN items b ON a.id = b.id",
        "SELECT a.id FROM orders a, items b",
        "SELECT id FROM orders UNION SELECT id FROM items",
        "SELECT id FROM (SELECT id FROM orders) AS o",
        "SELECT id, (SELECT max(id) FROM items) AS m FROM orders",
        "WITH o AS (SELECT 1 AS id) SELECT id FROM o",
        "SELECT id FROM orders TABLESAMPLE SYSTEM (5)",
        "SELECT id FROM ONLY orders",
        "SELECT id FROM orders AS o(id)",
        "SELECT i FROM generate_series(1, 5) AS i",
        "SELECT id, current_date AS today FROM orders",
        "SELECT id FROM orders WHERE placed > 'yesterday'",
        "SELECT id FROM orders WHERE placed > E'n\\157w'::date",
        "SELECT id FROM orders WHERE placed > $$now$$",
        'SELECT U&"r\\0061ndom"() AS r FROM orders',
        "TABLE orders",
        "VALUES (1)",
        "SELECT 1 AS a",
    ],
)
def test_any_other_query_is_left_whole(query: str) -> None:
    assert split(query) is None


def test_parts_are_open_at_both_ends_and_meet() -> None:
    found = split("SELECT id FROM t")
    assert found is not None
    pages = 4 * LEAST_PAGES
    bounds = [text.split("WHERE ")[1].replace("'::tid", "").replace("t.ctid ", "") for text in found.parts(pages, 4)]
    cuts = [pages // 4, pages // 2, pages * 3 // 4]
    assert bounds == [
        f"< '({cuts[0]},0)",
        f">= '({cuts[0]},0) AND < '({cuts[1]},0)",
        f">= '({cuts[1]},0) AND < '({cuts[2]},0)",
        f">= '({cuts[2]},0)",
    ]


@pytest.mark.parametrize(("pages", "readers", "count"), [(0, 4, 0), (2, 4, 2), (3, 16, 3), (100, 16, 16), (100, 1, 0)])
def test_a_small_table_has_fewer_readers(pages: int, readers: int, count: int) -> None:
    found = split("SELECT id FROM t")
    assert found is not None
    assert len(found.parts(pages * LEAST_PAGES, readers)) == count


def test_only_a_range_scan_with_nothing_around_it_counts() -> None:
    scan = {"Node Type": "Tid Range Scan"}
    assert is_range_scan([{"Plan": scan}])
    for other in ({"Node Type": "Seq Scan"}, {"Node Type": "Aggregate", "Plans": [scan]}, {**scan, "Plans": [scan]}):
        assert not is_range_scan([{"Plan": other}])
