"""Death at every AWS call of every handler: `python -m tests.model.sweep HISTORY… [--seed N]` prints what it counted.

At each call the process forks; the child is the world in which the worker died there, before the call left or after
its effect, and goes on to the next starts. Three ways to die: once (the state machine tries again), always (each try
dies at its next call, until the next start), gone (the execution goes with its worker). Two deaths that leave the same
state in AWS, at the same place of the state machine, are one world and are followed once; both are counted as points.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.model.aws_world import AwsWorld, Died, aws_world, taken
from tests.model.histories import HISTORIES, History, random_history
from tests.model.remembered import remembered_engine
from tests.model.short_way import made_once

MODES = ("once", "always", "gone")
CHILDREN = 2
QUIET = 4  # in one of so many worlds a last run must send nothing
SECOND_DEATHS = 4  # one in so many worlds dies once more, on the way to recovery


class Sweep:
    """The deaths of one run of one history."""

    def __init__(self, world: AwsWorld, history: History, folder: Path, random: random.Random) -> None:
        self._world = world
        self._history = history
        self._folder = folder
        self._random = random
        self._seen: set[Any] = set()
        self._children: list[int] = []
        self._armed = False
        self._mode = ""
        self._dying = ""
        self._second = self._later = 0
        self.is_child = False
        self.points = self.worlds = self.doubles = 0
        self.place = ""

    def swept(self) -> None:
        """The history's run, with a death at each of its calls, each in a child."""
        steer = self._history.steer(self._world)
        self._world.hook = self._hook
        self._armed = True
        summary = self._world.run(**steer)
        if not self.is_child:
            reason = str(summary.get("reason", ""))
            assert "Unexpected" not in reason, f"the sweep itself disturbed the run: {reason}"
        self._armed = False

    def recover(self) -> None:
        """The next starts, a target that takes everything, and the oracle's judgement."""
        world = self._world
        self._dying, world.gone_with_worker = "", False
        self._history.between(world)
        world.answer = taken
        if self._later:
            self._mode, self._second = self._random.choice(MODES), self._later
            world.gone_with_worker = self._mode == "gone"
            world.run()
            self._dying, self._second, world.gone_with_worker = "", 0, False
        world.settle()
        if self.worlds % QUIET == 0:
            world.is_quiet()

    def _hook(self, side: str, name: str) -> None:
        world = self._world
        if world.dead or (self._dying and self._dying == world.handler):
            self._die()
        if self._second:
            self._second -= 1
            if not self._second:
                self._kill()
        if self._armed:
            state = world.digest()
            for mode in MODES:
                self.points += 1
                place = (state, mode, world.invocations if mode != "gone" else 0)
                if place not in self._seen:
                    self._seen.add(place)
                    self._fork(f"{world.handler}: {mode}, {side} {name} (call {self.points // 6 + 1})", mode)

    def _fork(self, place: str, mode: str) -> None:
        while len(self._children) >= CHILDREN:
            self._reap()
        self.worlds += 1
        double = self.worlds % SECOND_DEATHS == 0
        self.doubles += double
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
            pid = os.fork()
        if pid:
            self._children.append(pid)
            return
        self.is_child, self._armed, self.place, self._mode = True, False, place, mode
        self._leave_the_parents_files()
        self._random.seed(self.worlds)
        self._later = self._random.randint(1, 100) if double else 0
        self._world.gone_with_worker = mode == "gone"
        self._kill()

    def _leave_the_parents_files(self) -> None:
        """A dead worker cleans nothing up: its scratch folder is the parent's, which goes on."""
        own = self._folder.parent / f"child-{self.worlds}"
        own.mkdir()
        tempfile.tempdir = str(own)
        tempfile.TemporaryDirectory._rmtree = classmethod(lambda *_, **__: None)  # type: ignore[attr-defined]

    def _kill(self) -> None:
        self._world.deaths += 1
        if self._mode == "always":
            self._dying = self._world.handler
        self._die()

    def _die(self) -> None:
        self._world.dead = True
        raise Died

    def _reap(self) -> None:
        pid, _ = os.wait()
        self._children.remove(pid)

    def finish(self) -> list[str]:
        while self._children:
            self._reap()
        return [path.read_text() for path in sorted(self._folder.iterdir())]

    def end_child(self, error: BaseException | None) -> None:
        """The child's last act: it never returns to the test runner."""
        if error is not None:
            text = "".join(traceback.format_exception(error)[-6:])
            second = f", then once more at call {self._later} ({self._mode})" if self._later else ""
            (self._folder / f"{self.worlds:06d}").write_text(f"{self.place}{second}\n{text}")
        os._exit(0)


def sweep(name: str, history: History, seed: int = 0) -> dict[str, Any]:
    """Points, worlds followed, and the violations found."""
    scratch = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=scratch) as folder, ExitStack() as around:
        tempfile.tempdir = folder
        results, engine = Path(folder) / "results", Path(folder) / "engine"
        results.mkdir()
        engine.mkdir()
        around.enter_context(remembered_engine(engine))
        around.enter_context(made_once())
        _warm(history)
        with aws_world(history.definition, short=True) as world:
            sweep = Sweep(world, history, results, random.Random(seed))
            error: BaseException | None = None
            try:
                history.before(world)
                gc.collect()
                gc.freeze()
                gc.disable()
                sweep.swept()
                sweep.recover()
            except BaseException as caught:
                if not sweep.is_child:
                    raise
                error = caught
            if sweep.is_child:
                sweep.end_child(error)
            gc.enable()
            gc.unfreeze()
            found = sweep.finish()
    return {"history": name, "seed": seed, "points": sweep.points, "worlds": sweep.worlds, "doubles": sweep.doubles,
            "violations": found}  # fmt: skip


def _warm(history: History) -> None:
    """Imports and compiles once what each child would."""
    with aws_world(history.definition, short=True) as world:
        history.before(world)
        world.run(**history.steer(world))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("history", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    failed = 0
    for name in options.history or HISTORIES:
        make: Callable[[], History] = HISTORIES[name] if name in HISTORIES else lambda: random_history(options.seed)
        result = sweep(name, make(), options.seed)
        failed += len(result["violations"])
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
