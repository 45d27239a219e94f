"""What a query over files names, found in DuckDB's own syntax tree, and the query with those names made absolute."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from rowcast.errors import SourceFailed

if TYPE_CHECKING:
    import duckdb

READERS = {
    "csv": "read_csv",
    "tsv": "read_csv",
    "json": "read_json",
    "jsonl": "read_json",
    "ndjson": "read_json",
    "parquet": "read_parquet",
}
_FORMATS = re.compile(rf"\.({'|'.join(READERS)})(\.gz)?$", re.IGNORECASE)
_QUOTED = re.compile(rb"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_BRACKETS = re.compile(rb"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/|[()]""")
_SCANS = re.compile(r"^(read_(csv|json|ndjson|parquet|text|blob)\w*|parquet_scan|sniff_csv|glob|parquet_\w+)$")
_NO_SELECT = "The query is no SELECT: write one SELECT that only reads."
_WRITING = re.compile(r"^(INSERT|UPDATE|DELETE|MERGE)\w*_NODE$")


class Reference(msgspec.Struct, frozen=True):
    """A table or a file that the query reads. `start`, `end`: bytes of the query that spell it.

    `function`: the table function that it is given to, "" when it stands as a table itself.
    """

    name: str
    function: str
    alias: str
    start: int
    end: int


def reader(file_name: str) -> str:
    """The table function that reads a file of this name; "" for a format that is not known."""
    match = _FORMATS.search(file_name)
    return READERS[match[1].lower()] if match else ""


def stem(file_name: str) -> str:
    """The table name that a file gives: a/orders.csv.gz is orders."""
    return _FORMATS.sub("", file_name.rsplit("/", 1)[-1])


def references(query: str, connection: duckdb.DuckDBPyConnection) -> list[Reference]:
    """Raises SourceFailed for anything but one SELECT."""
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise SourceFailed(f"DuckDB cannot parse the query: {_first_line(error)}") from None
    if not statements:
        raise SourceFailed("The query is empty: write one SELECT.")
    if len(statements) > 1:
        raise SourceFailed("The query holds more than one statement: leave one SELECT.")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise SourceFailed(_NO_SELECT)
    found = [reference for node in _tree(query, connection) for reference in _of_node(node, query.encode())]
    return sorted(set(found), key=lambda reference: reference.start)


def rewritten(query: str, found: list[Reference], replacement: Callable[[Reference], str | None]) -> str:
    """The query with each reference replaced; None leaves it as it is."""
    return _replaced(query, [(one.start, one.end, replacement(one)) for one in found])


def with_arguments(query: str, arguments: Callable[[str, str, str], str], connection: duckdb.DuckDBPyConnection) -> str:
    """The query with more arguments for its table functions over files, just after their first argument.

    `arguments` is asked with a function's name, its first argument, and the text of the others.
    """
    data, added = query.encode(), []
    for node in _tree(query, connection):
        if _is_scan(node):
            first = node["function"]["arguments"][0]["expression"]
            start, end = first["query_location"], first["query_location"] + first["query_location_length"]
            others = data[end : _closing(data, end)].decode()
            added.append((end, end, arguments(_function(node), data[start:end].decode(), others)))
    return _replaced(query, added)


def _replaced(query: str, changes: Sequence[tuple[int, int, str | None]]) -> str:
    data = query.encode()
    for start, end, new in sorted(changes, key=lambda change: change[0], reverse=True):
        if new is not None:
            data = data[:start] + new.encode() + data[end:]
    return data.decode()


def _closing(data: bytes, position: int) -> int:
    """Where the bracket closes that `position` lies in."""
    depth = 1
    while match := _BRACKETS.search(data, position):
        depth += {b"(": 1, b")": -1}.get(match[0], 0)
        if not depth:
            return match.start()
        position = match.end()
    return position


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _tree(query: str, connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """Every node of the syntax tree."""
    row = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise SourceFailed(_NO_SELECT)
    return _nodes(tree)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def _of_node(node: dict[str, Any], query: bytes) -> Iterator[Reference]:
    kind = str(node.get("type", ""))
    if _WRITING.match(kind):
        raise SourceFailed(_NO_SELECT)
    if kind == "BASE_TABLE":
        location = node["query_location"]
        match = _QUOTED.match(query, location) if location < len(query) else None
        yield Reference(node["table_name"], "", node["alias"], location, match.end() if match else location)
    elif kind == "TABLE_FUNCTION":
        for constant in _constants(node["function"]["arguments"][:1]) if _is_scan(node) else ():
            start, length = constant["query_location"], constant["query_location_length"]
            yield Reference(constant["literal"]["text"], _function(node), "", start, start + length)


def _function(node: dict[str, Any]) -> str:
    return str(node["function"]["function_name"]).lower()


def _is_scan(node: dict[str, Any]) -> bool:
    return node.get("type") == "TABLE_FUNCTION" and bool(
        _SCANS.match(_function(node)) and node["function"]["arguments"]
    )


def _constants(arguments: Any) -> Iterator[dict[str, Any]]:
    for node in _nodes(arguments):
        if node.get("type") == "VALUE_CONSTANT" and node["literal"]["kind"] == "STRING":
            yield node
