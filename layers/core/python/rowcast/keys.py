"""The primary key of a result, and the other columns that a sync names: what must hold before anything is compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rowcast import columns as sql
from rowcast.definition import Definition
from rowcast.engine import run
from rowcast.errors import SourceFailed
from rowcast.models import Column, Manifest
from rowcast.sqltext import own, place

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

KEY_EXAMPLES = 3


def key_columns(definition: Definition, columns: Sequence[Column]) -> list[Column]:
    """Those of the primary key. Raises SourceFailed as `check_names` does."""
    by_name = {column.name: column for column in columns}
    check_names(definition, list(by_name))
    return [by_name[name] for name in definition.primary_key]


def check_names(definition: Definition, names: Sequence[str]) -> None:
    """Raises SourceFailed if the key, the changed trigger or the mask names a column that is none of these.

    A trigger on a column that is not there would pass over all changes for good, and a mask would hide nothing.
    """
    changed = definition.triggers.changed
    for what, field, wanted in (
        ("primary key", "model.primary_key", definition.primary_key),
        ("changed trigger", "triggers.changed.columns", (changed and changed.columns) or ()),
        ("mask", "mask", definition.mask),
    ):
        if missing := [name for name in wanted if name not in names]:
            # A broken CSV file has values where its names should be.
            there = f"; its columns are {', '.join(names)}" if all(map(str.isidentifier, names)) else ""
            raise SourceFailed(
                f"The {what} of {definition.sync} names {', '.join(missing)}, which the query's result does not have"
                f"{there}. Correct `{field}` or select the column."
            )


_EXACT_NUMBERS = {"integer", "decimal"}


def check_same_key(definition: Definition, baseline: Manifest) -> None:
    """Raises SourceFailed, with the ways on, if the key is of other columns than in the baseline."""
    if tuple(baseline.primary_key) != tuple(definition.primary_key):
        raise SourceFailed(
            f"The primary key of {definition.sync} changed from {', '.join(baseline.primary_key)} to "
            f"{', '.join(definition.primary_key)}; rows can't be followed across that. {_rekey(definition)}"
        )


def check_key_types(definition: Definition, columns: Sequence[Column], baseline: Manifest) -> None:
    """Raises SourceFailed, with the ways on, if a column of the key is of a kind that it was not in the baseline."""
    before = {column.name: column.type for column in baseline.columns}
    for column in key_columns(definition, columns):
        old = before[column.name]
        if old != column.type and not {old, column.type} <= _EXACT_NUMBERS:
            raise SourceFailed(
                f"Key column {column.name} of {definition.sync} changed its type from {old} to {column.type}; every "
                f"row would look removed and added. Cast it back to {old} in the query. {_rekey(definition)}"
            )


def _rekey(definition: Definition) -> str:
    return (
        f"Run `rowcast rebaseline {definition.sync} --yes` to follow the rows by the new key from now on: nothing is "
        "sent, and what differs or is owed never will be. Or give the sync a new name."
    )


def check_keys(
    definition: Definition,
    columns: Sequence[Column],
    connection: duckdb.DuckDBPyConnection,
    *,
    nulls_in: Iterable[Sequence[Path]],
    shared_in: Iterable[Sequence[Path]],
) -> None:
    """Raises SourceFailed if a row has a null in its key, or shares its key. Each is looked for in the files of
    those partitions that may hold it. Examples are hashes, since keys are row values."""
    keys = key_columns(definition, columns)
    whole, key_hash, fingerprint = sql.not_null(keys), sql.key_hash(keys), sql.fingerprint(columns)
    row, key, rows = own("fingerprint"), own("key_hash"), own("rows")
    nulls = shared = 0
    null_rows: list[str] = []
    shared_keys: list[str] = []
    first = f"[1:{KEY_EXAMPLES}]"
    for files in nulls_in:
        [(count, examples)] = run(
            connection,
            f"SELECT count(*), list({row}::VARCHAR ORDER BY {row}){first} FROM (SELECT {fingerprint} AS {row}"
            f" FROM read_parquet({_list(files)}) WHERE NOT ({whole}))",
        )
        nulls, null_rows = nulls + count, null_rows + (examples or [])
    for files in shared_in:
        [(count, examples)] = run(
            connection,
            f"SELECT coalesce(sum({rows}), 0)::BIGINT, list({key}::VARCHAR ORDER BY {key}){first} FROM"
            f" (SELECT {key_hash} AS {key}, count(*) AS {rows} FROM read_parquet({_list(files)}) WHERE {whole}"
            f" GROUP BY {key} HAVING {rows} > 1)",
        )
        shared, shared_keys = shared + count, shared_keys + (examples or [])
    if nulls or shared:
        what = [f"{nulls} with a null"] * bool(nulls) + [f"{shared} that share a key"] * bool(shared)
        examples = [f"row hashes {_some(null_rows)}"] * bool(nulls) + [f"key hashes {_some(shared_keys)}"] * bool(
            shared
        )
        raise SourceFailed(
            f"{definition.sync} has rows without a key of their own in ({', '.join(definition.primary_key)}): "
            f"{' and '.join(what)} (for example {', '.join(examples)}). Nothing was sent. "
            f"Make the query give each key once. To see them: {_lookup(keys)}"
        )


def _lookup(keys: Sequence[Column]) -> str:
    """The statement that shows the keys to people who may see them."""
    names = [sql.quote(column.name) for column in keys]
    empty = "".join(f" OR {name} IS NULL" for name in names)
    named = ", ".join(names)
    return f"SELECT {named}, count(*) FROM (the query) AS asked GROUP BY {named} HAVING count(*) > 1{empty}"


def _list(files: Sequence[Path]) -> str:
    return f"[{', '.join(map(place, files))}]"


def _some(hashes: list[str]) -> str:
    return ", ".join(text.replace("-", "") for text in hashes[:KEY_EXAMPLES])
