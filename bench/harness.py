"""Measures the cases of a topic: each side in a fresh process, alternately, as ratios to the reference side.

A topic is a module of this folder with `TOPIC: Topic` and `cases(size) -> list[Case]`. What was measured lies in
build/bench/TOPIC.json, one entry per case.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import psutil

from bench.case import Case, Side, Size, Topic
from bench.machine import made
from bench.side import tree

TOPICS = ("diff", "diff_peers", "snapshot", "messages", "publish", "cold_start", "calls", "growth", "synth")
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build/bench"
SAMPLE_SECONDS = 0.05
MOST_MEMORY = 0.8
"""Of the machine's: a side that takes more is ended, before it ends everything else."""


class BenchFailed(Exception):
    """A case could not be measured, or its sides disagree."""


class SideFailed(Exception):
    """A side ended without an answer."""


class Measured(msgspec.Struct, kw_only=True):
    """One round of one side. `peak_mb` with children, and with the server that works for it."""

    seconds: float
    cpu: float
    peak_mb: float
    result: dict[str, Any] = {}


Progress = Callable[[str, int, int], None]
"""Told of the case and side, how many turns are over, and how many there are."""


def topic(name: str) -> tuple[Topic, Callable[[Size], list[Case]]]:
    module = importlib.import_module(f"bench.{name}")
    return module.TOPIC, module.cases


