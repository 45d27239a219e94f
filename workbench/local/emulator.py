"""The emulator's process: ministack with our mends, on one loopback port, until SIGTERM.

Started by `workbench.local.server` as `python -m workbench.local.emulator`. It holds the lock file, which says its
process id, for as long as it lives, so that nobody ever takes another process for it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.local import mends
from workbench.local.server import SAVE


def main() -> None:
    """Answers when the process was told to stop and its state is saved."""
    home = Path(os.environ["ROWCAST_LOCAL_HOME"])
    lock = (home / "emulator.lock").open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    _raise_file_limit()
    mends.apply(home)
    asyncio.run(_serve(int(os.environ["GATEWAY_PORT"])))
    _end_lambda_workers()
    # Threads of unfinished executions must not keep the process: the state is saved and nothing they do counts now.
    sys.stdout.flush()
    os._exit(0)


async def _serve(port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_watch, args=(lambda: loop.call_soon_threadsafe(stop.set),), daemon=True).start()
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"
    saver = Saver(app.app)
    saving = asyncio.create_task(saver.save_when_idle())
    await serve(saver, config, shutdown_trigger=stop.wait)
    saving.cancel()


class Saver:
    """Writes the state to disk when the emulator is idle, so that a kill costs what happened last and no more; and when
    it is asked to, at SAVE.

    ministack saves at a graceful stop alone. The saving holds up the loop that serves requests: no request changes
    anything meanwhile. Logs and metrics are left to the stop.
    """

    IDLE_SECONDS = 0.5
    LATEST_SECONDS = 15.0
    LEFT_OUT = frozenset({"cloudwatch", "cloudwatch_logs"})

    def __init__(self, app: Any) -> None:
        self._app = app
        self._requests = 0
        self._saved = 0
        self._last_request = time.monotonic()
        self._last_save = time.monotonic()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == SAVE:
            self._save()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        self._requests += 1
        self._last_request = time.monotonic()
        await self._app(scope, receive, send)

    async def save_when_idle(self) -> None:
        while True:
            await asyncio.sleep(self.IDLE_SECONDS / 2)
            now = time.monotonic()
            idle, overdue = now - self._last_request, now - self._last_save
            if self._requests != self._saved and (idle >= self.IDLE_SECONDS or overdue >= self.LATEST_SECONDS):
                self._save()

    def _save(self) -> None:
        from ministack import app
        from ministack.core.persistence import save_all

        self._saved = self._requests
        services = app._build_persistence_save_dict()
        save_all({name: state for name, state in services.items() if name not in self.LEFT_OUT})
        self._last_save = time.monotonic()


def _watch(stop: Callable[[], object]) -> None:
    """Ends the emulator when the process it was started for is gone, however that ended, or its folder is deleted."""
    owner = int(os.environ.get("ROWCAST_LOCAL_OWNER", "0"))
    lock = Path(os.environ["ROWCAST_LOCAL_HOME"]) / "emulator.lock"
    while True:
        time.sleep(0.5)
        if not lock.exists():
            _end_lambda_workers()
            os._exit(0)  # at once: saving would make the folder anew
        if owner and not _lives(owner):
            stop()
            return


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _end_lambda_workers() -> None:
    from ministack.core import lambda_runtime

    lambda_runtime.reset()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
