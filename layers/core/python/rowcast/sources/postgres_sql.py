"""What PostgreSQL is asked, so that each column leaves it exactly, and what DuckDB makes of the answer. Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from rowcast.errors import SourceFailed
from rowcast.jsonsql import decimal_arriving, json_arriving
from rowcast.models import Column, ColumnType
from rowcast.sqltext import literal, own, quote

_PLAIN: dict[str, ColumnType] = {
    "bool": "boolean",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "float4": "float",
    "float8": "float",
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "bytea": "bytes",
    "time": "time",
    "uuid": "uuid",
}
"""Types whose binary form the driver reads exactly."""
_AS_TEXT: dict[str, ColumnType] = {
    "numeric": "decimal",
    "json": "json",
    "jsonb": "json",
    **dict.fromkeys(
        ("name", "char", "xml", "citext", "timetz", "cidr", "macaddr", "macaddr8", "bit", "varbit"), "text"
    ),
    "interval": "text",
}
_ARRIVING = {"json": json_arriving, "decimal": decimal_arriving}
_WITH_INFINITY: dict[str, ColumnType] = {"date": "date", "timestamp": "timestamp", "timestamptz": "timestamptz"}
_ELEMENTS = (_PLAIN.keys() | _AS_TEXT.keys() | _WITH_INFINITY.keys() | {"oid", "inet"}) - {"bytea"}
_CAST_TO_WRITE = {
    "money": "{}::numeric",
    "hstore": "hstore_to_jsonb({})",
    "record": "to_jsonb({})",
    "bytea[]": "{}::text[]",
}
_LATEST = (
    9223371244800000000  # the year 294247: TIMESTAMP of DuckDB ends in its first days, PostgreSQL's 29 years later
)
_WRAPPED_DAYS = 2**31 - 1 + 10957 - 2**32
_WRAPPED_MICROSECONDS = 2**63 - 1 + 946684800 * 10**6 - 2**64
"""What the server's infinity becomes on its way from 2000 to 1970; its -infinity is the next number."""


class ResultType(msgspec.Struct, frozen=True):
    """A result column's type with domains resolved. `kind` is pg_type.typtype; `element` is set for arrays."""

    name: str
    kind: str
    schema: str
    element: str
    element_kind: str

    @property
    def text(self) -> str:
        return f"{self.element}[]" if self.element else self.name


class Plan(msgspec.Struct, frozen=True):
    """`asked`: PostgreSQL's select list. `made`: DuckDB's select list over its answer."""

    asked: str
    made: str
    columns: tuple[Column, ...]


_LEXEMES = re.compile(
    r"""(?xs) (?P<comment> --[^\n]* | /\* ) | (?P<end> ; ) | (?P<space> \s+ )
    | [eE]'(?:[^'\\]|\\.|'')*' | [uU]&'(?:[^']|'')*' | '(?:[^']|'')*' | (?P<quoted> "(?:[^"]|"")*" )
    | (?P<dollar> \$(?:[^\W\d]\w*)?\$ ) | (?P<word> [^\W\d][\w$]* ) | \w[\w$]* | ."""
)


class Lexeme(msgspec.Struct, frozen=True):
    """A piece of a query's text and where it ends there. `skipped`: a comment or white space."""

    kind: str
    text: str
    end: int

    @property
    def skipped(self) -> bool:
        return self.kind in ("comment", "space")

    @property
    def is_name(self) -> bool:
        return self.kind in ("word", "quoted")


def lexemes(query: str) -> Iterator[Lexeme]:
    position = 0
    while position < len(query) and (match := _LEXEMES.match(query, position)):
        start, position = position, match.end()
        if match["comment"] == "/*":
            position = _comment_end(query, position)
        elif match["dollar"]:
            closing = query.find(match["dollar"], position)
            position = len(query) if closing < 0 else closing + len(match["dollar"])
        yield Lexeme(match.lastgroup or "", query[start:position], position)


def one_statement(query: str) -> str:
    """The query without what follows its semicolon; raises SourceFailed when that is another statement."""
    end, content = None, False
    for lexeme in lexemes(query):
        if lexeme.skipped:
            continue
        if lexeme.kind == "end":
            end = lexeme.end - 1 if end is None else end
        elif end is not None:
            raise SourceFailed("The query holds more than one statement: leave one SELECT.")
        else:
            content = True
    if not content:
        raise SourceFailed("The query is empty: write one SELECT.")
    return query if end is None else query[:end]


def _comment_end(query: str, position: int) -> int:
    """PostgreSQL's comments nest."""
    depth = 1
    while depth and (match := re.compile(r"/\*|\*/").search(query, position)):
        depth += 1 if match[0] == "/*" else -1
        position = match.end()
    return position if not depth else len(query)


