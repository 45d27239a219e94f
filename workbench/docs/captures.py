"""`make captures`: pictures of what commands print on the example shop; docs/reference/screens.md shows them."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from workbench.demo import CUSTOMERS, ORDERS, throwaway_copy
from workbench.local import server

OUT = server.ROOT / "docs" / "captures"
WIDTH = 116
REJECTED = "928768"
MORE = "\x1b[2m…\x1b[0m"
THEME = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    [
        (72, 79, 88),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
    [
        (110, 118, 129),
        (255, 161, 152),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (255, 255, 255),
    ],
)
FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font: {char_height}px/{line_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>
<g transform="translate({terminal_x}, 12)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    OUT.mkdir(exist_ok=True)
    with throwaway_copy() as folder:
        server.up(folder, owner=os.getpid())
        _python(str(folder / "make_data.py"), "--step", "start")
        _rowcast(folder, "run", CUSTOMERS, "--local")
        _rowcast(folder, "run", ORDERS, "--local")
        _python(str(folder / "make_data.py"), "--step", "day2")
        _capture(folder, "plan", ORDERS, shorten=_two_of_each)
        _capture(folder, "run", ORDERS)
        _capture(folder, "events", "--sync", ORDERS, shorten=_ends)
        _rowcast(folder, "run", CUSTOMERS, "--local")
        _capture(folder, "rejects", CUSTOMERS)
        _capture(folder, "rejects", CUSTOMERS, "--rows", name="rejects-rows")
        _capture(folder, "doctor", CUSTOMERS)
        _python(str(folder / "make_data.py"), "--step", "mended")
        _rowcast(folder, "run", CUSTOMERS, "--local")
        _capture(folder, "history", CUSTOMERS, "--key", REJECTED)
        _capture(folder, "calls", CUSTOMERS, "--key", REJECTED)
        _capture(folder, "preview", CUSTOMERS, "--key", REJECTED)
        _capture(folder, "runs")
        _capture(folder, "cost", ORDERS, "--rows", "1000000", "--changes", "100000")


def _capture(folder: Path, *arguments: str, name: str = "", shorten: Callable[[list[str]], list[str]] = list) -> None:
    """Keeps the colours. `shorten` takes lines out, and marks where."""
    lines = shorten(_rowcast(folder, *arguments).splitlines())
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(Text(f"$ rowcast {' '.join(arguments)}", style="bold"))
    for line in lines:
        console.print(Text.from_ansi(line.rstrip()), overflow="fold")
    name = name or arguments[0]
    picture = console.export_svg(title="", theme=THEME, code_format=FRAME, unique_id=name)
    (OUT / f"{name}.svg").write_text(picture, encoding="utf-8")


def _ends(lines: list[str]) -> list[str]:
    return [*lines[:6], MORE, *lines[-6:]]


def _two_of_each(lines: list[str]) -> list[str]:
    """Of a plan: two changes of each operation, and what comes after the changes."""
    kept: list[str] = []
    seen: dict[str, int] = {}
    for is_gap, block in itertools.groupby(lines, key=lambda line: not line.strip()):
        if is_gap:
            continue
        part = list(block)
        sign = Text.from_ansi(part[0]).plain[0]
        seen[sign] = seen.get(sign, 0) + 1
        if sign not in "+~-" or seen[sign] <= 2:
            kept += [*part, ""]
        elif seen[sign] == 3:
            kept[-1] = MORE
            kept.append("")
    return kept[:-1]


def _rowcast(folder: Path, *arguments: str) -> str:
    return _python("-c", "from workbench.cli import main; main()", "--project", str(folder), *arguments)


def _python(*arguments: str) -> str:
    colours = {
        "TTY_COMPATIBLE": "1",
        "TTY_INTERACTIVE": "0",
        "COLORTERM": "",
        "TERM": "xterm-256color",
        "FORCE_COLOR": "1",
    }
    environment = {**os.environ, **colours, "ROWCAST_LOCAL_OWNER": str(os.getpid()), "COLUMNS": str(WIDTH)}
    done = subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
