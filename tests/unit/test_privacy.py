"""No value of a row and no secret leaves the handlers, whatever goes wrong (I11).

Canaries lie in every column and in the key of each row, and in the text of whatever is raised. They may be in stores
and call records; they must be in no log line, input, answer, error text or traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import duckdb
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from rowcast.definition import Alerts, Definition, Guard, Limits, Message, Retry
from rowcast.errors import MessageInvalid, SourceFailed
from rowcast.message import RunInfo, compile_message
from rowcast.models import Change, Notice, Run
from rowcast.ports import MessageToSend, Render, Verdict
from tests.contract.test_destinations import a_bridge
from tests.handled import HandledWorld
from tests.world import ALL_ON, sync_definition

pytestmark = pytest.mark.usefixtures("remembered")

CANARY = "canary-7f3a"


class CanaryWorld(HandledWorld):
    """Rows full of canaries, under messages of the definition."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        super().__init__(monkeypatch, sync_definition(**changes))
        self.source.columns = {"id": "text", "v": "text"}
        self.put_rows(3)

    def put_rows(self, count: int, value: str = "") -> None:
        self.source.rows = [{"id": f"{CANARY}-{index}", "v": f"{CANARY} {value}"} for index in range(count)]

    def render(self, definition: Definition, run: Run) -> Render:
        return compile_message(definition, RunInfo(id=run.run, started_at=run.started_at))

    def is_quiet(self) -> bool:
        """Whether nothing outside holds a canary, though something was said."""
        assert '"sync"' in self.outside
        return CANARY not in self.outside


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> CanaryWorld:
    return CanaryWorld(monkeypatch)


@pytest.fixture(autouse=True)
def _nothing_is_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level("INFO")
    yield
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err + caplog.text


def test_a_run_that_goes_well_says_counts_and_names(world: CanaryWorld) -> None:
    assert world.run()["accepted"] == 3
    world.put_rows(2, "changed")
    assert world.run()["changed"] == 2
    assert world.is_quiet()
    assert all(step in world.outside for step in ("open", "snapshot", "diff", "seal", "publish", "commit"))


@pytest.mark.parametrize("kind", ["rejected", "refused", "in_doubt", "throttled"])
def test_the_targets_own_words_stay_with_the_debts(world: CanaryWorld, kind: Any) -> None:
    world.target.answer = lambda message, attempt: Verdict(kind=kind, reason=f"No such person: {CANARY}")
    assert world.run()["owed_after"] == 3
    assert world.run()["owed_after"] == 3
    assert world.is_quiet()
    assert all(CANARY in debt.reason for debt in world.owed().values())


def test_a_run_that_stops_for_one_same_reason_does_not_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = CanaryWorld(monkeypatch, limits=Limits(concurrency=1), retry=Retry(immediate=0))
    world.put_rows(300)
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason=CANARY)
    summary = world.run()
    assert (summary["status"], "same reason" in summary["reason"]) == ("failed", True)
    assert world.is_quiet()


@pytest.mark.parametrize(
    "message",
    [
        Message(template='{"v": {{ row.v | cast: "number" }}}'),
        Message(template='{"v": {{ row.v | parse_json }}}'),
        Message(template='{"v": {{ row.v }}{{ row.v }}}'),
        Message(template='{"v": {{ row.v | divided_by: 0 }}}'),
        Message(column="v"),
        Message(columns={"x": "missing"}),
    ],
)
def test_a_message_that_cannot_be_made_says_why_without_the_value(
    monkeypatch: pytest.MonkeyPatch, message: Message
) -> None:
    world = CanaryWorld(monkeypatch, message=message)
    assert world.run()["rejected"] == 3
    assert world.is_quiet()
    assert not any(CANARY in debt.reason for debt in world.owed().values())


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": CANARY, "v": CANARY}, {"id": CANARY, "v": "other"}],
        [{"id": None, "v": CANARY}],
    ],
    ids=["a key that comes twice", "a key that is null"],
)
def test_rows_without_a_key_of_their_own_are_told_by_hash(world: CanaryWorld, rows: list[dict[str, Any]]) -> None:
    world.source.rows = rows
    assert world.run()["status"] == "failed"
    assert world.is_quiet()