def types_query(query: str, count: int) -> str:
    """Answers a row of `ResultType` per column, in order, without running the query: it is joined on false."""
    names = ", ".join(f"c{index}" for index in range(count))
    types = ", ".join(f"pg_typeof(q.c{index})::oid" for index in range(count))
    # the query may read tables, which are not to be taken for ours
    result, resolved, element = own("result"), own("resolved"), own("element")
    return f"""
WITH RECURSIVE {result} AS (
  SELECT ARRAY[{types}] AS types FROM (SELECT 1) AS one LEFT JOIN (
{query}
  ) AS q({names}) ON false
), {resolved}(position, oid) AS (
  SELECT u.position, u.oid FROM {result}, unnest({result}.types) WITH ORDINALITY AS u(oid, position)
  UNION ALL
  SELECT r.position, t.typbasetype FROM {resolved} r JOIN pg_catalog.pg_type t ON t.oid = r.oid WHERE t.typtype = 'd'
), {element}(position, oid) AS (
  SELECT r.position, t.typelem FROM {resolved} r JOIN pg_catalog.pg_type t ON t.oid = r.oid
  WHERE t.typtype <> 'd' AND t.typcategory = 'A'
  UNION ALL
  SELECT e.position, t.typbasetype FROM {element} e JOIN pg_catalog.pg_type t ON t.oid = e.oid WHERE t.typtype = 'd'
)
SELECT t.typname::text AS name, t.typtype::text AS kind, n.nspname::text AS schema,
       coalesce(et.typname::text, '') AS element, coalesce(et.typtype::text, '') AS element_kind
FROM {resolved} r
JOIN pg_catalog.pg_type t ON t.oid = r.oid AND t.typtype <> 'd'
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN ({element} e JOIN pg_catalog.pg_type et ON et.oid = e.oid AND et.typtype <> 'd') ON e.position = r.position
ORDER BY r.position"""


def plan(names: Sequence[str], types: Sequence[ResultType]) -> Plan:
    """Raises SourceFailed for the first column that has no exact form."""
    asked: list[str] = []
    made: list[str] = []
    columns: list[Column] = []
    for index, (name, kind) in enumerate(zip(names, types, strict=True)):
        expressions, expression, logical = _column(f"c{index}", name, kind)
        asked += expressions
        made.append(f"{expression} AS {quote(name)}")
        columns.append(Column(name, logical))
    return Plan(", ".join(asked), ", ".join(made), tuple(columns))


def data_query(query: str, asked: str, count: int) -> str:
    names = ", ".join(f"c{index}" for index in range(count))
    return f"SELECT {asked} FROM (\n{query}\n) AS q({names})"


def _column(column: str, name: str, kind: ResultType) -> tuple[list[str], str, ColumnType]:
    """PostgreSQL's expressions, DuckDB's expression over them, and the logical type."""
    if kind.element:
        if kind.element_kind != "e" and kind.element not in _ELEMENTS:
            raise SourceFailed(_refusal(name, kind))
        return [f"to_json({column})::text AS {column}"], json_arriving(column, name), "json"
    if kind.kind == "e" or kind.name in _AS_TEXT:
        logical: ColumnType = "text" if kind.kind == "e" else _AS_TEXT[kind.name]
        arriving = _ARRIVING.get(logical)
        made = arriving(column, name) if arriving else column
        return [f"{column}::text AS {column}"], made, logical
    if kind.name in _PLAIN and kind.schema == "pg_catalog":
        logical = _PLAIN[kind.name]
        return [column], f"{column}::BIGINT" if logical == "integer" else column, logical
    if kind.name == "oid":
        return [f"{column}::bigint AS {column}"], column, "integer"
    if kind.name == "inet":  # its cast to text adds a mask that its output leaves out
        return [f"CASE WHEN {column} IS NOT NULL THEN format('%s', {column}) END AS {column}"], column, "text"
    if kind.name in _WITH_INFINITY:
        return _with_infinity(column, name, kind.name)
    raise SourceFailed(_refusal(name, kind))


def _with_infinity(column: str, name: str, type_name: str) -> tuple[list[str], str, ColumnType]:
    """The driver counts from 1970 what the server counts from 2000, and where that leaves the number's range it wraps
    around: the infinities, and years that the engine does not know, arrive as instants before any that the server has.
    """
    logical = _WITH_INFINITY[type_name]
    target = logical.upper()
    number = f"({column} - DATE '1970-01-01')" if logical == "date" else f"epoch_us({column})"
    infinity = _WRAPPED_DAYS if logical == "date" else _WRAPPED_MICROSECONDS
    infinities = (
        f"CASE WHEN {number} = {infinity} THEN 'infinity'::{target}"
        f" WHEN {number} = {infinity + 1} THEN '-infinity'::{target}"
    )
    if logical == "date":
        return [column], f"{infinities} ELSE {column} END", logical
    message = literal(f'Column "{name}" holds a {type_name} after the year 294246, which has no exact form here.')
    beyond = f"{number} < {infinity} OR {number} >= {_LATEST} OR isinf({column})"
    return [column], f"{infinities} WHEN {beyond} THEN error({message})::{target} ELSE {column} END", logical


def _refusal(name: str, kind: ResultType) -> str:
    cast = _CAST_TO_WRITE.get(kind.text, "to_jsonb({})" if kind.kind == "c" else "{}::text")
    cast = "{}::numeric[]" if kind.text == "money[]" else cast
    return (
        f'Column "{name}" has type {kind.text}, which has no exact form here:'
        f" write {cast.format(quote(name))} AS {quote(name)} in the query, or leave the column out."
    )
