"""Refuses what AWS refuses, over moto or the emulator, which are both too kind. `enforce(client)` installs it.

Each limit cites the AWS page that states it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

MIB = 1024 * 1024
PUT_EVENTS_ENTRIES = 10  # EventBridge API Reference, PutEvents: Entries, 1 to 10 items
PUT_EVENTS_BYTES = MIB  # EventBridge User Guide, "Calculating PutEvents event entry size": total less than 1 MB
DETAIL_TYPE_CHARACTERS = 128  # EventBridge User Guide, "Amazon EventBridge quotas"
INVOKE_BYTES = 6_291_556  # Lambda Developer Guide, "Lambda quotas": synchronous invocation payload, 6 MB
ITEM_BYTES = 400 * 1024  # DynamoDB Developer Guide, "Quotas": item size
TRANSACTION_ITEMS = 100  # DynamoDB API Reference, TransactWriteItems
TRANSACTION_BYTES = 4 * MIB  # DynamoDB API Reference, TransactWriteItems: aggregate size
BATCH_WRITE_ITEMS = 25  # DynamoDB API Reference, BatchWriteItem
BATCH_GET_ITEMS = 100  # DynamoDB API Reference, BatchGetItem
EXPRESSION_BYTES = 4096  # DynamoDB Developer Guide, "Quotas": expression string
EXPRESSION_OPERATORS = 300  # DynamoDB Developer Guide, "Quotas": operators or functions in an UpdateExpression
SQS_BATCH = 10  # SQS API Reference, SendMessageBatch
SQS_BYTES = MIB  # SQS Developer Guide, "Quotas": message size, and the sum of a batch
PAYLOAD_BYTES = 256 * 1024  # Step Functions Developer Guide, "Quotas": input or output of an execution
DELETE_OBJECTS = 1000  # S3 API Reference, DeleteObjects
OBJECT_KEY_BYTES = 1024  # S3 User Guide, "Creating object key names"
HASH_KEY_BYTES = 2048  # DynamoDB Developer Guide, "Quotas": partition key values
RANGE_KEY_BYTES = 1024  # DynamoDB Developer Guide, "Quotas": sort key values
PARAMETER_CHARACTERS = 4096  # Systems Manager User Guide, "Managing parameter tiers": standard parameters
SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")  # STS API Reference, AssumeRole: RoleSessionName
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")  # STS API Reference, AssumeRole: ExternalId
CHAINED_SECONDS = 3600  # IAM User Guide, "Methods to assume a role": role chaining lasts at most one hour

Parameters = dict[str, Any]


def enforce(client: Any) -> Any:
    """Installs the limits of the client's service; answers the client."""
    for operation, check in _CHECKS.get(client.meta.service_model.service_name, {}).items():
        event = f"provide-client-params.{client.meta.service_model.service_id.hyphenize()}.{operation}"
        client.meta.events.register(event, _hook(check, operation))
    if client.meta.service_model.service_name == "events":
        _EntryAnswers(client).install()
    return client


