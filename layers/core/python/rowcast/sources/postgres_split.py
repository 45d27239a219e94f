"""Cutting a query into parts that several readers of one snapshot ask for: ranges of pages of the one table it reads.

Only a plain SELECT over one table is cut, where each row of the result depends on one row of the table and on nothing
that differs between connections. Whatever is not surely of that kind is read by one. Pure text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from rowcast.sources.postgres_sql import Lexeme, lexemes
from rowcast.sqltext import literal

LEAST_PAGES = 2048
"""Of a reader: below 16 MB another connection costs more than it brings."""

_ELSEWHERE = frozenset(
    (
        *("union", "intersect", "except", "join", "natural", "lateral", "group", "having", "distinct", "order"),
        *("limit", "offset", "fetch", "window", "over", "tablesample", "for", "into", "with", "values", "returning"),
        *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    )
)
"""Words after which a row may depend on other rows or on the time, or which would stand after a WHERE."""
_TIMES = re.compile(r"now|today|tomorrow|yesterday|allballs", re.IGNORECASE)
"""Texts that PostgreSQL reads as a time of its own choice."""
_UNICODE_NAME = re.compile(r'[uU]&"')
_SETTLED = (
    *("array_to_json", "array_to_string", "concat", "concat_ws", "format", "row_to_json", "to_json", "to_jsonb"),
    *("json_build_array", "json_build_object", "jsonb_build_array", "jsonb_build_object", "text"),
    *("date", "date_part", "date_trunc", "extract", "time", "timestamp", "timestamptz", "timetz", "timezone"),
    *("to_char", "to_date", "to_number", "to_timestamp"),
)
"""The server's own functions that are not immutable, but depend on settings alone, which all readers share."""


class Split(msgspec.Struct, frozen=True):
    """`table` and `alias` as the query spells them; `head` ends before a WHERE, `where` is its condition or empty.

    `words`: every name in the query, as the server looks names up; `calls`: those before an opening parenthesis.
    """

    head: str
    table: str
    alias: str
    where: str
    words: tuple[str, ...]
    calls: tuple[str, ...]

    def part(self, first: int | None, end: int | None) -> str:
        """The query's rows that lie on pages from `first` up to but not including `end`; None leaves that side open."""
        bounds = [f"{self.alias}.ctid >= '({first},0)'::tid"] if first is not None else []
        bounds += [f"{self.alias}.ctid < '({end},0)'::tid"] if end is not None else []
        conditions = ([f"({self.where}\n)"] if self.where else []) + bounds
        return f"{self.head}\nWHERE {' AND '.join(conditions)}"

    def parts(self, pages: int, readers: int) -> list[str]:
        """The first and the last are open, so that together they hold every row, however the table has grown."""
        count = min(readers, pages // LEAST_PAGES)
        if count < 2:
            return []
        bounds = [None, *(pages * index // count for index in range(1, count)), None]
        return [self.part(first, end) for first, end in pairwise(bounds)]


def split(query: str) -> Split | None:
    """None for a query whose text does not show that it may be cut."""
    found = [lexeme for lexeme in lexemes(query) if not lexeme.skipped]
    words = [_folded(lexeme) for lexeme in found]
    if words[:1] != ["select"] or words.count("select") > 1 or _ELSEWHERE.intersection(words):
        return None
    if any(map(_is_strange, found)) or _UNICODE_NAME.search(query):
        return None
    depths = _depths(found)
    froms = [index for index, word in enumerate(words) if word == "from" and not depths[index]]
    wheres = [index for index, word in enumerate(words) if word == "where" and not depths[index]]
    if len(froms) != 1 or len(wheres) > 1 or any(where < froms[0] for where in wheres):
        return None
    end = wheres[0] if wheres else len(found)
    table = _table(found[froms[0] + 1 : end])
    if table is None:
        return None
    calls = {word for word, after in zip(words, found[1:], strict=False) if word and after.text == "("}
    return Split(
        head=query[: found[end - 1].end],
        table=table[0],
        alias=table[1],
        where=query[found[end].end : found[-1].end] if wheres else "",
        words=tuple(sorted({*words} - {""})),
        calls=tuple(sorted(calls)),
    )


def _is_strange(lexeme: Lexeme) -> bool:
    """A text that may be read as a time of the server's choice, or that is spelled so that it can't be told."""
    if lexeme.text.startswith("$"):
        return True
    return "'" in lexeme.text and ("\\" in lexeme.text or _TIMES.search(lexeme.text) is not None)


def _table(found: Sequence[Lexeme]) -> tuple[str, str] | None:
    """What stands between FROM and WHERE as a table's name and alias; None when it is anything else."""
    shape = "".join("n" if lexeme.is_name else "." if lexeme.text == "." else "?" for lexeme in found)
    match = re.fullmatch(r"(n(?:\.n)*)(n?n)?", shape)
    if match is None or _folded(found[0]) == "only":
        return None
    name, rest = found[: match.end(1)], found[match.end(1) :]
    if len(rest) == 2 and rest[0].text.lower() != "as":
        return None
    return "".join(lexeme.text for lexeme in name), (rest or name)[-1].text


def _folded(lexeme: Lexeme) -> str:
    """A name as the server looks it up; empty for what is no name."""
    if not lexeme.is_name:
        return ""
    text = lexeme.text
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()


def _depths(found: Sequence[Lexeme]) -> list[int]:
    depth, depths = 0, []
    for lexeme in found:
        depth -= lexeme.text in (")", "]")
        depths.append(depth)
        depth += lexeme.text in ("(", "[")
    return depths


def judging_query(split: Split) -> str:
    """Answers the pages of the table in one row, or no row when the table, or a function that the query may call, is
    not of a kind that all readers surely see alike. Other people's functions may be called without parentheses."""
    return f"""
WITH own AS (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'pg_catalog')
SELECT (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint)::bigint AS pages
FROM pg_catalog.pg_class AS c, own
WHERE c.oid = {literal(split.table)}::pg_catalog.regclass AND c.relkind IN ('r', 'm') AND NOT c.relrowsecurity
AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_proc AS p WHERE p.provolatile <> 'i' AND CASE WHEN p.pronamespace = own.oid
  THEN p.proname = ANY ({_names(split.calls)}) AND p.proname <> ALL ({_names(_SETTLED)})
  ELSE p.proname = ANY ({_names(split.words)}) END
) AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_proc AS p ON p.oid = o.oprcode
  WHERE p.provolatile <> 'i' AND o.oprnamespace <> own.oid
) AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_cast AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.castfunc
  WHERE p.provolatile <> 'i' AND p.pronamespace <> own.oid
)"""


def _names(names: Sequence[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, names))}]::pg_catalog.name[]"


def explaining_query(part: str) -> str:
    return f"EXPLAIN (FORMAT JSON, COSTS OFF)\n{part}"


def is_range_scan(plan: object) -> bool:
    """Whether the server reads the part as one range of one table's pages, with nothing above or below."""
    if not isinstance(plan, list) or len(plan) != 1:
        return False
    node = plan[0].get("Plan", {})
    return node.get("Node Type") == "Tid Range Scan" and "Plans" not in node
