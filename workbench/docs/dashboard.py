"""The dashboards as pictures: the widgets of the reviewed template, drawn on CloudWatch's grid with made-up values.

CloudWatch draws a dashboard only in an account; here one sees whether it reads at a glance, and what a change does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from workbench.docs.intrinsics import flat
from workbench.docs.made_up import POINTS, SYNCS, values

CELL, GAP, TOP = 50, 6, 40
PALETTE = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
ALARM_CHARACTERS = 26
_SEARCH = re.compile(r"MetricName=\"(\w+)\"'[^)]*\)(?:/(\d+))?")


@dataclass(frozen=True)
class Line:
    label: str
    color: str
    values: list[float | None]


def pictures(template: dict[str, Any]) -> dict[str, str]:
    """SVG by the dashboard's part: `deployment`, `sync`."""
    found = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Dashboard":
            body = json.loads(flat(resource["Properties"]["DashboardBody"]))
            found["sync" if "Sync" in name else "deployment"] = picture(body)
    return found


def picture(body: dict[str, Any]) -> str:
    widgets = body["widgets"]
    width = 24 * CELL
    height = TOP + CELL * max(one["y"] + one["height"] for one in widgets)
    menu = "".join(f"   {one['label']}: {SYNCS[0]} ▾" for one in body.get("variables", []))
    span = {"-P1D": "the last day", "-P7D": "the last 7 days"}[body["start"]]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#f2f3f3"/>',
        _text(12, 26, f"Drawn from the template; the values are made up. {span.capitalize()}.{menu}", size=15),
    ]
    for one in widgets:
        box = (
            one["x"] * CELL + GAP,
            TOP + one["y"] * CELL + GAP,
            one["width"] * CELL - 2 * GAP,
            one["height"] * CELL - 2 * GAP,
        )
        parts += _widget(one, *box, days=7 if body["start"] == "-P7D" else 1)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _widget(widget: dict[str, Any], x: int, y: int, width: int, height: int, days: int) -> Iterator[str]:
    properties = widget["properties"]
    yield f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="#fff" stroke="#d5dbdb"/>'
    yield _text(x + 10, y + 22, properties["title"], size=14, weight="bold")
    if widget["type"] == "alarm":
        yield from _alarms(properties["alarms"], x, y, width)
        return
    lines = list(_lines(properties["metrics"], days))
    if properties["view"] == "singleValue":
        yield from _numbers(lines, x, y, width)
    else:
        yield from _graph(lines, x, y, width, height, stacked=properties["stacked"], days=days)


