"""Makes docs/benchmarks.md, its plots, and the figures behind them, from what was measured.

The figures are kept beside the page, so that measuring one topic or the small sizes alone leaves the others standing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import plot
from bench.case import Case, Goal, Profile, Topic
from bench.harness import RESULTS, ROOT, TOPICS, store, stored, topic

PAGE = ROOT / "docs/benchmarks.md"
KEPT = ROOT / "docs/benchmarks"
INTRODUCTION = """# Benchmarks

Made by `make bench` (the small sizes, some minutes) and `make bench-full` (the large ones). Every figure is a ratio of
two sides that ran in turn on one machine, A B A B, each in a fresh process: the median of the rounds, with the least
and the most. Seconds differ from machine to machine; ratios much less. Processor seconds and peak memory are the
side's own, with its child processes and the server that worked for it. Where sides answer a digest of their result,
it was the same for all.
"""


def module_path(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.py")


def records(name: str) -> dict[str, dict[str, Any]]:
    """What is known of a topic: the figures kept with the page, and over them what was measured since; held against
    the goals of today."""
    cases = [case for size in ("small", "full") for case in topic(name)[1](size)]
    known = {**stored(name, KEPT), **stored(name, RESULTS)}
    return {case.name: judged(known[case.name], case) for case in cases if case.name in known}


def judged(record: dict[str, Any], case: Case) -> dict[str, Any]:
    """With the goals that the case has, whatever they were when it was measured."""
    goals = {side.name: msgspec.to_builtins(side.goal) for side in case.sides}
    sides = [{**side, "goal": goals.get(side["name"])} for side in record["recipe"]["sides"]]
    return {**record, "recipe": {**record["recipe"], "sides": sides}}


def write() -> None:
    """Writes the page, its plots and its figures for all topics that have a module."""
    parts: list[str] = []
    goals: list[list[str]] = []
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in TOPICS:
        if not module_path(name).exists() or not (known := records(name)):
            continue
        about, _ = topic(name)
        for file, drawn in plots(name, about, known):
            (KEPT / file).write_text(drawn)
        (KEPT / f"{name}.json").unlink(missing_ok=True)
        for record in known.values():
            store(name, _case(record), record, KEPT)
        parts.append(section(name, about, known))
        goals += _goals(about, known)
    PAGE.write_text("\n".join([INTRODUCTION, at_a_glance(goals), *parts]).rstrip() + "\n")


def at_a_glance(goals: Sequence[Sequence[str]]) -> str:
    reached = sum(row[-1] == "reached" for row in goals)
    columns = ["", "case", "ratio to the limit or peer", "peak MB", "goal", ""]
    told = f"{reached} of {len(goals)} goals are reached. What lies between the others and theirs is said with them."
    return f"## At a glance\n\n{told}\n\n{table(columns, goals)}\n"


def _goals(about: Topic, known: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """A row for each side that has a goal."""
    for record in known.values():
        case = _case(record)
        for side in case.sides:
            found = record["sides"][side.name]
            if side.goal is None or found["ratio"] is None:
                continue
            ratio = found["ratio"]["median"]
            state = _reached(side.goal, ratio, found["peak_mb"])
            told = "–" if side.name == case.reference else f"{plot.number(ratio)} × {case.reference}"
            place = f"[{about.title}](#{anchor(about.title)})"
            yield [place, f"{case.title}: {side.name}", told, f"{found['peak_mb']:,.0f}", _goal(side.goal), state]


def anchor(title: str) -> str:
    """As Markdown makes one of a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")


