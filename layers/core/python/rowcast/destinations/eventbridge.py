from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from rowcast.bounds import UNREADABLE
from rowcast.definition import Trigger, Triggers
from rowcast.destinations import faults
from rowcast.destinations.packing import pack
from rowcast.destinations.wire import Connect, Operation, Wire
from rowcast.errors import DestinationRefused, MessageInvalid
from rowcast.models import OPERATIONS
from rowcast.ports import Address, CallResult, MessageToSend, Oversize, Verdict

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

ENTRIES = 10
BYTES = 1024 * 1024 - 1  # "less than 1 MB", over all entries of a call
_TIME_BYTES = 14
_SYNC, _RUN, _OPERATION, _CHANGE = (f"rowcast:{name}/" for name in ("sync", "run", "operation", "change"))
_AGAIN = {"InternalFailure", "InternalException", *faults.THROTTLES}
_REFUSED = {"MalformedDetail", "InvalidArgument", "ValidationException", "RequestEntityTooLarge"}
_encoder = msgspec.json.Encoder()
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class EventBridge:
    """One entry per change, on the bus, with the source and detail type, of the change's trigger.

    `client` looks at buses; what `connect` gives carries the events.
    """

    def __init__(
        self,
        *,
        client: EventBridgeClient,
        connect: Connect,
        triggers: Triggers,
        address: Address,
        oversize: Oversize,
        batch_size: int = ENTRIES,
    ) -> None:
        self._client = client
        self._connect = connect
        self._batch_size = batch_size
        self._triggers = triggers
        self._address = address
        self._oversize = oversize

    def check(self) -> None:
        """PutEvents to a bus that does not exist succeeds silently, so each bus is looked up first."""
        for bus in sorted(set(self._buses())):
            try:
                self._client.describe_event_bus(Name=bus)
            except (ClientError, BotoCoreError) as error:
                raise faults.of_look(f"The event bus {bus}", error) from error

    def batches(
        self, messages: Sequence[MessageToSend]
    ) -> tuple[list[list[MessageToSend]], list[tuple[MessageToSend, str]]]:
        return pack(messages, self._carried, most=self._batch_size, room=BYTES)

    async def ready(self) -> None:
        await self._wire.ready()

    async def send(self, batch: Sequence[MessageToSend], batch_id: str, attempt: int) -> CallResult:  # noqa: ARG002 - the port's
        payload = _encoder.encode({"Entries": [self._entry(message) for message in batch]})
        request = msgspec.Raw(payload)
        try:
            reply = await self._wire.send(payload)
        except faults.CallFailed as error:
            return _failed(error.fault, len(batch), request)
        fault = faults.of_reply(reply)
        if fault is not None:
            return _failed(fault, len(batch), request)
        return _judged(reply.body, len(batch), request)

    @cached_property
    def _wire(self) -> Wire:
        return self._connect(Operation("PutEvents", {"Entries": [{}]}))

    def _carried(self, message: MessageToSend) -> tuple[MessageToSend, int]:
        """The message, or what stands for it, and its size. Raises MessageInvalid when no event can be made."""
        _check_object(message)
        size = self._size(message)
        if size <= BYTES:
            return message, size
        message = self._oversize(
            message, f"The event has {BYTES + 1:,} bytes or more, which EventBridge does not take."
        )
        return message, self._size(message)

    def _size(self, message: MessageToSend) -> int:
        """Of the entry, as AWS counts it: 14 bytes for the time, and the UTF-8 bytes of source, detail type, detail and
        resources. The entry itself is made when it is sent."""
        source, detail_type = self._address(message)
        texts = (source, detail_type, message.sync, message.run, message.change.operation, message.change.id)
        resources = len(_SYNC) + len(_RUN) + len(_OPERATION) + len(_CHANGE)
        return _TIME_BYTES + len("".join(texts).encode()) + resources + len(message.body)

    def _buses(self) -> Iterator[str]:
        for operation in OPERATIONS:
            trigger = self._triggers.of(operation)
            if trigger is not None:
                yield trigger.bus or "default"

    def _entry(self, message: MessageToSend) -> Any:
        trigger = self._triggers.of(message.change.operation) or Trigger()
        source, detail_type = self._address(message)
        return {
            "EventBusName": trigger.bus or "default",
            "Source": source,
            "DetailType": detail_type,
            "Time": int(message.time),
            "Resources": [
                _SYNC + message.sync,
                _RUN + message.run,
                _OPERATION + message.change.operation,
                _CHANGE + message.change.id,
            ],
            "Detail": message.body.decode(),
        }


def _check_object(message: MessageToSend) -> None:
    try:
        _object.decode(message.body)
    except UNREADABLE:
        pass
    else:
        return
    raise MessageInvalid("The message is not a JSON object, which EventBridge requires of an event's detail.")


class _Answers(msgspec.Struct, rename="pascal"):
    entries: list[dict[str, Any]] = []
    failed_entry_count: int = 0


_answers = msgspec.json.Decoder(_Answers)


def _judged(body: bytes, count: int, request: Any) -> CallResult:
    try:
        said = _answers.decode(body)
    except UNREADABLE:
        return _failed(faults.Fault("in_doubt", "EventBridge's answer is not of its form."), count, request)
    answers = said.entries
    if len(answers) != count:
        fault = faults.Fault("in_doubt", f"EventBridge answered {len(answers)} entries to {count}.")
        return _failed(fault, count, request)
    if all(answer.get("ErrorCode") in faults.UNUSABLE for answer in answers):
        raise DestinationRefused(f"EventBridge refuses the run's events: {answers[0]['ErrorCode']}.")
    record = {"Entries": answers, "FailedEntryCount": said.failed_entry_count}
    return CallResult(verdicts=[_verdict(answer) for answer in answers], request=request, reply=record)


def _verdict(answer: Mapping[str, Any]) -> Verdict:
    """Of one entry. A code that is not known says no, and may say yes to a later send."""
    error_code = answer.get("ErrorCode")
    if not error_code:
        return Verdict(kind="accepted")
    reason = f"{error_code}: {answer['ErrorMessage']}" if answer.get("ErrorMessage") else str(error_code)
    if error_code in _AGAIN:
        return Verdict(kind="throttled", reason=reason, slow=faults.of_code(error_code, 0).slow)
    return Verdict(kind="refused" if error_code in _REFUSED else "rejected", reason=reason)


def _failed(fault: faults.Fault, count: int, request: Any) -> CallResult:
    if fault.meaning == "unusable":
        raise DestinationRefused(f"EventBridge refuses the run's events: {fault.reason}.")
    verdicts = [Verdict(kind=fault.meaning, reason=fault.reason, slow=fault.slow) for _ in range(count)]
    return CallResult(verdicts=verdicts, request=request, reply=None, error=fault.reason)
