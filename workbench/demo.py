"""`make demo`: the example shop's story in five steps, on the embedded AWS, with the real commands.

Everything happens in a copy that is thrown away. The emulator watches this process and ends with it, however it ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from rich.markup import escape
from rich.rule import Rule

from workbench import show
from workbench.keys import text_of
from workbench.local import server
from workbench.local.arrivals import arrivals
from workbench.tables import Rows

MOST_ROWS = 9
ORDERS, CUSTOMERS = "new-orders", "welcome-customers"
NEXT = """What next?
  play with this example
    .venv/bin/rowcast --project examples/shop run new-orders --local
  write a folder of yours (README.md, "A first sync") and check it
    .venv/bin/rowcast --project DIR validate
  deploy it to AWS
    make deploy PROJECT=DIR"""


class Demo:
    """A copy of the example, and how many messages were looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = 0

    def rowcast(self, *arguments: str) -> None:
        show.out.print(f"[bold cyan]$ rowcast {' '.join(arguments)}[/]")
        self._run("-c", "from workbench.cli import main; main()", "--project", str(self.folder), *arguments)

    def data(self, step: str) -> None:
        show.out.print(f"[bold cyan]$ python make_data.py --step {step}[/]")
        self._run(str(self.folder / "make_data.py"), "--step", step)

    def _run(self, *arguments: str) -> None:
        """In a process group of its own, so that an interrupt ends whatever the command had started as well."""
        process = subprocess.Popen([sys.executable, *arguments], env=_environment(), process_group=0)
        try:
            status = process.wait()
        except KeyboardInterrupt:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if status != 0:
            raise SystemExit(f"That command ended with status {status}, which it should not. The demo stops here.")

    def arrived(self) -> list[dict[str, Any]]:
        """What arrived since the last look."""
        everything = list(arrivals(server.Home(self.folder).arrivals))
        new, self.seen = everything[self.seen :], len(everything)
        return new


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    started = time.monotonic()
    try:
        with throwaway_copy() as folder:
            _story(Demo(folder))
    except KeyboardInterrupt:
        show.err.print("\n[yellow]Interrupted; the embedded AWS is stopped and nothing is left.[/]")
        sys.exit(130)
    show.out.print(f"\n[green]Done[/] in {time.monotonic() - started:.0f} s. Everything is stopped and cleaned up.\n")
    show.out.print(escape(NEXT))


def _story(demo: Demo) -> None:
    demo.data("start")
    server.up(demo.folder, owner=os.getpid())  # started from here, so that this process sees it end
    demo.rowcast("local", "up")
    _step(1, "First runs: one sync skips what is there, the other sends it all")
    demo.rowcast("run", ORDERS, "--local")
    demo.rowcast("run", CUSTOMERS, "--local")
    _invocations(demo.arrived())
    _step(2, "Rows are added, changed and removed; a run sends exactly those")
    demo.data("day2")
    demo.rowcast("run", ORDERS, "--local")
    _events(demo.arrived())
    _step(3, "The target function rejects two rows, with reasons; they are owed")
    demo.rowcast("run", CUSTOMERS, "--local")
    _invocations(demo.arrived())
    demo.rowcast("rejects", CUSTOMERS)
    _step(4, "The cause is mended; the next run delivers them, as they are now")
    demo.data("mended")
    demo.rowcast("run", CUSTOMERS, "--local")
    _invocations(demo.arrived())
    demo.rowcast("rejects", CUSTOMERS)
    _step(5, "Nothing changed: nothing is sent")
    demo.rowcast("run", ORDERS, "--local")
    demo.rowcast("run", CUSTOMERS, "--local")
    show.out.print(f"  messages that arrived in this step: [bold]{len(demo.arrived())}[/]")


def _step(number: int, title: str) -> None:
    show.out.print()
    show.out.print(Rule(f"[bold]{number}. {title}[/]", align="left"))


def _events(records: list[dict[str, Any]]) -> None:
    rows = Rows("BUS", "SOURCE", "DETAIL TYPE", "DETAIL", wide={"DETAIL": 1})
    for one in _some_of_each(records):
        detail = text_of(one["detail"])
        rows.add_row(*map(escape, (one["bus"], one["source"], one["detail-type"], detail)))
    _print(rows, len(records), "events read back from the buses")


def _invocations(records: list[dict[str, Any]]) -> None:
    rows = Rows("OPERATION", "ROWS", "PAYLOAD", "REPLY", numbers=("ROWS",), wide={"PAYLOAD": 3, "REPLY": 2})
    for one in _some_of_each(records):
        sent = one["payload"]["rows"]
        reply = text_of(one["reply"])
        rows.add_row(show.coloured(one["operation"]), str(len(sent)), escape(text_of(sent)), escape(reply))
    _print(rows, len(records), f"invocation{'s' if len(records) != 1 else ''} of the function")


def _some_of_each(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first few of each operation, in the order of arrival."""
    each = max(1, MOST_ROWS // max(1, len({one["operation"] for one in records})))
    taken: dict[str, int] = {}
    chosen = []
    for one in records:
        taken[one["operation"]] = taken.get(one["operation"], 0) + 1
        if taken[one["operation"]] <= each:
            chosen.append(one)
    return chosen


def _print(rows: Rows, total: int, what: str) -> None:
    show.out.print(rows)
    more = total - len(rows)
    show.out.print(f"[dim]{total} {what}{f', {more} of them not shown' if more else ''}[/]")


@contextmanager
def throwaway_copy() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="rowcast-demo-"))
    folder = home / "shop"
    try:
        shutil.copytree(
            server.ROOT / "examples" / "shop", folder, ignore=shutil.ignore_patterns(".rowcast", "__pycache__")
        )
        yield folder
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # cleaning up takes a moment; a second Ctrl-C must not stop it
        server.down(folder)
        shutil.rmtree(home, ignore_errors=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "ROWCAST_LOCAL_OWNER": str(os.getpid())}


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
