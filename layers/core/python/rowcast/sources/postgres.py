"""Servers that speak PostgreSQL's protocol: ADBC streams the result to DuckDB as Arrow, without pyarrow.

One read-only, repeatable-read transaction per query. The server is first asked what types the result has, then for
each column in a form that arrives exactly; a column that has none is refused before any row is read.
"""

from __future__ import annotations

import ctypes
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowcast.arrival import check_names, refusal_in
from rowcast.arrow import Schema
from rowcast.definition import PostgresSource as Definition
from rowcast.errors import SourceFailed
from rowcast.models import from_json
from rowcast.ports import SourceResult
from rowcast.sources import postgres_errors, postgres_sql
from rowcast.sources.merged import Merged
from rowcast.sources.postgres_split import Split, explaining_query, is_range_scan, judging_query, split
from rowcast.sqltext import literal

if TYPE_CHECKING:
    import duckdb

_STREAM = "rowcast_postgres"
_BATCH_BYTES = 1 * 1024 * 1024
_CONNECT_SECONDS = 15
_BUNDLES = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")


class PostgresQuerySource:
    """Owes what `ports.Source` says. `password` is the resolved secret; None when the server asks for none.

    `tell` hears how many readers share a query, and why not as many as were asked for.
    """

    def __init__(self, definition: Definition, password: str | None, tell: Callable[[str], None] | None = None) -> None:
        self._definition = definition
        self._password = password
        self._tell = tell or (lambda _: None)

    @contextmanager
    def query(self, query: str, connection: duckdb.DuckDBPyConnection) -> Iterator[SourceResult]:
        import duckdb

        statement = postgres_sql.one_statement(query)
        with ExitStack() as stack:
            readers = self._readers(statement, connection, stack)
            session = readers[0][0]
            names = session.names(statement)
            check_names(names)
            plan = postgres_sql.plan(names, session.types(statement, len(names), connection))
            queries = [(reader, postgres_sql.data_query(part, plan.asked, len(names))) for reader, part in readers]
            streams = [stack.enter_context(reader.stream(data)) for reader, data in queries]
            connection.register(_STREAM, streams[0] if len(streams) == 1 else stack.enter_context(Merged(streams)))
            stack.callback(connection.unregister, _STREAM)
            try:
                yield SourceResult(relation=f"(SELECT {plan.made} FROM {_STREAM})", columns=plan.columns)
            except duckdb.Error as error:
                raise _reading_failed(error) from None

    def _readers(
        self, statement: str, connection: duckdb.DuckDBPyConnection, stack: ExitStack
    ) -> list[tuple[_Session, str]]:
        """Who reads which part, the first with the transaction whose snapshot all share."""
        first = stack.enter_context(self._session())
        if self._definition.readers == 1:
            return [(first, statement)]
        cut = split(statement)
        if cut is None:
            self._tell("One reader: only a plain SELECT over one table is divided.")
            return [(first, statement)]
        with ExitStack() as more:
            try:
                parts = first.parts(cut, self._definition.readers, connection)
                snapshot = first.export(connection) if parts else ""
                others = [more.enter_context(self._session(snapshot)) for _ in parts[1:]]
            except SourceFailed as error:
                self._tell(f"One reader: a snapshot cannot be shared here. {error}")
                first.begin_again(self._definition.statement_timeout_seconds)
                return [(first, statement)]
            stack.push(more.pop_all())
        if not parts:
            self._tell("One reader: the table is small, or the server may not see each part of the query alike.")
            return [(first, statement)]
        self._tell(f"{len(parts)} readers share one snapshot.")
        return list(zip([first, *others], parts, strict=True))

    @contextmanager
    def _session(self, snapshot: str = "") -> Iterator[_Session]:
        from adbc_driver_manager import AdbcConnection, Error
        from adbc_driver_postgresql import connect

        with ExitStack() as stack:
            try:
                database = stack.enter_context(connect(self._conninfo(stack)))
                connection = stack.enter_context(AdbcConnection(database))
            except Error as error:
                raise postgres_errors.connection_failed(error, self._place(), self._password) from None
            session = _Session(connection)
            session.begin(self._definition.statement_timeout_seconds, snapshot)
            yield session

    def _place(self) -> str:
        source = self._definition
        return f'source "{source.name}" ({source.user} at {source.host}:{source.port}/{source.database})'

    def _conninfo(self, stack: ExitStack) -> str:
        source = self._definition
        settings = {
            "host": source.host,
            "port": str(source.port),
            "dbname": source.database,
            "user": source.user,
            "password": self._password or "",
            "connect_timeout": str(_CONNECT_SECONDS),
            "application_name": "rowcast",
            "client_encoding": "UTF8",
            "gssencmode": "disable",
            "sslmode": {"verify": "verify-full", "require": "require", "off": "disable"}[source.tls],
            "keepalives_idle": "30",
            "tcp_user_timeout": "60000",
        }
        if source.tls == "verify":
            settings["sslrootcert"] = self._authorities(stack)
        return " ".join(f"{name}='{_escaped(value)}'" for name, value in settings.items() if value)

    def _authorities(self, stack: ExitStack) -> str:
        """A file of trusted certificates: the driver's own libraries do not know where this system keeps its."""
        if self._definition.tls_ca is not None:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "authority.pem"
            file.write_text(self._definition.tls_ca)
            return str(file)
        for candidate in (ssl.get_default_verify_paths().cafile, *_BUNDLES):
            if candidate is not None and Path(candidate).is_file():
                return candidate
        raise SourceFailed(f"No list of trusted certificates was found for {self._place()}: set tls_ca to a PEM text.")