def section(name: str, about: Topic, known: dict[str, dict[str, Any]]) -> str:
    """The topic's part of the page."""
    parts = [f"## {about.title}", about.about.strip()]
    if _bar_groups(known):
        parts.append(f"![{about.title}: ratios](benchmarks/{name}.svg)")
    for record in known.values():
        parts += _case_parts(name, record)
    if about.profiles:
        parts += ["### Where the time goes", *(_profile(profile) for profile in about.profiles)]
    if about.remains:
        parts += ["### What remains", about.remains.strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def command(name: str, case: Case) -> str:
    """What measures the case again."""
    size = f" --size {case.size}" if case.size != "small" else ""
    return f"python -m bench {name}{size} --case {shlex.quote(case.name)}"


def _case_parts(name: str, record: dict[str, Any]) -> Iterator[str]:
    case, sides = _case(record), record["sides"]
    yield f"### {case.title}"
    yield case.note.strip()
    if len(case.sides) > 1:
        yield _sides_table(case, sides)
    for side in case.sides:
        result = sides[side.name].get("result") or {}
        if "table" in result:
            yield table(result["table"]["columns"], result["table"]["rows"])
        for index, drawn in enumerate(result.get("plots", ())):
            yield f"![{drawn['title']}](benchmarks/{_plot_file(name, case, index)})"
    yield _made(name, record, case)


def _sides_table(case: Case, sides: dict[str, Any]) -> str:
    what = "Rate ÷" if case.rate else "CPU ÷" if case.measure == "cpu" else "Time ÷"
    columns = [
        "",
        f"{what} {case.reference}",
        "spread",
        f"{case.unit}/s" if case.rate else "s",
        "CPU s",
        "peak MB",
        "goal",
        "",
    ]
    rows = []
    for side in case.sides:
        found = sides[side.name]
        if not found["rounds"] or found["ratio"] is None:
            rows.append([side.name, "–", found["failed"] or "not measured", "", "", "", _goal(side.goal), ""])
            continue
        ratio = found["ratio"]
        amount = found["rate"] if case.rate else found["seconds"]
        rows.append(
            [
                f"**{side.name}**" if side.role == "ours" else side.name,
                plot.number(ratio["median"]),
                f"{plot.number(ratio['min'])}–{plot.number(ratio['max'])}",
                plot.number(amount["median"]),
                plot.number(found["cpu"]["median"]),
                f"{found['peak_mb']:,.0f}",
                _goal(side.goal),
                _reached(side.goal, ratio["median"], found["peak_mb"]),
            ]
        )
    return table(columns, rows)


def _goal(goal: Goal | None) -> str:
    if goal is None:
        return ""
    parts = [f"≤ {goal.at_most:g}"] if goal.at_most is not None else []
    parts += [f"≥ {goal.at_least:g}"] if goal.at_least is not None else []
    parts += [f"≤ {goal.peak_mb:,.0f} MB"] if goal.peak_mb is not None else []
    return ", ".join(parts)


def _reached(goal: Goal | None, ratio: float, peak_mb: float) -> str:
    if goal is None:
        return ""
    missed = (
        (goal.at_most is not None and ratio > goal.at_most)
        or (goal.at_least is not None and ratio < goal.at_least)
        or (goal.peak_mb is not None and peak_mb > goal.peak_mb)
    )
    return "**not reached**" if missed else "reached"


def _made(name: str, record: dict[str, Any], case: Case) -> str:
    made = record["made"]
    machine, versions = made["machine"], made["versions"]
    rounds = max(side["rounds"] for side in record["sides"].values())
    with_what = ", ".join(f"{name} {version}" for name, version in versions.items())
    turns = f"{rounds} round{'s' if rounds > 1 else ''}"
    seeds = "".join(f", {name} {value}" for name, value in case.arguments.items() if "seed" in name)
    return (
        f"`{command(name, case)}`: {turns}{seeds}, {made['date']}, commit {made['commit']}\n"
        f"<details><summary>machine and versions</summary>{machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {machine['system']}, load {machine['load']}; {with_what}</details>"
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers stand right."""
    numeric = [all(not isinstance(row[n], str) or _is_number(row[n]) for row in rows) for n in range(len(columns))]
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join("--:" if each else "---" for each in numeric) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)])


def _is_number(text: str) -> bool:
    return text in ("", "–") or text[:1].isdigit()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return plot.number(value)
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _profile(profile: Profile) -> str:
    parts = list(dict.fromkeys([*profile.before, *profile.after]))
    rows: list[list[Any]] = [[part, profile.before.get(part, "–"), profile.after.get(part, "–")] for part in parts]
    told = table([profile.stage, f"before, {profile.unit}", f"after, {profile.unit}"], rows)
    return f"{told}\n\n{profile.note}" if profile.note else told


def plots(name: str, about: Topic, known: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The names and texts of the topic's SVG files."""
    if groups := _bar_groups(known):
        units = {_case(record).rate for record in known.values()}
        yield f"{name}.svg", plot.bars(about.title, "rate ÷ reference" if units == {True} else "÷ reference", groups)
    for record in known.values():
        case = _case(record)
        for side in case.sides:
            result = record["sides"][side.name].get("result") or {}
            for index, drawn in enumerate(result.get("plots", ())):
                series = [plot.Line(each, tuple(map(tuple, points))) for each, points in drawn["series"].items()]
                fit = drawn.get("fit", True)
                yield _plot_file(name, case, index), plot.lines(drawn["title"], drawn["x"], drawn["y"], series, fit)


def _bar_groups(known: dict[str, dict[str, Any]]) -> list[tuple[str, list[plot.Bar]]]:
    groups = []
    for record in known.values():
        case = _case(record)
        found = [(side, record["sides"][side.name]) for side in case.sides]
        bars = [
            plot.Bar(side.name, side.role, ratio["median"], ratio["min"], ratio["max"], _drawn_goal(side.goal))
            for side, each in found
            if each["rounds"] and (ratio := each["ratio"]) is not None
        ]
        if len(bars) > 1:
            groups.append((case.title, bars))
    return groups


def _drawn_goal(goal: Goal | None) -> float | None:
    return None if goal is None else goal.at_most if goal.at_most is not None else goal.at_least


def _plot_file(name: str, case: Case, index: int) -> str:
    return f"{name}-{case.name}-{index + 1}.svg".replace(" ", "-")


def _case(record: dict[str, Any]) -> Case:
    return msgspec.convert(record["recipe"], Case)
