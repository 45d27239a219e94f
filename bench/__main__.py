"""`python -m bench [TOPIC…]`: measures, writes build/bench, and with `--report` makes docs/benchmarks.md of it."""

from __future__ import annotations

import argparse
import sys

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import report
from bench.case import Case
from bench.harness import TOPICS, BenchFailed, is_done, measure, store, topic


def main() -> int:
    given = _arguments()
    console = Console(stderr=True)
    work = [(name, case) for name in given.topics or _existing() for case in topic(name)[1](given.size)]
    work = [(name, case) for name, case in work if given.case in (None, case.name)]
    if given.rounds:
        work = [(name, msgspec.structs.replace(case, rounds=given.rounds)) for name, case in work]
    failed = _measure_all(work, given.resume, console) if not given.only_report else []
    if given.report or given.only_report:
        report.write()
    else:
        for name in dict.fromkeys(name for name, _ in work):
            print(report.section(name, topic(name)[0], report.records(name)))
    for problem in failed:
        console.print(f"[red]{problem}[/red]")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}; none: all")
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--case", help="measure this case alone")
    parser.add_argument("--rounds", type=int, help="so many rounds, instead of what the case asks for")
    parser.add_argument("--resume", action="store_true", help="leave out what build/bench holds already")
    parser.add_argument("--report", action="store_true", help="write docs/benchmarks.md and its plots afterwards")
    parser.add_argument("--only-report", action="store_true", help="write them without measuring")
    given = parser.parse_args()
    if unknown := set(given.topics) - set(_existing()):
        parser.error(f"no such topic: {', '.join(sorted(unknown))}; there are {', '.join(_existing())}")
    return given


def _existing() -> list[str]:
    return [name for name in TOPICS if report.module_path(name).exists()]


def _measure_all(work: list[tuple[str, Case]], resume: bool, console: Console) -> list[str]:
    """Measures case after case; a case that fails does not keep the others from being measured."""
    failed = []
    columns = (
        TextColumn("{task.description}", justify="left"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("bench", total=len(work))
        for name, case in work:
            turn = bar.add_task(f"{name} {case.name}", total=None)
            try:
                if not (resume and is_done(name, case)):
                    tell = lambda text, done, total, turn=turn, name=name: bar.update(  # noqa: E731
                        turn, description=f"{name} {text}", completed=done, total=total
                    )
                    store(name, case, measure(case, tell))
            except BenchFailed as error:
                failed.append(f"{name} {case.name}: {error}")
            bar.remove_task(turn)
            bar.advance(task)
    return failed


if __name__ == "__main__":
    sys.exit(main())