class _Session:
    """One connection in one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def begin(self, timeout_seconds: int, snapshot: str = "") -> None:
        """`snapshot`: one that another session exported, and whose moment this one is to see."""
        for text in (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            *([f"SET TRANSACTION SNAPSHOT {literal(snapshot)}"] if snapshot else []),
            f"SET LOCAL statement_timeout = {timeout_seconds * 1000}",
            "SET LOCAL TIME ZONE 'UTC'",
            "SET LOCAL DateStyle = 'ISO, YMD'",
            "SET LOCAL IntervalStyle = 'iso_8601'",
            "SET LOCAL extra_float_digits = 1",
            "SELECT 1",  # after the first query the transaction can no longer be made to write
        ):
            self._do(text)

    def begin_again(self, timeout_seconds: int) -> None:
        """After a statement that failed, which no other may follow in its transaction."""
        self._do("ROLLBACK")
        self.begin(timeout_seconds)

    def _do(self, text: str) -> None:
        with self._statement(text) as statement:
            statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            statement.execute_update()

    def parts(self, cut: Split, readers: int, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """The query's parts; none when it is better read by one. Asking for its plan locks the table against being
        written anew, which would move its rows to other pages."""
        pages = self._rows(judging_query(cut), connection)
        parts = cut.parts(pages[0][0], readers) if pages else []
        if not parts:
            return []
        plans = [from_json(self._rows(explaining_query(part), connection)[0][0]) for part in (parts[0], parts[-1])]
        return parts if all(map(is_range_scan, plans)) else []

    def export(self, connection: duckdb.DuckDBPyConnection) -> str:
        return str(self._rows("SELECT pg_catalog.pg_export_snapshot() AS name", connection)[0][0])

    def _rows(self, query: str, connection: duckdb.DuckDBPyConnection) -> list[Any]:
        with self._statement(query) as statement:
            statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            stream, _ = statement.execute_query()
            connection.register(_STREAM, stream)
            try:
                return connection.execute(f"SELECT * FROM {_STREAM}").fetchall()
            finally:
                connection.unregister(_STREAM)

    def names(self, query: str) -> list[str]:
        """Has the server parse the query alone, which also finds a second statement, and answers its columns' names."""
        with self._statement(query, parsing=True) as statement:
            return _child_names(statement.execute_schema())

    def types(self, query: str, count: int, connection: duckdb.DuckDBPyConnection) -> list[postgres_sql.ResultType]:
        if not count:
            raise postgres_errors.not_a_select()
        with self._statement(postgres_sql.types_query(query, count), wrapped=True) as statement:
            stream, _ = statement.execute_query()
            connection.register(_STREAM, stream)
            try:
                rows = connection.execute(f"SELECT * FROM {_STREAM}").fetchall()
            finally:
                connection.unregister(_STREAM)
        return [postgres_sql.ResultType(*row) for row in rows]

    @contextmanager
    def stream(self, query: str) -> Iterator[Any]:
        with ExitStack() as stack:
            with self._statement(query, keep=stack) as statement:
                statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": _BATCH_BYTES})
                stream, _ = statement.execute_query()
            yield stream

    @contextmanager
    def _statement(
        self, text: str, *, parsing: bool = False, wrapped: bool = False, keep: ExitStack | None = None
    ) -> Iterator[Any]:
        """`wrapped`: the query stands inside ours, where only a SELECT may; it parsed well on its own before."""
        from adbc_driver_manager import AdbcStatement, Error

        with ExitStack() as own:
            statement = (keep or own).enter_context(AdbcStatement(self._connection))
            try:
                statement.set_sql_query(text)
                yield statement
            except Error as error:
                if wrapped and error.sqlstate in ("42601", "0A000"):
                    raise postgres_errors.not_a_select() from None
                raise postgres_errors.statement_failed(error, parsing=parsing) from None


def _reading_failed(error: Exception) -> SourceFailed:
    text = str(error)
    if _STREAM in text:
        return postgres_errors.stream_failed(text.split("failed: ", 1)[-1])
    if ours := refusal_in(text):
        return SourceFailed(ours)
    return SourceFailed(f"The result could not be stored ({type(error).__name__}).")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _child_names(handle: Any) -> list[str]:
    schema = ctypes.cast(handle.address, ctypes.POINTER(Schema)).contents
    return [(schema.children[index].contents.name or b"").decode() for index in range(schema.n_children)]
