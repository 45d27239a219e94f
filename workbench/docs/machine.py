"""The picture of the state machine, drawn from infra/sync.asl.json."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from html import escape
from typing import Any

Edge = tuple[str, str]

ERROR = "Any error"
SPINE = (
    "Open WhereToGoOn Snapshot AnythingToDiff Diff Seal WhatToSend BeginWork FanOut Commit Committed Completed Announce"
)
COLUMNS = {
    **dict.fromkeys(SPINE.split(), 2.0),
    **{"NothingToStart": 1.0, "ResumeWork": 3.0, "Held": 1.0, "Planned": 0.0, "Stopped": 3.0},
    **{
        "HowItEnded": 2.0,
        "Done": 1.5,
        "RunFailed": 2.6,
        ERROR: 4.5,
        "Fail": 4.5,
        "Failed": 4.0,
        "FailedUnrecorded": 5.0,
        "WhoIsTold": 4.5,
    },
}
LANES = {("AnythingToDiff", "Seal"): 2.65, ("WhatToSend", "Commit"): 2.65, ("WhereToGoOn", "Commit"): 3.65}
WIDE, HIGH, STEP_X, STEP_Y, MARGIN = 124, 36, 148, 74, 24
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1b1f24; text-anchor: middle; dominant-baseline: central }
  .label { font-size: 11px; fill: #57606a; paint-order: stroke; stroke: #fff; stroke-width: 4px }
  .Task rect, .Map rect { fill: #ddf4ff; stroke: #0969da } .Choice rect { fill: #fff8c5; stroke: #9a6700 }
  .Pass rect { fill: #f6f8fa; stroke: #8c959f } .Succeed rect { fill: #dafbe1; stroke: #1a7f37 }
  .Fail rect { fill: #ffebe9; stroke: #cf222e } .Map rect.behind { fill: #fff }
  path { fill: none; stroke: #57606a; marker-end: url(#head) } path.again { stroke-dasharray: 4 3 }
"""


@dataclass
class Graph:
    kinds: dict[str, str]
    labels: dict[Edge, str]
    again: dict[Edge, str]


@dataclass
class Drawing:
    """Places in units: `y` is the rank from 0, `x` the column; `bends` are an edge's points between its ends."""

    x: dict[str, float]
    y: dict[str, int]
    bends: dict[Edge, list[tuple[float, int]]]


def _draw(nodes: list[str], edges: list[Edge]) -> Drawing:
    strange = [node for node in nodes if node not in COLUMNS]
    if strange:
        raise LookupError(f"Give {', '.join(strange)} a column in workbench/docs/machine.py")
    y = _ranks(nodes, edges)
    bends = {}
    for start, end in edges:
        lane = LANES.get((start, end), COLUMNS[start])
        bends[start, end] = [(lane, rank) for rank in range(y[start] + 1, y[end])]
    return Drawing({node: COLUMNS[node] for node in nodes}, y, bends)


def _ranks(nodes: list[str], edges: list[Edge]) -> dict[str, int]:
    """The longest way from the first node; what that does not lead to stands right above what it leads to itself."""
    ranks = dict.fromkeys(nodes, 0)
    reached = {nodes[0]}
    for _ in nodes:
        for start, end in edges:
            ranks[end] = max(ranks[end], ranks[start] + 1)
            if start in reached:
                reached.add(end)
    for _ in nodes:
        for node in nodes:
            if node not in reached:
                ranks[node] = min(ranks[end] for start, end in edges if start == node) - 1
    return ranks


