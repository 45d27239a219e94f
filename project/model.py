"""What a user's folder says once it has been read: the result of `project.load`, and what may be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rowcast.definition import Definition, SecretRef, Source


@dataclass(frozen=True)
class Problem:
    """One mistake in the folder.

    `file` is relative to the folder; `path` is where in the file, like `triggers.changed.columns[0]`; `expected` and
    `suggestion` say how to mend it. No field ever holds a secret.
    """

    file: str
    line: int | None
    path: str
    message: str
    expected: str | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        lines = [f"{place}  {self.path}".rstrip(), f"    {self.message}"]
        if self.expected:
            lines.append(f"    expected: {self.expected}")
        if self.suggestion:
            lines.append(f"    did you mean: {self.suggestion}")
        return "\n".join(lines)


class ProjectInvalid(Exception):
    """The folder has mistakes: all of them, in the order of files and lines."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(problems)

    def __str__(self) -> str:
        count = len(self.problems)
        heading = "1 problem" if count == 1 else f"{count} problems"
        return "\n".join([f"{heading} in the project's configuration", *(f"\n{problem}" for problem in self.problems)])


@dataclass(frozen=True)
class Schedule:
    """`expression` as EventBridge Scheduler takes it; None means that only people start the sync."""

    expression: str | None = None
    timezone: str | None = None


@dataclass(frozen=True)
class Sync:
    """`file` is relative to the project's folder; `alerts` name channels of the project."""

    name: str
    file: str
    definition: Definition
    schedule: Schedule
    alerts: tuple[str, ...]


@dataclass(frozen=True)
class AlertChannel:
    """`type`: email, sms, slack, pagerduty, webhook or eventbridge; `fields` are that type's own."""

    name: str
    type: str
    fields: dict[str, str | SecretRef]


@dataclass(frozen=True)
class Endpoints:
    """Where the deployment makes the endpoints of AWS's services that a source's function needs."""

    vpc: str
    route_tables: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """Where in a VPC a source's snapshot function runs: ids, so that nothing is looked up when it is deployed.
    `endpoints` None: there are some, or a NAT gateway."""

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    endpoints: Endpoints | None = None


@dataclass(frozen=True)
class LocalFunction:
    """A target function that lies in the project: `name` is how definitions call it, `file` is absolute."""

    name: str
    file: Path
    handler: str


@dataclass(frozen=True)
class Project:
    """`folders`: the folders of the project that `files` sources read, by source. `secrets`: all those referred to.
    `networks`: by source, for those inside a VPC. `alarms`: the channels that are told of alarms, too.
    """

    root: Path
    name: str
    sources: dict[str, Source]
    syncs: dict[str, Sync]
    alerts: dict[str, AlertChannel]
    functions: tuple[LocalFunction, ...]
    folders: dict[str, Path]
    secrets: tuple[SecretRef, ...]
    networks: dict[str, Network] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