def test_a_run_that_is_held_says_no_value(world: CanaryWorld) -> None:
    world.run()
    world.source.rows = []
    assert world.run()["status"] == "held"
    world.put_rows(300)
    world.deploy(sync_definition(guard=Guard(max_changed=1.0)))
    world.run()
    world.put_rows(100)
    assert world.run()["status"] == "held"
    assert world.is_quiet()


def test_a_change_of_type_is_told_without_a_value(world: CanaryWorld) -> None:
    world.source.columns["w"] = "text"
    world.source.rows = [{"id": CANARY, "v": CANARY, "w": "1000777777777777777"}]
    world.run()
    world.source.columns["w"] = "integer"
    assert world.run()["status"] == "held"
    assert world.is_quiet()
    assert "777777777777777" not in world.outside


def test_a_forged_message_in_the_retry_queue_is_put_aside_in_silence(world: CanaryWorld) -> None:
    world.queue.put(Notice(sync="orders", run=CANARY, chunk=CANARY, key_hashes=[CANARY]))
    world.queue.put(Notice(sync=CANARY, run=CANARY, chunk=CANARY))
    world.queue.put(None)
    world.run()
    assert len(world.queue.quarantined) == 3
    assert world.is_quiet()


def client_error(operation: str, code: str = "SomethingException") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": f"Value {CANARY} is wrong"}}
    return ClientError(response, operation)


RAISED: dict[str, Callable[[], Exception]] = {
    "an error of Python": lambda: ValueError(f"invalid literal: {CANARY}"),
    "a missing key": lambda: KeyError(CANARY),
    "an error that was caused by another": lambda: _caused(),
    "an error of AWS": lambda: client_error("PutItem"),
    "a lost connection": lambda: EndpointConnectionError(endpoint_url=f"https://{CANARY}"),
    "a reply that did not come": lambda: ReadTimeoutError(endpoint_url=f"https://{CANARY}"),
    "an error of the engine": lambda: duckdb.ConversionException(f"Could not convert string '{CANARY}' to INT32"),
    "no memory": lambda: MemoryError(CANARY),
    "too deep a recursion": lambda: RecursionError(CANARY),
    "a note": lambda: _noted(),
}


def _caused() -> Exception:
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as cause:
            raise TypeError(CANARY) from cause
    except TypeError as error:
        return error


def _noted() -> Exception:
    error = RuntimeError("see the note")
    error.add_note(CANARY)
    return error


PORTS = {
    "states": ("head", "run", "take_lock", "begin", "save", "commit", "close", "add_rejections", "stop"),
    "snapshots": ("put_file", "put_manifest", "manifest", "fetch", "put_work", "delete_run", "delete"),
    "definitions": ("deployment", "deployed_definition", "pin", "pinned"),
    "changes": ("put_chunk", "chunk", "put_result", "results", "claim", "record", "states", "mark_booked"),
    "debts": ("debts", "existing", "book"),
    "queue": ("send", "receive", "delete", "quarantine"),
    "calls": ("put",),
    "executions": ("is_running",),
    "source": ("query",),
    "target": ("check", "batches", "send"),
}


def busy(world: CanaryWorld) -> None:
    """Makes the next run go through every call of every port."""

    def answer(message: MessageToSend, attempt: int) -> Verdict:
        odd = message.change.key[0][-1] in "13579"
        return Verdict(kind="rejected", reason=CANARY) if odd else Verdict(kind="accepted")

    world.target.answer = answer
    world.run()
    world.queue.put(None)
    world.queue.put(Notice(sync=world.sync, run="not of ours", chunk="00000-000000", key_hashes=["0" * 32]))
    world.put_rows(200, "changed")
    world.states.heads[world.sync].holder = "an execution that died"


