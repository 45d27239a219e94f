"""Whether a text can be the one read-only statement that a model needs.

Refuses only what is surely wrong: what passes here is still run in a read-only transaction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from project.nearest import nearest

BEGINNINGS = ("SELECT", "WITH", "VALUES", "TABLE", "FROM")
_ALSO_READ = {"files": {"PIVOT", "UNPIVOT", "PIVOT_WIDER", "PIVOT_LONGER", "SUMMARIZE", "DESCRIBE", "SHOW"}}
_WRITES = {"INSERT": "INTO", "DELETE": "FROM", "MERGE": "INTO"}
_DIALECTS = {"files": "duckdb", "postgres": "postgres"}


class Fault(NamedTuple):
    message: str
    suggestion: str | None = None
    line: int = 1


def fault(query: str, source_type: str) -> Fault | None:
    tokens = _tokens(query, source_type)
    if tokens is None:
        return Fault("the query has a quote or a comment that does not end")
    statements = _statements(tokens)
    if not statements:
        return Fault("the query is empty")
    if len(statements) > 1:
        return Fault("the query holds more than one statement", line=statements[1][0].line)
    return _beginning(statements[0], source_type) or _writing(statements[0])


def without_end(query: str, source_type: str) -> str:
    """The query without the semicolons that end it, and what follows them."""
    tokens = _tokens(query, source_type) or []
    end = len(query)
    for token in reversed(tokens):
        if token.token_type.name != "SEMICOLON":
            break
        end = token.start
    return query[:end].strip()


def _tokens(query: str, source_type: str) -> list[Any] | None:
    from sqlglot.dialects.dialect import Dialect
    from sqlglot.errors import SqlglotError

    try:
        return Dialect.get_or_raise(_DIALECTS[source_type]).tokenize(query)
    except SqlglotError:
        return None


def _statements(tokens: list[Any]) -> list[list[Any]]:
    statements: list[list[Any]] = [[]]
    for token in tokens:
        if token.token_type.name == "SEMICOLON":
            statements.append([])
        else:
            statements[-1].append(token)
    return [statement for statement in statements if statement]


def _beginning(statement: list[Any], source_type: str) -> Fault | None:
    first = statement[0]
    word = "" if _is_quoted(first) else first.text.upper()
    if word == "(" or word in BEGINNINGS or word in _ALSO_READ.get(source_type, ()):
        return None
    guess = nearest(word, BEGINNINGS) if first.token_type.name in ("VAR", "IDENTIFIER") else None
    shown = first.text if len(first.text) <= 30 else first.text[:30] + "…"
    return Fault(f"the query begins with {shown}: only queries that read are run", guess, first.line)


def _writing(statement: list[Any]) -> Fault | None:
    """Finds `WITH x AS (DELETE FROM …` and `WITH … ) INSERT INTO …`."""
    words = ["" if _is_quoted(token) else token.text.upper() for token in statement]
    if words[0] != "WITH":
        return None
    depth = 0
    reading = False
    for index, word in enumerate(words):
        depth += {"(": 1, ")": -1}.get(word, 0)
        reading = reading or (depth == 0 and word in ("SELECT", "FROM", "VALUES", "TABLE"))
        before = words[index - 1] if index else ""
        in_with = before == "(" and _opens_with_body(words, index - 1)
        main = before == ")" and depth == 0 and not reading
        if (in_with or main) and _writes(words, index):
            return Fault(f"the query holds {word}: only queries that read are run", line=statement[index].line)
    return None


def _is_quoted(token: Any) -> bool:
    name: str = token.token_type.name
    return name == "IDENTIFIER" or name.endswith("STRING")


def _opens_with_body(words: list[str], parenthesis: int) -> bool:
    before = words[:parenthesis]
    while before and before[-1] in ("MATERIALIZED", "NOT"):
        before.pop()
    return bool(before) and before[-1] == "AS"


def _writes(words: list[str], index: int) -> bool:
    following = words[index + 1 : index + 10]
    if words[index] == "UPDATE":
        upto = next((n for n, word in enumerate(following) if word in (",", ")", "(")), len(following))
        return "SET" in following[:upto]
    return bool(following) and _WRITES.get(words[index]) == following[0]
