"""Files under an S3 prefix, asked in SQL through DuckDB.

Only the files that the query names are copied to the scratch folder: as `read_csv('orders.csv')`, `FROM 'orders.csv'`,
`FROM orders` or a pattern. DuckDB then reads nothing outside that folder, and takes no setting from the query.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rowcast.arrival import normalize
from rowcast.errors import SourceFailed
from rowcast.ports import SourceResult
from rowcast.sources import files_errors
from rowcast.sources.files_sql import Reference, reader, references, rewritten, stem, with_arguments
from rowcast.sources.files_types import HEADER, options
from rowcast.sqltext import literal, own, quote

if TYPE_CHECKING:
    import duckdb

_VIEW = own("files")
_NUMBERED = re.compile(r"_[0-9]+$")
_SHOWS_PATHS = re.compile(r"filename|\b(read_text|read_blob|glob)\b", re.IGNORECASE)


class _Object(msgspec.Struct, frozen=True):
    """`name` is the key without the prefix."""

    name: str
    size: int
    modified: float


class S3FilesSource:
    """Owes what `ports.Source` says. `scratch` must have room for the files that a query names. `owner`: the source in
    rowcast.yaml whose folder in the project was copied to the prefix, "" where it was none."""

    def __init__(self, *, client: Any, bucket: str, prefix: str, scratch: Path, owner: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._folder = scratch / "source"
        self._owner = owner

    @contextmanager
    def query(self, query: str, connection: duckdb.DuckDBPyConnection) -> Iterator[SourceResult]:
        import duckdb

        found = references(query, connection)
        objects = self._objects()
        wanted = {reference: self._matches(reference, objects) for reference in found}
        self._fetch({item.name: item for matches in wanted.values() for item in matches}.values())
        _lock(connection, self._folder.parent)
        try:
            for reference, matches in wanted.items():
                if matches and not _is_path(reference):
                    scan = _scan(reader(matches[0].name), self._paths(matches))
                    _make_view(reference.name, f"SELECT * FROM {scan}", connection)
            text = rewritten(query, found, lambda reference: self._spelling(reference, wanted[reference]))
            text = with_arguments(text, partial(options, connection), connection)
            connection.execute(f"CREATE TEMP VIEW {_VIEW} AS {text}")
            types = _types(text, connection)
            expressions, columns = normalize(types)
            view = self._without_folder(types) if _SHOWS_PATHS.search(query) else _VIEW
            yield SourceResult(relation=f"(SELECT {', '.join(expressions)} FROM {view})", columns=columns)
        except duckdb.Error as error:
            queried = {item.name for matches in wanted.values() for item in matches}
            raise files_errors.failure(error, queried, [item.name for item in objects], self._folder) from None
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)  # the disk is needed for what was made of it

    def _without_folder(self, types: list[tuple[str, str]]) -> str:
        """The view with paths as in the source: those of the scratch folder would differ from run to run."""
        folder = literal(f"{self._folder}/")
        texts = [quote(name) for name, kind in types if kind == "VARCHAR"]
        replaced = ", ".join(f"replace({name}, {folder}, '') AS {name}" for name in texts)
        return f"(SELECT * REPLACE ({replaced}) FROM {_VIEW})" if texts else _VIEW

    def _objects(self) -> list[_Object]:
        from botocore.exceptions import BotoCoreError, ClientError

        place = f"s3://{self._bucket}/{self._prefix}"
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            found = [
                _Object(item["Key"][len(self._prefix) :], item["Size"], item["LastModified"].timestamp())
                for page in pages
                for item in page.get("Contents", ())
            ]
        except ClientError as error:
            raise SourceFailed(f"Cannot list {place}: {error.response['Error']['Code']}.") from None
        except BotoCoreError as error:
            raise SourceFailed(f"Cannot list {place}: {type(error).__name__}.") from None
        objects = [item for item in found if _is_plain(item.name)]
        if not objects:
            if self._owner:
                folder = f"the folder that source {self._owner} has in rowcast.yaml"
                raise SourceFailed(f"There are no files in {folder}, of which a copy would be under {place}.")
            raise SourceFailed(f"There are no files under {place}.")
        return objects

    def _matches(self, reference: Reference, objects: Sequence[_Object]) -> list[_Object]:
        if not _is_path(reference):
            return _table(reference.name, objects)
        name = self._relative(reference.name)
        pattern = _pattern(name)
        matches = [item for item in objects if pattern.fullmatch(item.name)]
        if not matches and "/" not in name:
            matches = [item for item in objects if pattern.fullmatch(item.name.rsplit("/", 1)[-1])]
            if len(matches) > 1:
                raise SourceFailed(f"Several files are called {name}: {_names(matches)}. Write the whole path.")
        if not matches:
            raise SourceFailed(f"No file matches '{reference.name}'. There are: {_names(objects)}.")
        return matches

    def _relative(self, name: str) -> str:
        own = f"s3://{self._bucket}/{self._prefix}"
        return name.removeprefix(own).removeprefix("./")

    def _fetch(self, objects: Any) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        self._folder.mkdir(parents=True, exist_ok=True)
        needed, free = sum(item.size for item in objects), shutil.disk_usage(self._folder).free
        if needed > free:
            raise SourceFailed(f"The files that the query names take {needed:,} bytes, and there is room for {free:,}.")
        for item in objects:
            path = self._folder / item.name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._client.download_file(self._bucket, self._prefix + item.name, str(path))
                os.utime(path, (item.modified, item.modified))
            except (BotoCoreError, ClientError) as error:
                raise SourceFailed(f"Cannot read {item.name} from S3 ({type(error).__name__}).") from None

    def _paths(self, matches: list[_Object]) -> str:
        paths = [literal(str(self._folder / item.name)) for item in matches]
        return paths[0] if len(paths) == 1 else f"[{', '.join(paths)}]"

    def _spelling(self, reference: Reference, matches: list[_Object]) -> str | None:
        """What stands in the query in place of the reference; None leaves it."""
        if not _is_path(reference):
            return None
        if len(matches) == 1 and not set("*?[") & set(reference.name):
            path = literal(str(self._folder / matches[0].name))
        else:
            path = literal(str(self._folder / self._relative(reference.name)))
        if reference.function:
            return path
        function = reader(matches[0].name)
        if not function:
            raise SourceFailed(f"'{reference.name}' is of no known format: read it with read_csv or another function.")
        alias = "" if reference.alias else f" AS {quote(stem(reference.name))}"
        return _scan(function, path) + alias


def _types(query: str, connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Of the columns of the query, which is the view's: from the catalog, since DESCRIBE may look at the files again.
    But where the query names two columns alike, the view has numbered them."""
    catalog = f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{_VIEW}' ORDER BY column_index"
    found = connection.execute(catalog).fetchall()
    if any(_NUMBERED.search(row[0]) for row in found):
        found = connection.execute(f"DESCRIBE {query}").fetchall()
    return [(row[0], row[1]) for row in found]


