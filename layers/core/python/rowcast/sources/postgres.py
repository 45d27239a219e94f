"""Servers that speak PostgreSQL's protocol: ADBC streams the result to DuckDB as Arrow, without pyarrow.

One read-only, repeatable-read transaction per query. The server is first asked what types the result has, then for
each column in a form that arrives exactly; a column that has none is refused before any row is read.
"""

from __future__ import annotations

import ctypes
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowcast.arrival import check_names, refusal_in
from rowcast.definition import PostgresSource as Definition
from rowcast.errors import SourceFailed
from rowcast.ports import SourceResult
from rowcast.sources import postgres_errors, postgres_sql

if TYPE_CHECKING:
    import duckdb

_STREAM = "rowcast_postgres"
_BATCH_BYTES = 4 * 1024 * 1024
_CONNECT_SECONDS = 15
_BUNDLES = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")


class PostgresQuerySource:
    """Owes what `ports.Source` says. `password` is the resolved secret; None when the server asks for none."""

    def __init__(self, definition: Definition, password: str | None) -> None:
        self._definition = definition
        self._password = password

    @contextmanager
    def query(self, query: str, connection: duckdb.DuckDBPyConnection) -> Iterator[SourceResult]:
        import duckdb

        statement = postgres_sql.one_statement(query)
        with self._session() as session:
            names = session.names(statement)
            check_names(names)
            plan = postgres_sql.plan(names, session.types(statement, len(names), connection))
            with session.stream(postgres_sql.data_query(statement, plan.asked, len(names))) as stream:
                connection.register(_STREAM, stream)
                try:
                    yield SourceResult(relation=f"(SELECT {plan.made} FROM {_STREAM})", columns=plan.columns)
                except duckdb.Error as error:
                    raise _reading_failed(error) from None
                finally:
                    connection.unregister(_STREAM)

    @contextmanager
    def _session(self) -> Iterator[_Session]:
        from adbc_driver_manager import AdbcConnection, Error
        from adbc_driver_postgresql import connect

        with ExitStack() as stack:
            try:
                database = stack.enter_context(connect(self._conninfo(stack)))
                connection = stack.enter_context(AdbcConnection(database))
            except Error as error:
                raise postgres_errors.connection_failed(error, self._place(), self._password) from None
            session = _Session(connection)
            session.begin(self._definition.statement_timeout_seconds)
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

    def begin(self, timeout_seconds: int) -> None:
        for text in (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            f"SET LOCAL statement_timeout = {timeout_seconds * 1000}",
            "SET LOCAL TIME ZONE 'UTC'",
            "SET LOCAL DateStyle = 'ISO, YMD'",
            "SET LOCAL IntervalStyle = 'iso_8601'",
            "SET LOCAL extra_float_digits = 1",
            "SELECT 1",  # after the first query the transaction can no longer be made to write
        ):
            with self._statement(text) as statement:
                statement.set_options(**{"adbc.postgresql.use_copy": "false"})
                statement.execute_update()

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


class _ArrowSchema(ctypes.Structure):
    """Arrow's C data interface, as far as names go."""


_ArrowSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowSchema))),
]


def _child_names(handle: Any) -> list[str]:
    schema = ctypes.cast(handle.address, ctypes.POINTER(_ArrowSchema)).contents
    return [(schema.children[index].contents.name or b"").decode() for index in range(schema.n_children)]
