"""Synchronous Lambda invocations, version 1 of the payload and of the reply."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from rowcast.bounds import UNREADABLE, read_foreign
from rowcast.destinations import faults
from rowcast.destinations.packing import pack
from rowcast.destinations.reply import ContractError, rejected_rows
from rowcast.destinations.wire import Connect, Operation, Reply, Wire
from rowcast.errors import DestinationRefused
from rowcast.models import to_json
from rowcast.ports import CallResult, MessageToSend, Oversize, Verdict

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

BYTES = (
    6_000_000  # of the 6 MB (6,291,556 bytes) of a synchronous payload; the metadata is counted on top with a margin
)
REASON_CHARACTERS = 1_000
_MEANINGS: dict[str, faults.Meaning] = {
    # Lambda's own errors that come before the function starts, beyond those that every service knows.
    "EC2ThrottledException": "throttled",
    "ENILimitReachedException": "throttled",
    "EFSMountConnectivityException": "throttled",
    "EFSMountTimeoutException": "throttled",
    "ResourceConflictException": "throttled",
    "ResourceNotReadyException": "throttled",
    "SnapStartNotReadyException": "throttled",
    "SnapStartTimeoutException": "throttled",
    "SubnetIPAddressLimitReachedException": "throttled",
    "EC2AccessDeniedException": "unusable",
    "EFSIOException": "in_doubt",
    "InvalidRuntimeException": "unusable",
    "InvalidSecurityGroupIDException": "unusable",
    "InvalidSubnetIDException": "unusable",
    "InvalidZipFileException": "unusable",
    "KMSAccessDeniedException": "unusable",
    "KMSDisabledException": "unusable",
    "KMSInvalidStateException": "unusable",
    "KMSNotFoundException": "unusable",
    "InvalidParameterValueException": "unusable",
}


class LambdaFunction:
    """Rows of one operation per invocation. `function` is an ARN, qualified or not, or a name.

    `client` looks at the function; what `connect` gives carries the invocations.
    """

    def __init__(
        self,
        *,
        client: LambdaClient,
        connect: Connect,
        function: str,
        batch_size: int,
        primary_key: tuple[str, ...],
        oversize: Oversize,
    ) -> None:
        self._client = client
        self._connect = connect
        self._oversize = oversize
        self._function = function
        self._batch_size = batch_size
        self._primary_key = primary_key

    def check(self) -> None:
        try:
            self._client.get_function_configuration(FunctionName=self._function)
        except (ClientError, BotoCoreError) as error:
            raise faults.of_look(f"The function {self._function}", error) from error

    def batches(
        self, messages: Sequence[MessageToSend]
    ) -> tuple[list[list[MessageToSend]], list[tuple[MessageToSend, str]]]:
        return pack(messages, self._carried, most=self._batch_size, room=BYTES)

    def _carried(self, message: MessageToSend) -> tuple[MessageToSend, int]:
        """The message, or what stands for it, and its size. Raises MessageInvalid when no invocation can carry it."""
        if _row_bytes(message) > BYTES:
            message = self._oversize(
                message, f"The row needs more than the {BYTES:,} bytes that an invocation carries."
            )
        return message, _row_bytes(message)

    async def ready(self) -> None:
        await self._wire.ready()

    async def send(self, batch: Sequence[MessageToSend], batch_id: str, attempt: int) -> CallResult:
        payload = self._payload(batch, batch_id, attempt)
        request = msgspec.Raw(payload)
        try:
            reply = await self._wire.send(payload)
        except faults.CallFailed as error:
            return self._failed(error.fault, len(batch), request)
        fault = _fault(reply)
        if fault is not None:
            return self._failed(fault, len(batch), request)
        if reply.headers.get(faults.FUNCTION_ERROR):
            return _in_doubt(batch, _function_error(reply.body), request, _json_or_text(reply.body))
        return self._judge(batch, reply.body, request)

    @cached_property
    def _wire(self) -> Wire:
        given = {"FunctionName": self._function, "InvocationType": "RequestResponse", "LogType": "None"}
        return self._connect(Operation("Invoke", given))

    def _judge(self, batch: Sequence[MessageToSend], body: bytes, request: Any) -> CallResult:
        try:
            rejected = rejected_rows(body, [message.change.key for message in batch])
        except ContractError as error:
            return _in_doubt(batch, f"The reply breaks the contract: {error}", request, _json_or_text(body))
        verdicts = [Verdict(kind="accepted") for _ in batch]
        for index, given in rejected.items():
            reason = given[:REASON_CHARACTERS] or "No reason was given."
            verdicts[index] = Verdict(kind="rejected", reason=reason, slow=faults.asked_to_slow(reason))
        return CallResult(verdicts=verdicts, request=request, reply=_json_or_text(body))

    def _payload(self, batch: Sequence[MessageToSend], batch_id: str, attempt: int) -> bytes:
        first = batch[0]
        single = len(self._primary_key) == 1
        metadata = {
            "version": "1",
            "sync": first.sync,
            "run": first.run,
            "batch": batch_id,
            "attempt": attempt,
            "operation": first.change.operation,
            "primary_key_column": self._primary_key[0] if single else list(self._primary_key),
            "primary_key_values": [m.change.key[0] if single else m.change.key for m in batch],
            "change_ids": [message.change.id for message in batch],
        }
        return to_json({"metadata": metadata, "rows": [msgspec.Raw(message.body) for message in batch]})

    def _failed(self, fault: faults.Fault, count: int, request: Any) -> CallResult:
        if fault.meaning == "unusable":
            raise DestinationRefused(f"The function {self._function} cannot be invoked: {fault.reason}.")
        verdicts = [Verdict(kind=fault.meaning, reason=fault.reason, slow=fault.slow) for _ in range(count)]
        return CallResult(verdicts=verdicts, request=request, reply=None, error=fault.reason)


def _fault(reply: Reply) -> faults.Fault | None:
    fault = faults.of_reply(reply)
    if fault is not None and (known := _MEANINGS.get(faults.error_code(reply))):
        return faults.Fault(known, fault.reason)
    return fault


def _row_bytes(message: MessageToSend) -> int:
    return len(message.body) + len(to_json(message.change.key)) + len(message.change.id) + 8


def _in_doubt(batch: Sequence[MessageToSend], reason: str, request: Any, reply: Any) -> CallResult:
    reason = reason[:REASON_CHARACTERS]
    slow = faults.asked_to_slow(reason)
    verdicts = [Verdict(kind="in_doubt", reason=reason, slow=slow) for _ in batch]
    return CallResult(verdicts=verdicts, request=request, reply=reply, error=reason)


def _function_error(body: bytes) -> str:
    """The function's own words: they go to where rows may lie, never to a log."""
    try:
        error = read_foreign(body)
    except UNREADABLE:
        error = None
    if not isinstance(error, dict):
        return "The function failed."
    parts = [str(error[field]) for field in ("errorType", "errorMessage") if error.get(field)]
    return ": ".join(["The function failed", *parts])


def _json_or_text(body: bytes) -> Any:
    try:
        return read_foreign(body)
    except UNREADABLE:
        return body.decode(errors="replace")