def _scan(function: str, paths: str) -> str:
    return f"{function}({paths}{HEADER if function == 'read_csv' else ''})"


def _make_view(name: str, query: str, connection: duckdb.DuckDBPyConnection) -> None:
    text = with_arguments(query, partial(options, connection), connection)
    connection.execute(f"CREATE TEMP VIEW {quote(name)} AS {text}")


def _is_plain(name: str) -> bool:
    """Keeps folder markers, hidden files, and names that would leave the scratch folder out."""
    return (
        bool(name) and not name.endswith("/") and not any(part.startswith(".") or not part for part in name.split("/"))
    )


def _is_path(reference: Reference) -> bool:
    return bool(reference.function) or (reference.end > reference.start and bool(reader(reference.name)))


def _table(name: str, objects: Sequence[_Object]) -> list[_Object]:
    """The file, or the folder of files of one format, that a bare table name means; none when it means neither."""
    known = [item for item in objects if reader(item.name)]
    files = [item for item in known if stem(item.name).lower() == name.lower()]
    if len(files) > 1:
        raise SourceFailed(f"The table name {name} fits several files: {_names(files)}. Write FROM '<path>'.")
    if files:
        return files
    folder = [item for item in known if item.name.lower().startswith(f"{name.lower()}/")]
    if len({reader(item.name) for item in folder}) > 1:
        raise SourceFailed(
            f"The folder {name} holds files of several formats: {_names(folder)}. Write FROM '<pattern>'."
        )
    return folder


def _pattern(name: str) -> re.Pattern[str]:
    """DuckDB's globs: * and ? within a folder, ** across folders, [...] one of several characters."""
    parts = re.split(r"(\*\*/?|\*|\?|\[[^\]]*\])", name)
    spelled = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(
            spelled.get(part) or (part.replace("[!", "[^") if part.startswith("[") else re.escape(part))
            for part in parts
        )
    )


def _names(objects: Iterable[_Object]) -> str:
    return files_errors.names([item.name for item in objects])


def _lock(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """From here on the connection reaches no file outside `folder`, and no statement can change that.

    Casts of the query are done by the query: as a reader's types they would fail as the file's fault, TRY_CAST too.
    """
    row = connection.execute("SELECT current_setting('enable_external_access')").fetchone()
    if row and row[0]:
        connection.execute(f"SET allowed_directories = [{literal(str(folder))}]")
        connection.execute("SET enable_external_access = false")
    connection.execute("SET disabled_optimizers = 'type_pushdown'")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET lock_configuration = true")