def svg(machine: dict[str, Any]) -> str:
    """All states but those of single partitions and chunks; what every state does on an error is one node."""
    graph = _graph(machine)
    drawing = _draw(list(graph.kinds), list(graph.labels))
    width = int(max(drawing.x.values()) * STEP_X + WIDE + 2 * MARGIN + 40)
    height = int(max(drawing.y.values()) * STEP_Y + HIGH + 2 * MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="The state machine of a run">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0L8,4L0,8z" style="fill:#57606a;stroke:none;marker-end:none"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#fff"/>',
        *(_edge(drawing, edge) for edge in graph.labels),
        *(_way_back(drawing, edge, label, width) for edge, label in graph.again.items()),
        *(_node(drawing, name, kind) for name, kind in graph.kinds.items()),
        *(_label(drawing, edge, text) for edge, text in graph.labels.items() if text),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _graph(machine: dict[str, Any]) -> Graph:
    states: dict[str, dict[str, Any]] = dict(machine["States"])
    unknown = {name for name, state in states.items() if state.get("Next") == "Fail" and state["Type"] == "Pass"}
    kinds = {name: state["Type"] for name, state in states.items() if name not in unknown} | {ERROR: "Fail"}
    labels: dict[Edge, str] = {(ERROR, "Fail"): ""}
    for name in kinds:
        for target, label in _ways(states.get(name, {})):
            if target not in unknown:
                labels[name, target] = label
        for caught in states.get(name, {}).get("Catch", []):
            if caught["Next"] not in {"Fail", states[name].get("Next")}:
                labels[name, caught["Next"]] = "on error"
    order = list(kinds)
    again = {edge: label for edge, label in labels.items() if _goes_back(edge, labels, order)}
    return Graph(kinds, {edge: label for edge, label in labels.items() if edge not in again}, again)


def _ways(state: dict[str, Any]) -> list[tuple[str, str]]:
    ways = [(choice["Next"], _condition(choice)) for choice in state.get("Choices", [])]
    for key in ("Next", "Default"):
        if key in state:
            ways.append((state[key], "else" if key == "Default" else ""))
    return ways


def _condition(choice: dict[str, Any]) -> str:
    if "Or" in choice:
        return " / ".join(_condition(one) for one in choice["Or"])
    if "And" in choice:
        return " and ".join(_condition(one) for one in choice["And"])
    name = str(choice.get("Variable", "")).rpartition(".")[2]
    value = choice.get("StringEquals")
    if value is not None:
        return str(value)
    if "BooleanEquals" in choice:
        return name if choice["BooleanEquals"] else f"not {name}"
    return f"{name} > 0" if "NumericGreaterThan" in choice else name


def _goes_back(edge: Edge, labels: dict[Edge, str], order: list[str]) -> bool:
    """Whether the edge leads to a state from which its start is reached, and which stands earlier in the file."""
    start, end = edge
    if order.index(end) > order.index(start):
        return False
    reached, new = {end}, [end]
    while new:
        one = new.pop()
        more = [to for by, to in labels if by == one and to not in reached]
        reached.update(more)
        new += more
    return start in reached


def _centre(drawing: Drawing, name: str) -> tuple[float, float]:
    return MARGIN + WIDE / 2 + drawing.x[name] * STEP_X, MARGIN + HIGH / 2 + drawing.y[name] * STEP_Y


def _edge(drawing: Drawing, edge: Edge) -> str:
    (x1, y1), (x2, y2) = _centre(drawing, edge[0]), _centre(drawing, edge[1])
    points = [(x1, y1 + HIGH / 2)]
    for x, rank in drawing.bends[edge]:
        place, middle = MARGIN + WIDE / 2 + x * STEP_X, MARGIN + HIGH / 2 + rank * STEP_Y
        points += [(place, middle - HIGH / 2), (place, middle + HIGH / 2)]
    points.append((x2, y2 - HIGH / 2))
    drawn = [f"M{points[0][0]:.0f},{points[0][1]:.0f}"]
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        if ax == bx:
            drawn.append(f"L{bx:.0f},{by:.0f}")
        else:
            half = (by - ay) / 2
            drawn.append(f"C{ax:.0f},{ay + half:.0f} {bx:.0f},{by - half:.0f} {bx:.0f},{by:.0f}")
    return f'<path d="{" ".join(drawn)}"/>'


def _way_back(drawing: Drawing, edge: Edge, label: str, width: int) -> str:
    """Around the right of everything, to the state where it begins anew."""
    (x1, y1), (x2, y2) = _centre(drawing, edge[0]), _centre(drawing, edge[1])
    far = width - MARGIN - 8 if y1 - y2 > 3 * STEP_Y else max(x1, x2) + WIDE / 2 + 26
    path = f"M{x1 + WIDE / 2:.0f},{y1:.0f} H{far - 10:.0f} Q{far:.0f},{y1:.0f} {far:.0f},{y1 - 10:.0f}"
    path += f" V{y2 + 10:.0f} Q{far:.0f},{y2:.0f} {far - 10:.0f},{y2:.0f} H{x2 + WIDE / 2:.0f}"
    text = f'<text class="label" x="{x1 + WIDE / 2 + 26:.0f}" y="{y1 - 9:.0f}">{escape(label)}</text>'
    return f'<path class="again" d="{path}"/>{text}'


def _node(drawing: Drawing, name: str, kind: str) -> str:
    x, y = _centre(drawing, name)
    left, top = x - WIDE / 2, y - HIGH / 2
    behind = f'<rect class="behind" x="{left + 5:.0f}" y="{top - 5:.0f}" width="{WIDE}" height="{HIGH}" rx="6"/>'
    round_ = 20 if kind in {"Choice", "Succeed", "Fail"} else 6
    box = f'<rect x="{left:.0f}" y="{top:.0f}" width="{WIDE}" height="{HIGH}" rx="{round_}"/>'
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()
    text = f'<text x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'
    return f'<g class="{kind}">{behind if kind == "Map" else ""}{box}{text}</g>'


def _label(drawing: Drawing, edge: Edge, text: str) -> str:
    """Beside the edge's beginning, a little on the way to its first bend."""
    (x1, y1), (x2, _) = _centre(drawing, edge[0]), _centre(drawing, edge[1])
    first = drawing.bends[edge][0][0] * STEP_X + MARGIN + WIDE / 2 if drawing.bends[edge] else x2
    x, anchor = (x1 - 8, "end") if first == x1 else (x1 + (first - x1) * 0.66, "end" if first < x1 else "middle")
    style = f'style="text-anchor:{anchor}"'
    return f'<text class="label" {style} x="{x:.0f}" y="{y1 + HIGH / 2 + 18:.0f}">{escape(text)}</text>'
