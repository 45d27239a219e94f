"""Runs one side of a case in a process of its own, and measures it: the child of `bench.harness`.

It imports nothing but the standard library, so that a side's memory is the side's.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_timed: dict[str, float] = {}
TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def timed(server_pid: int | None = None) -> Iterator[None]:
    """Around what counts, in a side that has something to prepare; without it the whole call counts.

    `server_pid`: a server that works for the side; its processor seconds count as the side's, with its children's.
    """
    cpu, served, began = cpu_seconds(), tree_cpu_seconds(server_pid), time.perf_counter()
    yield
    _timed["seconds"] = _timed.get("seconds", 0.0) + time.perf_counter() - began
    spent = cpu_seconds() - cpu + tree_cpu_seconds(server_pid) - served
    _timed["cpu"] = _timed.get("cpu", 0.0) + spent


def cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def tree_cpu_seconds(pid: int | None) -> float:
    """The same of any process, with its living children: /proc/PID/stat, fields 14 to 17."""
    if pid is None:
        return 0.0
    return sum(_stat_seconds(each) for each in tree(pid))


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, as far as they still live."""
    found, left = [], [pid]
    while left:
        each = left.pop()
        found.append(each)
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                left += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def _stat_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICK


def peak_mb() -> float:
    """The most memory that this process held. VmHWM, since ru_maxrss remembers what the parent held at the fork."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(call: str, arguments: str, answer: str) -> None:
    """Calls `module:function` with the JSON arguments, and writes what it answered and took to the file `answer`."""
    module, _, name = call.partition(":")
    function = getattr(importlib.import_module(module), name)
    cpu, began = cpu_seconds(), time.perf_counter()
    result: dict[str, Any] = function(**json.loads(arguments)) or {}
    whole = {"seconds": time.perf_counter() - began, "cpu": cpu_seconds() - cpu}
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    measured = {**whole, **_timed, "peak_mb": max(peak_mb(), children), "result": result}
    Path(answer).write_text(json.dumps(measured))


if __name__ == "__main__":
    from bench.side import main as imported_once  # so that `timed` is one and the same for the side

    imported_once(*sys.argv[1:])