def measure(case: Case, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """The record of a case, as it is kept. Raises BenchFailed."""
    began = time.time()
    arguments = {**case.arguments, **(_prepared(case) if case.prepare else {})}
    warm = [Path(path) for path in arguments.pop("warm", [])]
    failed: dict[str, str] = {}
    with _served(case) as served:
        rounds = _alternate(case, {**arguments, **served}, warm, failed, progress)
    check_digests(rounds)
    return {
        "recipe": msgspec.to_builtins(case),
        "made": {**made(), "minutes": round((time.time() - began) / 60, 2)},
        "sides": {side.name: _record(side, case, rounds, failed.get(side.name)) for side in case.sides},
    }


def _alternate(
    case: Case, arguments: dict[str, Any], warm: Sequence[Path], failed: dict[str, str], progress: Progress
) -> dict[str, list[Measured]]:
    rounds: dict[str, list[Measured]] = {side.name: [] for side in case.sides}
    turns = [(n, side) for n in range(case.rounds) for side in case.sides if n < (side.rounds or case.rounds)]
    for count, (_, side) in enumerate(turns):
        progress(f"{case.name}: {side.name}", count, len(turns))
        if side.name in failed:
            continue
        read_files(warm)
        try:
            rounds[side.name].append(run_side(side, {**arguments, **side.arguments}))
        except SideFailed as error:
            if side.role != "peer":
                raise BenchFailed(f"{case.name}: {side.name}: {error}") from error
            failed[side.name] = str(error)
    progress(case.name, len(turns), len(turns))
    return rounds


def check_digests(rounds: dict[str, list[Measured]]) -> None:
    """Raises BenchFailed unless all sides that answered a digest answered the same."""
    found: dict[str, list[str]] = {}
    for name, measured in rounds.items():
        for each in measured:
            if (digest := each.result.get("digest")) is not None:
                found.setdefault(digest, []).append(name)
    if len(found) > 1:
        told = "; ".join(f"{', '.join(dict.fromkeys(names))}: {digest}" for digest, names in found.items())
        raise BenchFailed(f"The sides' results differ. {told}")


def _record(side: Side, case: Case, rounds: dict[str, list[Measured]], failed: str | None) -> dict[str, Any]:
    own = rounds[side.name]
    record: dict[str, Any] = {"role": side.role, "failed": failed, "rounds": len(own)}
    if not own:
        return record
    return {
        **record,
        "ratio": spread(ratios(own, rounds[case.reference], case.measure, case.rate)),
        "cpu_ratio": spread(ratios(own, rounds[case.reference], "cpu", case.rate)),
        "seconds": spread([each.seconds for each in own]),
        "cpu": spread([each.cpu for each in own]),
        "peak_mb": max(each.peak_mb for each in own),
        "rate": spread([_work(each) / max(getattr(each, case.measure), 1e-9) for each in own]) if case.rate else None,
        "result": own[-1].result,
    }


def ratios(own: Sequence[Measured], reference: Sequence[Measured], measure: str, rate: bool) -> list[float]:
    """Round by round, of the time per unit of work, or with `rate` of the units a second."""
    found = []
    for one, other in zip(own, reference, strict=False):
        mine, theirs = (max(getattr(each, measure), 1e-9) / _work(each) for each in (one, other))
        found.append(theirs / mine if rate else mine / theirs)
    return found


def _work(measured: Measured) -> float:
    return float(measured.result.get("work", 1))


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median, least and most; None of nothing."""
    return {"median": median(values), "min": min(values), "max": max(values)} if values else None


def _prepared(case: Case) -> dict[str, Any]:
    assert case.prepare is not None
    preparing = Side(name="prepare", call=case.prepare, role="ours", timeout=7200.0)
    try:
        return run_side(preparing, case.arguments).result
    except SideFailed as error:
        raise BenchFailed(f"{case.name}: {error}") from error


def read_files(paths: Sequence[Path]) -> None:
    """Reads files, and all files of folders, so that the page cache holds them."""
    for path in paths:
        for file in [path] if path.is_file() else (each for each in path.rglob("*") if each.is_file()):
            with file.open("rb") as opened:
                while opened.read(1 << 24):
                    pass


def run_side(side: Side, arguments: dict[str, Any]) -> Measured:
    """One run of a side. Raises SideFailed when it ends badly, takes too long or too much memory."""
    with tempfile.TemporaryDirectory(prefix="rowcast-bench-") as folder:
        answer, errors = Path(folder, "answer.json"), Path(folder, "errors.txt")
        call = [sys.executable, "-m", "bench.side", side.call, json.dumps(arguments), str(answer)]
        with errors.open("wb") as stream, subprocess.Popen(call, stdout=stream, stderr=stream, cwd=ROOT) as process:
            most = _watch(process, side.timeout, arguments.get("server_pid"))
        if process.returncode != 0 or not answer.exists():
            raise SideFailed(_last_line(errors) or f"ended with {process.returncode}")
        measured = msgspec.json.decode(answer.read_bytes(), type=Measured)
    measured.peak_mb = round(max(measured.peak_mb, most), 1)
    return measured


def _watch(process: subprocess.Popen[bytes], timeout: float, server: int | None) -> float:
    """Waits for the process, and answers the most memory in MB that it and its children were seen to hold."""
    most, until = 0.0, time.monotonic() + timeout
    limit = psutil.virtual_memory().total * MOST_MEMORY / 2**20
    while True:
        try:
            process.wait(SAMPLE_SECONDS)
            return most
        except subprocess.TimeoutExpired:
            held = tree_mb(process.pid) + (tree_mb(server) if server is not None else 0.0)
            most = max(most, held)
            if held > limit or time.monotonic() > until:
                _end(process.pid)
                process.wait()
                raise SideFailed("out of memory" if held > limit else f"not done in {timeout:,.0f} s") from None


def tree_mb(pid: int) -> float:
    """What the process and its children hold: of several, each one's share of the pages that they share."""
    pids = tree(pid)
    kind = "pss" if len(pids) > 1 else "rss"
    total = 0
    for each in pids:
        try:
            process = psutil.Process(each)
            total += process.memory_full_info().pss if kind == "pss" else process.memory_info().rss
        except (psutil.Error, OSError):
            continue
    return total / 2**20


def _end(pid: int) -> None:
    for each in reversed(tree(pid)):
        try:
            psutil.Process(each).kill()
        except psutil.Error:
            continue


def _last_line(errors: Path) -> str:
    lines = [line for line in errors.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


@contextmanager
def _served(case: Case) -> Iterator[dict[str, Any]]:
    """What runs beside the case, and the arguments that it tells of."""
    if case.serve is None:
        yield {}
        return
    module, _, function = case.serve.partition(":")
    code = f"import json, sys; from {module} import {function} as serve; serve(**json.loads(sys.argv[1]))"
    call = [sys.executable, "-c", code, json.dumps(case.arguments)]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise BenchFailed(f"{case.name}: {case.serve} ended")
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            _end(process.pid)
            process.wait()
        process.stdout.close()


def store(name: str, case: Case, record: dict[str, Any], folder: Path = RESULTS) -> None:
    """Puts the record of a case among those of its topic."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    records = stored(name, folder)
    records[case.name] = record
    path.write_text(json.dumps(records, indent=1) + "\n")


def stored(name: str, folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    path = folder / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def is_done(name: str, case: Case, folder: Path = RESULTS) -> bool:
    """Whether the same case was measured before, for going on where a long run was broken off."""
    record = stored(name, folder).get(case.name)
    return record is not None and record["recipe"] == json.loads(json.dumps(msgspec.to_builtins(case)))
