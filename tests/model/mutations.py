"""Breaks the engine on purpose, one promise at a time, and shows which test notices: `python -m tests.model.mutations`.

Each mutation replaces a piece of the core's text in a copy of the tree. A mutation that no test catches, or whose text
is no longer there, fails the command.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.model.evidence import keep

ROOT = Path(__file__).parents[2]
CORE = "layers/core/python/rowcast"
SUITE = [
    "tests/unit/test_overlap.py",
    "tests/unit/test_route.py",
    "tests/unit/test_replay.py",
    "tests/contract/test_destinations.py",
    "tests/contract/test_wire.py",
    "tests/integration/test_delivery_session.py",
    "tests/model/test_model.py",
    "tests/model/test_crashes.py",
]


@dataclass(frozen=True)
class Mutation:
    name: str
    breaks: str
    file: str
    old: str
    new: str


MUTATIONS = [
    Mutation(
        "acknowledge before delivery",
        "I2",
        "fan_out.py",
        "    await worker.work(token)\n",
        "    from rowcast.models import Outcome\n"
        "    worker.state.outcomes = [Outcome(outcome='accepted') for _ in chunk.changes]\n"
        "    worker.state.done = True\n"
        "    needs.changes.record(run.sync, run.run, worker.state)\n"
        "    worker.state.outcomes = [None for _ in chunk.changes]\n"
        "    await worker.work(token)\n",
    ),
    Mutation(
        "drop rejected rows",
        "I2",
        "commit.py",
        '        if outcome.outcome != "accepted":\n            owed',
        '        if outcome.outcome == "in_doubt":\n            owed',
    ),
    Mutation(
        "random change ids",
        "I5",
        "chunks.py",
        "            yield hashlib.sha256(first + key_hash.encode() + sides + last).hexdigest()[:32]",
        "            import uuid\n            yield uuid.uuid4().hex",
    ),
    Mutation(
        "random ids of what is owed",
        "I5",
        "models.py",
        "    return short_hash(sync, destination, key_hash, before, after, str(generation))",
        "    import uuid\n    return uuid.uuid4().hex",
    ),
    Mutation(
        "abandon an open run",
        "I1",
        "open.py",
        'if left is not None and left.phase == "sealed":',
        'if left is not None and left.phase == "never":',
    ),
    Mutation("no fencing", "I7", "lock.py", "if head.token != token or head.open_run != run:", "if False:"),
    Mutation(
        "commit twice",
        "I6",
        "commit.py",
        "generation=run.generation + 1,\n        history",
        "generation=run.generation + 2,\n        history",
    ),
    Mutation(
        "use a generation again that the target has seen changes of",
        "I5",
        "commit.py",
        "    if not answered:",
        "    if True:",
    ),
    Mutation(
        "treat a time-out as accepted",
        "I2",
        "worker.py",
        '        if verdict.kind == "accepted":\n            name',
        '        if verdict.kind in ("accepted", "in_doubt"):\n            name',
    ),
    Mutation(
        "SDK retries left on for Invoke",
        "I5",
        "destinations/session.py",
        '"total_max_attempts": 1',
        '"total_max_attempts": 3',
    ),
    Mutation(
        "send again what broke off",
        "I5",
        "destinations/connection.py",
        "            connection.abort()\n            raise\n",
        "            connection.abort()\n            return await self.exchange(request, seconds)\n",
    ),
    Mutation(
        "trust an idle connection",
        "I5",
        "destinations/connection.py",
        " and not self._readable.poll(0)",
        "",
    ),
    Mutation(
        "digest of the wrong partition",
        "I1",
        "snapshot.py",
        "same.partitions[number].digest != partition.digest",
        "same.partitions[number - 1].digest == partition.digest",
    ),
    Mutation(
        "debt measured from the wrong row", "I3", "commit.py", "accepted=change.before,", "accepted=change.after,"
    ),
    Mutation(
        "drain before the lock",
        "I7",
        "open.py",
        "    head = needs.states.take_lock(seen, execution)\n",
        "    drain(sync, needs.queue(needs.definitions.deployment(sync)), needs)\n"
        "    head = needs.states.take_lock(seen, execution)\n",
    ),
    Mutation(
        "tell the queue before the debt is written",
        "I8",
        "commit.py",
        "    needs.debts.book(run.sync, token, owed, paid)\n    if owed:\n"
        "        hashes = [debt.key_hash for debt in owed]\n",
        "    hashes = [debt.key_hash for debt in owed]\n    if owed:\n",
    ),
    Mutation("retry with stale values", "I1", "owing.py", "        after=now,\n", "        after=debt.sent,\n"),
    Mutation(
        "compare by text",
        "I10",
        "canonical.py",
        "    return _CANONICAL[column_type](value)\n",
        "    return f'{value}::VARCHAR'\n",
    ),
    Mutation(
        "forget the doubt of an earlier run",
        "I1",
        "commit.py",
        'outcome.outcome == "in_doubt" or (origin is not None and origin.in_doubt)',
        'outcome.outcome == "in_doubt"',
    ),
    Mutation(
        "count a resent rejection as a plain one",
        "I2",
        "progress.py",
        "[doubt or outcome is None for doubt, outcome",
        "[doubt for doubt, outcome",
    ),
    Mutation(
        "advance past an unworked chunk",
        "I2",
        "commit.py",
        'Outcome(outcome="rejected", reason=NOT_TRIED_AGAIN',
        'Outcome(outcome="accepted", reason=NOT_TRIED_AGAIN',
    ),
    Mutation(
        "send while an earlier holder's worker may still send",
        "I4",
        "fan_out.py",
        "        await _outlive(before, token, needs)\n",
        "",
    ),
    Mutation(
        "ignore the debts of a partition that did not change",
        "I2",
        "snapshot.py",
        "return sorted(differing | {",
        "return sorted(differing & {",
    ),
    Mutation(
        "replay a change after a newer one",
        "I4",
        "replay.py",
        "    if newest[change.key_hash] != change.id:",
        "    if False:",
    ),
    Mutation(
        "replay a message as it would be made now",
        "I5",
        "replay.py",
        "        if change.first is None:\n            return render(change)",
        "        if True:\n            return render(change)",
    ),
    Mutation(
        "delete files that a kept snapshot shares",
        "I6",
        "commit.py",
        "_files(needs.snapshots.manifest(manifest)) - alive",
        "_files(needs.snapshots.manifest(manifest))",
    ),
]


def caught_by(mutation: Mutation, tree: Path) -> str | None:
    """The first test that fails under the mutation; None when all pass."""
    path = tree / CORE / mutation.file
    text = path.read_text()
    path.write_text(text.replace(mutation.old, mutation.new, 1))
    try:
        return next(filter(None, (first_failure(tree, file) for file in SUITE)), None)
    finally:
        path.write_text(text)


def first_failure(tree: Path, *files: str) -> str | None:
    """The first test of these files that fails; None when all pass."""
    marked = "not long and not postgres and not emulator"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-m",
        marked,
        "-p",
        "no:cacheprovider",
        "--no-header",
        *files,
    ]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return found.group(1) if found else (f"{files[0]} did not end well" if done.returncode else None)


def main(names: list[str]) -> int:
    chosen = [mutation for mutation in MUTATIONS if not names or any(name in mutation.name for name in names)]
    for mutation in chosen:
        if mutation.old not in (ROOT / CORE / mutation.file).read_text():
            raise SystemExit(f"{mutation.name}: {mutation.file} no longer holds the text to break; mend the mutation.")
    table = Table("mutation", "breaks", "caught by")
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        ignore = shutil.ignore_patterns(
            ".git", ".venv*", "node_modules", "build", "cdk.out*", ".cache", ".rowcast", "__pycache__"
        )
        shutil.copytree(ROOT, tree, ignore=ignore)
        if broken := first_failure(tree, *SUITE):
            raise SystemExit(f"{broken} fails without any mutation: mend it first.")
        for mutation in track(chosen, description="Breaking promises", transient=True):
            test = caught_by(mutation, tree)
            missed += test is None
            table.add_row(mutation.name, mutation.breaks, test or "[red]nothing[/red]")
    console = Console()
    console.print(table)
    console.print(f"{len(chosen) - missed} of {len(chosen)} mutations caught")
    if not names:
        keep("mutations", mutations=len(chosen), caught=len(chosen) - missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
