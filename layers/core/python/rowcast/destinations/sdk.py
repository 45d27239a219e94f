"""The wire through the SDK's own client, for places that only it knows the way to: through a proxy."""

from __future__ import annotations

from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from rowcast import clienterror, in_flight
from rowcast.destinations import faults
from rowcast.destinations.wire import Operation, Reply
from rowcast.errors import Throttled


class SdkWire:
    """`client` must make one attempt only."""

    def __init__(self, client: Any, operation: Operation) -> None:
        self._client = client
        self._operation = operation

    async def ready(self) -> None:
        """The client keeps its connections to itself."""

    async def send(self, body: bytes) -> Reply:
        return await in_flight.in_thread(self._send, body)

    def _send(self, body: bytes) -> Reply:
        try:
            if self._operation.name == "PutEvents":
                return self._put_events(body)
            return self._invoke(body)
        except ClientError as error:
            return _refusal(error)
        except Throttled as error:
            raise faults.CallFailed(faults.Fault("throttled", str(error))) from error
        except BotoCoreError as error:
            raise faults.CallFailed(faults.of_call(error)) from error
        except (HTTPError, OSError) as error:
            # botocore does not wrap all that can break while a reply's body is read.
            raise faults.CallFailed(faults.Fault("in_doubt", type(error).__name__)) from error

    def _put_events(self, body: bytes) -> Reply:
        parsed = self._client.put_events(**msgspec.json.decode(body))
        told = {name: parsed[name] for name in ("Entries", "FailedEntryCount") if name in parsed}
        return Reply(200, {}, msgspec.json.encode(told))

    def _invoke(self, body: bytes) -> Reply:
        parsed = self._client.invoke(**self._operation.given, Payload=body)
        failed = parsed.get("FunctionError")
        return Reply(200, {faults.FUNCTION_ERROR: failed} if failed else {}, parsed["Payload"].read())


def _refusal(error: ClientError) -> Reply:
    headers = dict(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
    if "retryAfterSeconds" in error.response:
        headers.setdefault("retry-after", str(error.response["retryAfterSeconds"]))  # type: ignore[typeddict-item]
    return Reply(clienterror.status(error), {**headers, faults.ERROR_TYPE: clienterror.code(error)}, b"")
