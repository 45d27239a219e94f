"""A user's folder with two sources and one alert channel, for tests to spoil."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import project
from project import Problem, ProjectInvalid

MAIN: dict[str, Any] = {
    "sources": {
        "shop": {"type": "files", "path": "data"},
        "warehouse": {"type": "postgres", "host": "h", "database": "d", "user": "u"},
    },
    "alerts": {"data-team": {"type": "email", "address": "a@example.com"}},
}
EVENT = {"bus": "orders", "source": "com.shop", "detail_type": "Order placed"}
TO_EVENTBRIDGE: dict[str, Any] = {
    "model": {"source": "shop", "query": "SELECT 1 AS id", "primary_key": "id"},
    "destination": {"type": "eventbridge"},
    "triggers": {"added": EVENT},
}
TO_LAMBDA = TO_EVENTBRIDGE | {"destination": {"type": "lambda", "function": "welcome"}, "triggers": {"added": True}}
ROLE = "arn:aws:iam::111122223333:role/rowcast"


def put(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the mapping in which this place holds this value (`...`: nothing)."""
    first, _, rest = path.partition(".")
    copy = dict(base)
    if rest:
        copy[first] = put(copy.get(first) or {}, rest, value)
    elif value is ...:
        del copy[first]
    else:
        copy[first] = value
    return copy


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "data").mkdir()
        (root / "syncs").mkdir()
        self.write("rowcast.yaml", MAIN)

    def write(self, file: str, content: dict[str, Any] | str | bytes) -> Folder:
        if isinstance(content, dict):
            content = yaml.safe_dump(content, sort_keys=False)
        place = self.root / file
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self

    def problems(self) -> list[Problem]:
        with pytest.raises(ProjectInvalid) as caught:
            project.load(self.root)
        return caught.value.problems

    def problem(self) -> Problem:
        (problem,) = self.problems()
        return problem

    def in_sync(self, path: str, value: Any, base: dict[str, Any] = TO_EVENTBRIDGE) -> Problem:
        return self.write("syncs/orders.yaml", put(base, path, value)).problem()

    def in_main(self, path: str, value: Any) -> Problem:
        return self.write("syncs/orders.yaml", TO_EVENTBRIDGE).write("rowcast.yaml", put(MAIN, path, value)).problem()
