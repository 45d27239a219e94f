"""What a topic declares: cases, their sides, and what is said of them in the report."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Size = Literal["small", "full"]
Role = Literal["ours", "limit", "peer"]


class Goal(msgspec.Struct, kw_only=True, frozen=True):
    """What a side is to reach. Of the ratio of times `at_most`, of the ratio of rates `at_least`."""

    at_most: float | None = None
    at_least: float | None = None
    peak_mb: float | None = None


class Side(msgspec.Struct, kw_only=True, frozen=True):
    """One way to do what the case asks.

    `call` is `module:function`: it takes `arguments` (with what the case prepared) by name, and answers a JSON object
    or None. Keys with a meaning: `digest` (all sides that answer one must answer the same), `work` (units done, where
    sides do not do the same amount), `table` and `plots` (shown as they are: see bench.report).
    `rounds`: at most so many, for a slow side. A peer that fails or takes too long is told of in the report; another
    side that does fails the case.
    """

    name: str
    call: str
    role: Role = "peer"
    arguments: dict[str, Any] = {}
    goal: Goal | None = None
    rounds: int | None = None
    timeout: float = 900.0


class Case(msgspec.Struct, kw_only=True, frozen=True):
    """Sides that are measured in turn, A B A B; ratios are to the side `reference` in the same round.

    `name`: no two of a topic have one, whatever their size.

    `prepare`: a `module:function` called once in a process of its own; it answers arguments for every side. Of these,
    `warm` is not passed on: it lists files and folders to read into the page cache before each round.
    `serve`: a `module:function` that runs beside the case; it writes arguments for every side as one line of JSON and
    then serves until it is terminated. Of its arguments, `server_pid` has the memory of its processes counted.
    `measure`: what ratios are taken of. `rate`: shown as units of work a second, more is better.
    """

    name: str
    title: str
    sides: tuple[Side, ...]
    reference: str
    size: Size = "small"
    rounds: int = 5
    measure: Literal["seconds", "cpu"] = "seconds"
    rate: bool = False
    prepare: str | None = None
    arguments: dict[str, Any] = {}
    serve: str | None = None
    unit: str = "units"
    note: str = ""


class Profile(msgspec.Struct, kw_only=True, frozen=True):
    """Where the time of a stage went, in seconds or shares, before and after it was worked on."""

    stage: str
    unit: str
    before: dict[str, float]
    after: dict[str, float]
    note: str = ""


class Topic(msgspec.Struct, kw_only=True, frozen=True):
    """A topic module's `TOPIC`. `about` and `remains` are Markdown; `remains` tells what lies between the figures and
    the limit, and why."""

    title: str
    about: str = ""
    remains: str = ""
    profiles: tuple[Profile, ...] = ()
