"""Walks a state machine's definition over the handlers: those parts of the Amazon States Language that Rowcast uses."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

import handlers.commit
import handlers.diff
import handlers.fail
import handlers.open
import handlers.publish
import handlers.seal
import handlers.snapshot
from rowcast.errors import RowcastError
from rowcast.models import to_json
from tests.handled import HandledWorld

State = dict[str, Any]
_FUNCTIONS = {
    "${OpenFunction}": handlers.open,
    "$.open.answer.snapshot_function": handlers.snapshot,
    "${DiffFunction}": handlers.diff,
    "${SealFunction}": handlers.seal,
    "$.function": handlers.publish,
    "${CommitFunction}": handlers.commit,
    "${FailFunction}": handlers.fail,
}


class Died(Exception):
    """The execution ends here, whatever it was at."""


class Execution:
    """One execution of `machine`. `on` sees each state's name before it; `announced` are its events' detail types."""

    def __init__(self, machine: State, world: HandledWorld, on: Callable[[str], None] = lambda state: None) -> None:
        self._machine, self._world, self._on = machine, world, on
        self._context: dict[str, Any] = {}
        self.announced: list[str] = []

    def start(self, **steer: Any) -> tuple[str, Any]:
        """The state in which it ended, and that state's output."""
        start = {"sync": self._world.sync, "scheduled_at": self._world.next_time(), **steer}
        name = f"execution-{self._world.starts}"
        self._context = {"Execution": {"Id": name, "Input": start}}
        self._world.executions.running.add(name)
        try:
            return self._walk(self._machine, start)
        finally:
            self._world.executions.running.discard(name)

    def _walk(self, machine: State, data: dict[str, Any]) -> tuple[str, Any]:
        name = machine["StartAt"]
        while True:
            self._on(name)
            state = machine["States"][name]
            if state["Type"] in ("Succeed", "Fail"):
                return name, self._value(state.get("OutputPath", "$"), data)
            try:
                data = self._done(state, data)
            except RowcastError as error:
                (catch,) = state["Catch"]
                data = _put(catch["ResultPath"], data, _told(error))
                name = catch["Next"]
                continue
            if state.get("End"):
                return name, data
            name = self._next(state, data)

    def _done(self, state: State, data: dict[str, Any]) -> dict[str, Any]:
        result: Any
        if state["Type"] == "Choice":
            return data
        if state["Type"] == "Pass":
            result = state["Result"] if "Result" in state else self._object(state["Parameters"], data)
        elif state["Type"] == "Map":
            result = self._mapped(state, data)
        elif state["Resource"].endswith(":lambda:invoke"):
            asked = state["Parameters"]
            function = _FUNCTIONS[asked.get("FunctionName") or asked["FunctionName.$"]]
            result = {"Payload": self._call(function, self._object(asked["Payload"], data))}
        else:
            result = self.announced.append(self._value("$.end.detail_type", data))
        if "ResultSelector" in state:
            result = self._object(state["ResultSelector"], result)
        return _put(state.get("ResultPath", "$"), data, result)

    def _call(self, function: ModuleType, event: dict[str, Any]) -> dict[str, Any]:
        answer = self._world._handled(function, **event)
        return dict(vars(answer))

    def _mapped(self, state: State, data: dict[str, Any]) -> None:
        key = self._object(state["ItemReader"]["Parameters"], data)["Key"]
        for item in self._world.snapshots.work(key):
            self._context["Map"] = {"Item": {"Value": item}}
            self._walk(state["ItemProcessor"], self._object(state["ItemSelector"], data))

    def _next(self, state: State, data: dict[str, Any]) -> str:
        for choice in state.get("Choices", []):
            if self._holds(choice, data):
                return str(choice["Next"])
        return str(state.get("Next") or state["Default"])

    def _holds(self, rule: State, data: dict[str, Any]) -> bool:
        if "And" in rule:
            return all(self._holds(one, data) for one in rule["And"])
        if "Or" in rule:
            return any(self._holds(one, data) for one in rule["Or"])
        if "IsPresent" in rule:
            return (rule["Variable"].removeprefix("$.") in data) is rule["IsPresent"]
        value = self._value(rule["Variable"], data)
        if "NumericGreaterThan" in rule:
            return bool(value > rule["NumericGreaterThan"])
        return bool(value == rule.get("StringEquals", rule.get("BooleanEquals")))

    def _object(self, template: State, data: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in template.items():
            if name.endswith(".$"):
                made[name.removesuffix(".$")] = self._value(value, data)
            else:
                made[name] = self._object(value, data) if isinstance(value, dict) else value
        return made

    def _value(self, path: str, data: Any) -> Any:
        found = self._context if path.startswith("$$") else data
        for name in path.lstrip("$").split(".")[1:]:
            found = found[name]
        return found


def _told(error: RowcastError) -> dict[str, str]:
    stack = traceback.format_list(traceback.extract_tb(error.__traceback__))
    kind = type(error).__name__
    cause = {"errorMessage": str(error), "errorType": kind, "stackTrace": stack}
    return {"Error": kind, "Cause": to_json(cause).decode()}


def _put(path: str | None, data: dict[str, Any], result: Any) -> dict[str, Any]:
    if path is None:
        return data
    return result if path == "$" else {**data, path.removeprefix("$."): result}  # type: ignore[no-any-return]
