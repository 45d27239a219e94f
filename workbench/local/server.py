"""Starts, finds and ends the emulator of one project folder.

`<project>/.rowcast/` holds everything: `local.json` (where it listens), `emulator.lock` (held while it lives), its
state, its log and what arrived. Two concurrent calls wait for each other on `lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rowcast.errors import RowcastError

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
START_SECONDS = 30.0
STOP_SECONDS = 20.0
SAVE_SECONDS = 120.0
SAVE = "/_rowcast/save"
STOPPED = "The embedded AWS stopped. What a run had begun the next one finishes; to start it again: rowcast local up"
LOG_BYTES_KEPT = 5_000_000


class LocalAws(msgspec.Struct, kw_only=True):
    """`local.json`: how to reach the emulator, and what is deployed in it. `pid` None: it was stopped."""

    pid: int | None
    port: int
    region: str = DEFAULT_REGION
    account: str = ACCOUNT
    started_at: float = 0.0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Home:
    """The `.rowcast` folder of a project."""

    def __init__(self, project: Path) -> None:
        self.project = project.resolve()
        self.path = self.project / ".rowcast"
        self.file = self.path / "local.json"
        self.log = self.path / "emulator.log"
        self.arrivals = self.path / "arrivals.jsonl"

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # its state holds secrets and rows
        ignore = self.path / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    def read(self) -> LocalAws | None:
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=LocalAws)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def write(self, state: LocalAws) -> None:
        write_whole(self.file, msgspec.json.format(msgspec.json.encode(state)))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time starts, deploys or stops."""
        self.make()
        with (self.path / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def emulator(self) -> int | None:
        """The process that holds the emulator's lock: also one that is starting or ending."""
        try:
            file = (self.path / "emulator.lock").open("r+")
        except FileNotFoundError:
            return None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
            return None


def write_whole(path: Path, data: bytes) -> None:
    """Readers see the old content or the new one, never a part."""
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)


def running(project: Path) -> LocalAws | None:
    """The project's emulator if it is up."""
    home = Home(project)
    state = home.read()
    return state if state and state.pid and state.pid == home.emulator() else None


def up(project: Path, owner: int | None = None) -> LocalAws:
    """Starts the emulator unless it runs. With `owner` it ends by itself when that process is gone."""
    home = Home(project)
    with home.locked():
        return running(project) or _start(home, owner)


def save(local: LocalAws) -> None:
    """Answers when the emulator's state is on disk. One of an earlier release may run and not know this."""
    try:
        urllib.request.urlopen(local.endpoint + SAVE, timeout=SAVE_SECONDS).close()  # noqa: S310 - our own
    except urllib.error.HTTPError:
        return
    except OSError as error:
        raise RowcastError(STOPPED) from error


def down(project: Path) -> bool:
    """Saves the state and ends the emulator with all its workers; False when none ran."""
    home = Home(project)
    if not home.path.exists():
        return False
    with home.locked():
        return _stop(home)


def reset(project: Path) -> None:
    """Ends the emulator and forgets its state and what arrived."""
    home = Home(project)
    if not home.path.exists():
        return
    with home.locked():
        _stop(home)
        for name in ("state", "s3", "tmp", "runtime"):
            shutil.rmtree(home.path / name, ignore_errors=True)
        for name in ("local.json", "arrivals.jsonl", "deployed.json"):
            (home.path / name).unlink(missing_ok=True)


def _start(home: Home, owner: int | None) -> LocalAws:
    before = home.read()
    _cut_log(home.log)
    shutil.rmtree(home.path / "tmp", ignore_errors=True)
    (home.path / "tmp").mkdir()
    port = _free_port(before.port if before else 0)
    with home.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.local.emulator"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(home, port, owner),
            cwd=home.path,
            start_new_session=True,
        )
    region = before.region if before else os.environ.get("ROWCAST_LOCAL_REGION", DEFAULT_REGION)
    state = LocalAws(pid=process.pid, port=port, started_at=time.time(), region=region)
    try:
        _wait_until_healthy(process, state, home)
    except BaseException:
        _kill_group(process.pid)
        process.wait()
        raise
    _started[process.pid] = process
    home.write(state)
    return state


_started: dict[int, subprocess.Popen[bytes]] = {}


def _environment(home: Home, port: int, owner: int | None) -> dict[str, str]:
    """What the emulator and every function in it inherit: nothing of the user's own, secrets least of all."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ") if name in os.environ}
    passed = {name: value for name, value in os.environ.items() if name.startswith("ROWCAST_LOCAL_")}
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(home.path / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(home.path / "s3"),
        "LAMBDA_WARM_TTL_SECONDS": "60",
        "DOCKER_HOST": "unix:///nonexistent",  # an engine of the user's is none of our business
        "TMPDIR": str(home.path / "tmp"),
        "ROWCAST_LOCAL_HOME": str(home.path),
        "ROWCAST_LOCAL_LAYERS": str(ROOT / ".cache" / "unpacked"),
    }
    if owner is not None:
        settings["ROWCAST_LOCAL_OWNER"] = str(owner)
    return {**kept, **passed, **settings}


def _free_port(wanted: int) -> int:
    """The port of the last time where possible, so that addresses that were handed out stay good."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RowcastError("No port on 127.0.0.1 is free.")


def _wait_until_healthy(process: subprocess.Popen[bytes], state: LocalAws, home: Home) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{state.endpoint}/_ministack/health", timeout=2):  # noqa: S310 - our own
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise RowcastError(f"The embedded AWS did not start; its log is {home.log}:\n{_tail(home.log)}")


def _stop(home: Home) -> bool:
    pid = home.emulator()
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while home.emulator() == pid and time.monotonic() < deadline:
            time.sleep(0.02)
        _kill_group(pid)
        if child := _started.pop(pid, None):
            child.wait()
    if state := home.read():
        state.pid = None
        home.write(state)
    shutil.rmtree(home.path / "tmp", ignore_errors=True)
    return pid is not None


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _cut_log(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES_KEPT:
        log.write_bytes(log.read_bytes()[-LOG_BYTES_KEPT // 5 :])


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""