@pytest.mark.parametrize("place", [f"{port}.{name}" for port, names in PORTS.items() for name in names])
def test_an_unexpected_error_is_told_by_kind_and_place(
    world: CanaryWorld, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    busy(world)
    port, name = place.split(".")
    raised: list[Exception] = []

    for error in RAISED.values():

        def fail(*_: Any, error: Callable[[], Exception] = error, **__: Any) -> Any:
            raised.append(error())
            raise raised[-1]

        with monkeypatch.context() as patch, suppress(Exception):  # what `fail` itself raises, nothing catches
            patch.setattr(getattr(world, port), name, fail)
            world.run()
            world.source.fail = SourceFailed("The query failed.")  # a run that is closed, not committed
            world.run()
    world.source.fail = None
    assert raised
    assert world.is_quiet()


@pytest.mark.parametrize("kind", RAISED)
def test_an_unexpected_error_while_a_message_is_made_is_told_by_kind_and_place(
    world: CanaryWorld, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def render(change: Change) -> bytes:
        raise RAISED[kind]()

    monkeypatch.setattr(world, "render", lambda definition, run: render)
    summary = world.run()
    assert summary["status"] == "failed"
    assert summary["reason"].startswith("Unexpected ")
    assert world.is_quiet()


def test_a_message_that_is_refused_with_a_cause_does_not_show_the_cause(
    world: CanaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(change: Change) -> bytes:
        raise MessageInvalid("no message") from ValueError(CANARY)

    monkeypatch.setattr(world, "render", lambda definition, run: render)
    assert world.run()["rejected"] == 3
    assert world.is_quiet()


class EventsOf:
    """EventBridge's client as far as it is used; `error` is raised by the call of that name."""

    def __init__(self, call: str, error: Exception) -> None:
        self.call, self.error = call, error

    def describe_event_bus(self, **_: Any) -> Any:
        return self._answer("describe_event_bus", {})

    def put_events(self, Entries: list[Any]) -> Any:  # noqa: N803 - as AWS names it
        return self._answer("put_events", {"Entries": [{"ErrorCode": "NotAuthorized", "ErrorMessage": CANARY}]})

    def _answer(self, call: str, reply: Any) -> Any:
        if call == self.call:
            raise self.error
        return reply


ANSWERS = {
    "a bus that cannot be described": EventsOf("describe_event_bus", client_error("DescribeEventBus")),
    "a bus that cannot be reached": EventsOf("describe_event_bus", EndpointConnectionError(endpoint_url=CANARY)),
    "a call that is denied": EventsOf("put_events", client_error("PutEvents", "AccessDeniedException")),
    "a call that is wrong": EventsOf("put_events", client_error("PutEvents", "ValidationException")),
    "a call without a reply": EventsOf("put_events", ReadTimeoutError(endpoint_url=CANARY)),
    "entries that are denied": EventsOf("", ValueError()),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_eventbridge_says_in_words_stays_inside(world: CanaryWorld, case: str) -> None:
    world.put_rows(1)
    world.target = a_bridge(ANSWERS[case], ALL_ON)  # type: ignore[assignment]
    if world.run()["status"] == "failed":
        assert [alert.status for alert in world.alerts.announced] == ["raised"]
    assert world.head.generation == 0 or world.owed()
    assert world.is_quiet()


@pytest.mark.parametrize("asked", [True, False])
def test_a_destination_s_reasons_are_told_in_alerts_alone_and_only_where_a_sync_asks(
    asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = CanaryWorld(monkeypatch, alerts=Alerts(channels=("team",), rejected_rows=1, reasons=asked))
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason=f"{CANARY} is unknown")
    assert world.run()["rejected"] == 3
    (alert,) = world.alerts.announced
    why = f": 3 × {CANARY} is unknown" if asked else ""
    assert alert.what == f"3 of 3 changes were not accepted{why}."
    world.alerts.announced.clear()
    assert world.is_quiet()