def _alarms(alarms: list[str], x: int, y: int, width: int) -> Iterator[str]:
    columns, width = 4, width - 16
    for number, arn in enumerate(alarms):
        name = _alarm_name(arn)
        left, top = x + 10 + number % columns * (width // columns), y + 36 + number // columns * 28
        red = name == "OldDebts-new-orders"
        colour = "#d13212" if red else "#1d8102"
        yield (
            f'<rect x="{left}" y="{top}" width="{width // columns - 8}" height="22" rx="3" fill="#fff"'
            f' stroke="{colour}" stroke-width="{2 if red else 1}"/>'
        )
        yield _text(left + 6, top + 15, name, size=10, colour=colour)


def _alarm_name(arn: str) -> str:
    """Without what all have in common; an alarm of a sync's own stack is known by the ARN that its name makes."""
    name = arn.strip("<>").removeprefix("Alarms").removesuffix(".Arn").rpartition("/")[2]
    return name if len(name) <= ALARM_CHARACTERS else f"{name[: ALARM_CHARACTERS - 1]}…"


def _lines(metrics: list[list[Any]], days: int) -> Iterator[Line]:
    colours = iter(PALETTE * 3)
    known = {one[-1]["id"]: one for one in metrics if isinstance(one[-1], dict) and "id" in one[-1]}
    for metric in metrics:
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        if options.get("visible") is False:
            continue
        label = options.get("label", metric[1] if len(metric) > 1 else "")
        if "expression" not in options:
            yield Line(label, options.get("color") or next(colours), values(metric[1], _which(metric, label), days))
            continue
        found = _SEARCH.search(options["expression"])
        if found is None:
            name, _, over = options["expression"].partition("/")
            shown = _divided(values(known[name][1], SYNCS[0], days), over)
            yield Line(label, options.get("color") or next(colours), shown)
        elif options["expression"].startswith("SUM("):
            of_all = [values(found[1], sync, days) for sync in SYNCS]
            sums: list[float | None] = [sum(one or 0.0 for one in each) for each in zip(*of_all, strict=True)]
            yield Line(label, options.get("color") or next(colours), sums)
        else:
            for sync in SYNCS:
                shown = _divided(values(found[1], sync, days), found[2] or "1")
                yield Line(label.replace("${PROP('Dim.sync')}", sync), next(colours), shown)


def _divided(some: list[float | None], by: str) -> list[float | None]:
    return [None if one is None else one / float(by) for one in some]


def _which(metric: list[Any], label: str) -> str:
    """Whose values: a sync's, or a function's under its label."""
    return SYNCS[0] if metric[0] == "Rowcast" else label


def _numbers(lines: list[Line], x: int, y: int, width: int) -> Iterator[str]:
    for number, line in enumerate(lines):
        left = x + 16 + number * (width // len(lines))
        last = next((value for value in reversed(line.values) if value is not None), 0.0)
        yield _text(left, y + 78, _short(last), size=30, colour=line.color)
        yield _text(left, y + 104, line.label, size=13, colour="#545b64")


def _graph(lines: list[Line], x: int, y: int, width: int, height: int, *, stacked: bool, days: int) -> Iterator[str]:
    left, top, right = x + 46, y + 34, x + width - 12
    rows = _legend_rows(lines, right - left)
    bottom = y + height - 24 - 16 * len(rows)
    drawn = _stacked(lines) if stacked else [(line, [], line.values) for line in lines]
    most = _round(max([1e-9, *(value or 0.0 for _, _, over in drawn for value in over)]))

    def at(number: int, value: float) -> str:
        across = left + (right - left) * number / (POINTS - 1)
        return f"{across:.0f},{bottom - (bottom - top) * value / most:.0f}"

    for tick in range(3):
        height_ = bottom - (bottom - top) * tick / 2
        yield f'<path d="M{left} {height_:.1f}H{right}" stroke="#eaeded"/>'
        yield _text(left - 6, height_ + 4, _short(most * tick / 2), size=10, colour="#545b64", anchor="end")
    for tick in range(5):
        when = f"{6 * tick % 24:02}:00" if days == 1 else f"day {1 + tick * 7 // 4}"
        anchor = "start" if tick == 0 else "end" if tick == 4 else "middle"
        across = left + (right - left) * tick / 4
        yield _text(across, bottom + 14, when, size=10, colour="#545b64", anchor=anchor)
    for line, under, over in drawn:
        up = " ".join(at(number, value) for number, value in enumerate(over) if value is not None)
        if stacked:
            down = " ".join(at(number, value) for number, value in reversed(list(enumerate(under))))
            yield f'<polygon points="{up} {down}" fill="{line.color}" fill-opacity="0.45" stroke="none"/>'
        yield f'<polyline points="{up}" fill="none" stroke="{line.color}" stroke-width="1.4"/>'
    for number, row in enumerate(rows):
        for across, line in row:
            base = bottom + 30 + 16 * number
            yield f'<rect x="{left + across}" y="{base - 8}" width="10" height="8" fill="{line.color}"/>'
            yield _text(left + across + 14, base, line.label, size=10.5, colour="#545b64")


def _stacked(lines: list[Line]) -> list[tuple[Line, list[float], list[float | None]]]:
    under = [0.0] * POINTS
    drawn: list[tuple[Line, list[float], list[float | None]]] = []
    for line in lines:
        over = [low + (value or 0.0) for low, value in zip(under, line.values, strict=True)]
        drawn.append((line, under, [*over]))
        under = over
    return drawn


def _legend_rows(lines: list[Line], width: int) -> list[list[tuple[int, Line]]]:
    rows: list[list[tuple[int, Line]]] = [[]]
    across = 0
    for line in lines:
        needed = 26 + round(6.2 * len(line.label))
        if across and across + needed > width:
            rows.append([])
            across = 0
        rows[-1].append((across, line))
        across += needed
    return rows


def _round(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    weight: str = "normal",
    colour: str = "#16191f",
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
        f' text-anchor="{anchor}">{escape(text)}</text>'
    )
