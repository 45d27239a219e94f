"""Sides that tell what the harness did with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.side import cpu_seconds

MIB = 2**20


def note(log: str, name: str, **_: Any) -> dict[str, Any]:
    """Appends its name to the file."""
    with Path(log).open("a") as stream:
        stream.write(name)
    return {"digest": "same", "pid": os.getpid()}


def tell(**arguments: Any) -> dict[str, Any]:
    return {"arguments": arguments}


def answer(digest: str) -> dict[str, Any]:
    return {"digest": digest}


def fail() -> None:
    raise ValueError("no such luck")


def hang() -> None:
    time.sleep(60)


def hold(mib: int) -> dict[str, Any]:
    return {"held": len(bytearray(mib * MIB))}


def hold_in_child(mib: int) -> None:
    code = f"from tests.bench_sides import hold; hold({mib})"
    subprocess.run([sys.executable, "-c", code], check=True)


def burn(seconds: float) -> None:
    while cpu_seconds() < seconds:
        pass


def burn_in_child(seconds: float) -> None:
    code = f"from tests.bench_sides import burn; burn({seconds})"
    subprocess.run([sys.executable, "-c", code], check=True)


def prepared(base: int, warm: list[str]) -> dict[str, Any]:
    return {"made": base + 1, "warm": warm}


def serve(log: str, **_: Any) -> None:
    """Tells its process, and notes its end."""

    def end(*_: Any) -> None:
        Path(log).write_text("ended")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print(json.dumps({"server": os.getpid()}), flush=True)
    signal.pause()