def refuse(operation: str, code: str, message: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


def _hook(check: Callable[[Parameters], str | None], operation: str) -> Callable[..., None]:
    def hook(params: Parameters, **_: Any) -> None:
        if reason := check(params):
            code, message = reason.split(": ", 1)
            raise refuse(operation, code, message, 413 if code in ("RequestTooLargeException",) else 400)

    return hook


# --- EventBridge ------------------------------------------------------------------------------------------------------


def _put_events(params: Parameters) -> str | None:
    entries = params["Entries"]
    if not 1 <= len(entries) <= PUT_EVENTS_ENTRIES:
        return "ValidationException: entries must have 1 to 10 members"
    size = sum(entry_bytes(entry) for entry in entries)
    if size >= PUT_EVENTS_BYTES:
        return f"ValidationException: total size of the entries in the request is over the limit ({size})"
    return None


def entry_bytes(entry: Mapping[str, Any]) -> int:
    """EventBridge User Guide, "Calculating PutEvents event entry size"."""
    texts = [entry.get("Source", ""), entry.get("DetailType", ""), entry.get("Detail", ""), *entry.get("Resources", ())]
    return (14 if "Time" in entry else 0) + sum(len(text.encode()) for text in texts)


class _EntryAnswers:
    """Entries that AWS answers one by one: those with an error, and those to a bus that does not exist, which AWS
    takes silently. They are kept from the service, and their answers are put in among its own.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def install(self) -> None:
        events = self._client.meta.events
        events.register("provide-client-params.eventbridge.PutEvents", self._take_out)
        events.register("before-call.eventbridge.PutEvents", self._answer_alone)
        events.register("after-call.eventbridge.PutEvents", self._put_back)

    def _take_out(self, params: Parameters, context: dict[str, Any], **_: Any) -> Parameters:
        own = {index: answer for index, entry in enumerate(params["Entries"]) if (answer := self._answer(entry))}
        context["own_answers"] = own
        left = [entry for index, entry in enumerate(params["Entries"]) if index not in own]
        context["nothing_left"] = not left
        return {**params, "Entries": left or params["Entries"]}

    def _answer_alone(self, context: dict[str, Any], **_: Any) -> Any:
        if not context.get("nothing_left"):
            return None
        answers = [answer for _, answer in sorted(context["own_answers"].items())]
        failed = sum("ErrorCode" in answer for answer in answers)
        reply = {"Entries": answers, "FailedEntryCount": failed, "ResponseMetadata": {"HTTPStatusCode": 200}}
        return SimpleNamespace(status_code=200), reply

    def _put_back(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if context.get("nothing_left"):
            return
        for index, answer in sorted(context.get("own_answers", {}).items()):
            parsed.get("Entries", []).insert(index, answer)
            parsed["FailedEntryCount"] = parsed.get("FailedEntryCount", 0) + ("ErrorCode" in answer)

    def _answer(self, entry: Mapping[str, Any]) -> dict[str, str] | None:
        if entry["Source"].startswith("aws."):  # EventBridge API Reference, PutEventsRequestEntry: Source
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
        if len(entry["DetailType"]) > DETAIL_TYPE_CHARACTERS:
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": "Parameter DetailType is not valid."}
        if not _is_json_object(entry["Detail"]):  # PutEventsRequestEntry: Detail, "a valid JSON object"
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        if not self._bus_exists(entry.get("EventBusName", "default")):
            return {"EventId": str(uuid.uuid4())}
        return None

    def _bus_exists(self, name: str) -> bool:
        try:
            self._client.describe_event_bus(Name=name)
        except self._client.exceptions.ResourceNotFoundException:
            return False
        return True


def _is_json_object(text: str) -> bool:
    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        return isinstance(json.loads(text, parse_constant=no_constant), dict)
    except ValueError:
        return False


# --- DynamoDB ---------------------------------------------------------------------------------------------------------


def _transaction(params: Parameters) -> str | None:
    items = params["TransactItems"]
    if not 1 <= len(items) <= TRANSACTION_ITEMS:
        return f"ValidationException: a transaction has 1 to {TRANSACTION_ITEMS} items"
    writes = [write for item in items for write in item.values()]
    targets = [(write["TableName"], json.dumps(_key_of(write), sort_keys=True)) for write in writes]
    if len(set(targets)) < len(targets):  # TransactWriteItems: no two actions on one item
        return "ValidationException: Transaction request cannot include multiple operations on one item"
    if (size := sum(_size(write) for write in writes)) > TRANSACTION_BYTES:
        return f"ValidationException: the transaction has {size} bytes"
    return next(filter(None, map(_write, writes)), None)


def _key_of(write: Mapping[str, Any]) -> Any:
    return write.get("Key") or {name: write["Item"][name] for name in ("pk", "sk")}


def _write(params: Mapping[str, Any]) -> str | None:
    values = params.get("Item") or params.get("ExpressionAttributeValues") or {}
    names = params.get("Item") or params.get("Key") or {}
    for name, most in (("pk", HASH_KEY_BYTES), ("sk", RANGE_KEY_BYTES)):
        if _size(names.get(name, {}).get("S", "")) > most:
            return (
                "ValidationException: One or more parameter values were invalid: Size of a key has exceeded its limit"
            )
    if _size(values) > ITEM_BYTES:
        return "ValidationException: Item size has exceeded the maximum allowed size"
    expressions = [str(params.get(name, "")) for name in ("UpdateExpression", "ConditionExpression")]
    if any(len(expression.encode()) > EXPRESSION_BYTES for expression in expressions):
        return "ValidationException: Expression size has exceeded the maximum allowed size"
    if expressions[0].count("=") + expressions[0].count("(") > EXPRESSION_OPERATORS:
        return "ValidationException: too many operators in the update expression"
    return None


def _batch_write(params: Parameters) -> str | None:
    requests = [request for table in params["RequestItems"].values() for request in table]
    if not 1 <= len(requests) <= BATCH_WRITE_ITEMS:
        return f"ValidationException: a batch has 1 to {BATCH_WRITE_ITEMS} writes"
    return next(filter(None, (_write(request.get("PutRequest", {})) for request in requests)), None)


def _batch_get(params: Parameters) -> str | None:
    keys = [json.dumps(key, sort_keys=True) for table in params["RequestItems"].values() for key in table["Keys"]]
    if not 1 <= len(keys) <= BATCH_GET_ITEMS:
        return f"ValidationException: a batch has 1 to {BATCH_GET_ITEMS} keys"
    return "ValidationException: Provided list of item keys contains duplicates" if len(set(keys)) < len(keys) else None


def _size(value: Any) -> int:
    """Roughly as DynamoDB counts: UTF-8 bytes of names and texts, bytes of binaries, digits of numbers."""
    if isinstance(value, Mapping):
        return sum(len(str(name).encode()) + _size(entry) for name, entry in value.items())
    if isinstance(value, bytes | bytearray):
        return len(value)
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Sequence):
        return sum(1 + _size(entry) for entry in value)
    return 1


# --- SQS, Lambda, Step Functions, S3 ----------------------------------------------------------------------------------


def _send_batch(params: Parameters) -> str | None:
    entries = params["Entries"]
    if not entries:
        return "AWS.SimpleQueueService.EmptyBatchRequest: no entries"
    if len(entries) > SQS_BATCH:
        return "AWS.SimpleQueueService.TooManyEntriesInBatchRequest: more than 10 entries"
    if len({entry["Id"] for entry in entries}) < len(entries):
        return "AWS.SimpleQueueService.BatchEntryIdsNotDistinct: two entries have one Id"
    if sum(len(entry.get("MessageBody", "").encode()) for entry in entries) > SQS_BYTES:
        return "AWS.SimpleQueueService.BatchRequestTooLong: the batch is over 1 MiB"
    return next(filter(None, map(_send, entries)), None)


def _send(params: Parameters) -> str | None:
    body = params.get("MessageBody", "-")
    if not body or len(body.encode()) > SQS_BYTES:
        return "InvalidParameterValue: One or more parameters are invalid: message length"
    if not all(_is_xml(character) for character in body):  # SQS API Reference, SendMessage: allowed characters
        return "InvalidMessageContents: The message contains characters outside the allowed set."
    return None


def _is_xml(character: str) -> bool:
    point = ord(character)
    return point in (0x9, 0xA, 0xD) or 0x20 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point >= 0x10000


def _invoke(params: Parameters) -> str | None:
    if len(params.get("Payload", b"")) > INVOKE_BYTES:
        return f"RequestTooLargeException: Request must be smaller than {INVOKE_BYTES} bytes"
    return None


def _start_execution(params: Parameters) -> str | None:
    if len(params.get("input", "").encode()) > PAYLOAD_BYTES:
        return "ValidationException: the input is over 256 KiB"
    return None


def _delete_objects(params: Parameters) -> str | None:
    count = len(params["Delete"]["Objects"])
    return None if 1 <= count <= DELETE_OBJECTS else "MalformedXML: a deletion has 1 to 1000 keys"


def _object_key(params: Parameters) -> str | None:
    too_long = len(params["Key"].encode()) > OBJECT_KEY_BYTES
    return "KeyTooLongError: Your key is too long" if too_long else None


def _put_parameter(params: Parameters) -> str | None:
    too_long = len(params["Value"]) > PARAMETER_CHARACTERS and params.get("Tier", "Standard") == "Standard"
    return "ValidationException: Standard tier parameters support a maximum of 4096 characters" if too_long else None


def _assume_role(params: Parameters) -> str | None:
    if not SESSION_NAME.fullmatch(params["RoleSessionName"]):
        return "ValidationError: roleSessionName does not have the form that is allowed"
    if "ExternalId" in params and not EXTERNAL_ID.fullmatch(params["ExternalId"]):
        return "ValidationError: externalId does not have the form that is allowed"
    if not 900 <= params.get("DurationSeconds", CHAINED_SECONDS) <= CHAINED_SECONDS:
        return "ValidationError: the requested DurationSeconds exceeds the 1 hour of role chaining"
    return None


_CHECKS: dict[str, dict[str, Callable[[Parameters], str | None]]] = {
    "events": {"PutEvents": _put_events},
    "dynamodb": {
        "TransactWriteItems": _transaction,
        "PutItem": _write,
        "UpdateItem": _write,
        "BatchWriteItem": _batch_write,
        "BatchGetItem": _batch_get,
    },
    "sqs": {"SendMessageBatch": _send_batch, "DeleteMessageBatch": _send_batch, "SendMessage": _send},
    "lambda": {"Invoke": _invoke},
    "stepfunctions": {"StartExecution": _start_execution},
    "s3": {"DeleteObjects": _delete_objects, "PutObject": _object_key},
    "ssm": {"PutParameter": _put_parameter},
    "sts": {"AssumeRole": _assume_role},
}
