"""Plots as SVG that read well on light and on dark ground: no background, and colours that follow the reader's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

WIDTH = 760
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #57606a } .title { font-weight: 600; font-size: 13px; fill: #24292f }
.line { stroke: #8c959f; stroke-width: 1 } .soft { stroke: #8c959f; stroke-opacity: .3 }
.ours { fill: #1a7f64 } .limit { fill: #8c959f } .peer { fill: #bf6b21 }
.spread { stroke: #24292f; stroke-width: 1.5 } .goal { stroke: #cf222e; stroke-width: 2; stroke-dasharray: 4 3 }
.s0 { stroke: #1a7f64; fill: #1a7f64 } .s1 { stroke: #bf6b21; fill: #bf6b21 } .s2 { stroke: #6f54c9; fill: #6f54c9 }
.s3 { stroke: #1f6fbf; fill: #1f6fbf } .fit { stroke-dasharray: 5 4; fill: none; stroke-opacity: .6 }
@media (prefers-color-scheme: dark) {
  text { fill: #9da7b3 } .title { fill: #e6edf3 } .spread { stroke: #e6edf3 }
  .ours, .s0 { fill: #3fb393 } .peer, .s1 { fill: #e0954f } .s2 { fill: #a18cf0 } .s3 { fill: #5aa9f5 }
  .s0 { stroke: #3fb393 } .s1 { stroke: #e0954f } .s2 { stroke: #a18cf0 } .s3 { stroke: #5aa9f5 }
}
</style>"""


class Bar(msgspec.Struct, frozen=True):
    name: str
    role: str
    value: float
    least: float
    most: float
    goal: float | None = None


class Line(msgspec.Struct, frozen=True):
    name: str
    points: tuple[tuple[float, float], ...]


class Scale:
    """Places values between two ends, by their logarithm where they spread widely."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        self.is_log = low > 0 and high / low > 20
        self._low = 10.0 ** math.floor(math.log10(low)) if self.is_log else 0.0
        self._high = high * 1.1 or 1.0
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        if self.is_log:
            share = math.log(max(value, self._low) / self._low) / math.log(self._high / self._low)
        else:
            share = value / self._high
        return round(self._start + share * (self._end - self._start), 1)

    def ticks(self) -> list[float]:
        if self.is_log:
            powers = range(round(math.log10(self._low)), math.floor(math.log10(self._high)) + 1)
            return [10.0**power for power in powers]
        step = 10 ** math.floor(math.log10(self._high / 2))
        step *= next((by for by in (1, 2, 5) if self._high / (step * by) <= 6), 10)
        return [step * n for n in range(math.floor(self._high / step) + 1)]


def bars(title: str, unit: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Groups of bars that lie, with their spread, and a line at each one's goal."""
    values = [each for _, group in groups for bar in group for each in (bar.least, bar.most, bar.goal or bar.value)]
    scale, left = Scale([value for value in values if value > 0], 250, WIDTH - 90), 244
    parts, y = [_text(8, 20, title, "title"), _text(8, 38, f"{unit}{', logarithmic' if scale.is_log else ''}")], 52
    top = y
    for name, group in groups:
        parts.append(_text(8, y + 14, name, "title"))
        y += 22
        for bar in group:
            end, middle = scale(bar.value), y + 8
            parts.append(_text(left, y + 12, bar.name, anchor="end"))
            parts.append(
                f'<rect class="{bar.role}" x="250" y="{y}" width="{max(end - 250, 1):.1f}" height="15" rx="2"/>'
            )
            parts.append(_line(scale(bar.least), middle, scale(bar.most), middle, "spread"))
            if bar.goal is not None:
                parts.append(_line(scale(bar.goal), y - 2, scale(bar.goal), y + 17, "goal"))
            parts.append(_text(max(end, scale(bar.most)) + 6, y + 12, number(bar.value)))
            y += 20
        y += 8
    ticks = [part for tick in scale.ticks() for part in _tick_below(scale(tick), top, y, tick)]
    return _svg(y + 26, [*ticks, *parts])


def lines(title: str, x_name: str, y_name: str, series: Sequence[Line], fit: bool = True) -> str:
    """Points with their lines; with `fit`, the straight line of least squares of each."""
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    across, up = Scale([0, *xs], 70, WIDTH - 40), Scale([0, *ys], 270, 50)
    parts = [_text(8, 20, title, "title"), _text(8, 40, y_name), _text(WIDTH - 40, 312, x_name, anchor="end")]
    for tick in across.ticks():
        parts += [
            _line(across(tick), 50, across(tick), 270, "soft"),
            _text(across(tick), 288, number(tick), anchor="middle"),
        ]
    for tick in up.ticks():
        parts += [
            _line(70, up(tick), WIDTH - 40, up(tick), "soft"),
            _text(62, up(tick) + 4, number(tick), anchor="end"),
        ]
    for index, line in enumerate(series):
        kind = f"s{index % 4}"
        parts += [f'<circle class="{kind}" cx="{across(x)}" cy="{up(y)}" r="4"/>' for x, y in line.points]
        if fit and len(line.points) > 1:
            slope, start = straight(line.points)
            last = max(x for x, _ in line.points)
            parts.append(_line(across(0), up(max(start, 0)), across(last), up(slope * last + start), f"fit {kind}"))
        else:
            places = " ".join(f"{across(x)},{up(y)}" for x, y in line.points)
            parts.append(f'<polyline class="{kind}" style="fill:none" points="{places}"/>')
        parts.append(f'<rect class="{kind}" x="8" y="{322 + 18 * index}" width="12" height="12" rx="2"/>')
        parts.append(_text(26, 332 + 18 * index, line.name))
    return _svg(330 + 18 * len(series), parts)


def straight(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and start of the line of least squares."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    return slope, mean_y - slope * mean_x


def number(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:,.3g} M"
    if abs(value) >= 10_000:
        return f"{value / 1_000:,.3g} k"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _svg(height: float, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">\n{STYLE}\n' + "\n".join(parts) + "\n</svg>\n"


def _text(x: float, y: float, text: Any, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(str(text))}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _tick_below(x: float, top: float, bottom: float, tick: float) -> list[str]:
    return [_line(x, top, x, bottom, "soft"), _text(x, bottom + 16, number(tick), anchor="middle")]
