"""`python -m workbench.captures`: what commands of the reference print on the example shop, into `docs/captures/`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from workbench.demo import CUSTOMERS, ORDERS, throwaway_copy
from workbench.local import server

OUT = server.ROOT / "docs" / "captures"
WIDTH = 100
REJECTED = "928768"


def main() -> None:
    OUT.mkdir(exist_ok=True)
    with throwaway_copy() as folder:
        server.up(folder, owner=os.getpid())
        for step in ("start", "day2"):
            _python(str(folder / "make_data.py"), "--step", step)
            _rowcast(folder, "run", CUSTOMERS, "--local")
        _rowcast(folder, "run", ORDERS, "--local")
        _capture(folder, "rejects", CUSTOMERS)
        _capture(folder, "rejects", CUSTOMERS, "--rows", name="rejects-rows")
        _capture(folder, "doctor", CUSTOMERS)
        _python(str(folder / "make_data.py"), "--step", "mended")
        _rowcast(folder, "run", CUSTOMERS, "--local")
        _capture(folder, "history", CUSTOMERS, "--key", REJECTED)
        _capture(folder, "calls", CUSTOMERS, "--key", REJECTED)
        _capture(folder, "preview", CUSTOMERS, "--key", REJECTED)
    _tested("tests/infra/test_alert_log.py")


def _tested(test: str) -> None:
    """What a test holds true and writes down itself."""
    environment = {**os.environ, "ROWCAST_UPDATE_SNAPSHOT": "1"}
    subprocess.run([sys.executable, "-m", "pytest", "-q", test], cwd=server.ROOT, env=environment, check=True)


def _capture(folder: Path, *arguments: str, name: str = "") -> None:
    printed = _rowcast(folder, *arguments)
    lines = [f"$ rowcast {' '.join(arguments)}", *(line.rstrip() for line in printed.splitlines())]
    (OUT / f"{name or arguments[0]}.txt").write_text("\n".join(lines) + "\n")


def _rowcast(folder: Path, *arguments: str) -> str:
    return _python("-c", "from workbench.cli import main; main()", "--project", str(folder), *arguments)


def _python(*arguments: str) -> str:
    environment = {**os.environ, "ROWCAST_LOCAL_OWNER": str(os.getpid()), "COLUMNS": str(WIDTH)}
    done = subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
