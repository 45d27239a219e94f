"""What a failed call to a destination means for its messages. Decided by error codes, never by an error's text."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
)

from rowcast import clienterror
from rowcast.bounds import UNREADABLE
from rowcast.destinations.wire import Reply
from rowcast.errors import DestinationRefused, RowcastError, Throttled

ERROR_TYPE = "x-amzn-errortype"
FUNCTION_ERROR = "x-amz-function-error"
Meaning = Literal["throttled", "in_doubt", "refused", "unusable"]
_RETRY_AFTER = re.compile(r"retry[ _-]?after\W{0,4}(\d{1,6})(?: ?(ms|s|sec|seconds?|m|min|minutes?)\b)?", re.IGNORECASE)
_TOO_MANY = re.compile(r"\b429\b|too many requests|rate limit|throttl", re.IGNORECASE)
_SECONDS = {"ms": 0.001, **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0)}
_SECONDS |= dict.fromkeys(("m", "min", "minute", "minutes"), 60.0)


class Fault(NamedTuple):
    """`unusable`: nothing can be sent there at all. `slow`: as in a Verdict."""

    meaning: Meaning
    reason: str
    slow: float | None = None


class CallFailed(Exception):
    """A call to which no whole reply came."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
THROTTLES = {*clienterror.THROTTLED, "ServiceUnavailable", "ServiceUnavailableException", *_EXPIRED}
UNUSABLE = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "NotAuthorized",
    "OptInRequired",
    "ResourceNotFoundException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_MISSING = "ResourceNotFoundException"
_NEVER_LEFT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)
_NO_CREDENTIALS = (CredentialRetrievalError, NoCredentialsError, PartialCredentialsError)


def asked_to_slow(reason: str) -> float | None:
    """What a target's own words ask for: `Retry-After: 30` gives 30.0, a mere 429 gives 0.0."""
    found = _RETRY_AFTER.search(reason)
    if found:
        return float(found[1]) * _SECONDS[(found[2] or "s").lower()]
    return 0.0 if _TOO_MANY.search(reason) else None


def error_code(reply: Reply) -> str:
    """The service's name for what is wrong: from the header, from the body, or the status; without namespaces."""
    named = reply.headers.get(ERROR_TYPE) or _code_in(reply.body) or str(reply.status)
    return named.split(":", 1)[0].rsplit("#", 1)[-1]


def _code_in(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body, type=_Error)
    except UNREADABLE:
        return ""
    return error.kind or error.code or error.pascal_code


class _Error(msgspec.Struct):
    kind: str = msgspec.field(name="__type", default="")
    code: str = ""
    pascal_code: str = msgspec.field(name="Code", default="")


def of_reply(reply: Reply) -> Fault | None:
    """None when the service did what it was asked."""
    if reply.status < 300:
        return None
    fault = of_code(error_code(reply), reply.status)
    return fault if fault.slow is None else fault._replace(slow=_retry_after(reply))


def _retry_after(reply: Reply) -> float:
    """Seconds; 0 when it does not say how many."""
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def of_call(error: BotoCoreError) -> Fault:
    """A call that raised. Whatever may have reached the service without a clear answer is in doubt."""
    name = type(error).__name__
    if isinstance(error, _NEVER_LEFT):
        return Fault("throttled", f"The connection failed ({name}).")
    if isinstance(error, _NO_CREDENTIALS):
        return Fault("unusable", f"There are no credentials for it ({name}).")
    if isinstance(error, ParamValidationError):
        return Fault("refused", "The call does not keep to the service's form.")
    return Fault("in_doubt", f"No usable reply came ({name}).")


def of_look(what: str, error: ClientError | BotoCoreError, refused: str = "cannot be used") -> RowcastError:
    """What to raise when the SDK's attempts to look at a target, or to be let in, have failed. Only what asking again
    would not mend speaks against the target."""
    if isinstance(error, ClientError):
        named = clienterror.code(error)
        meaning = of_code(named, clienterror.status(error)).meaning
    else:
        named = type(error).__name__
        meaning = of_call(error).meaning
    if meaning in ("throttled", "in_doubt"):
        return Throttled(f"{what} could not be reached ({named}).")
    return DestinationRefused(f"{what} {'does not exist' if named == _MISSING else refused} ({named}).")


def of_code(error_code: str, http_status: int) -> Fault:
    """The code says more than the status: credentials that expired are answered with 400 or 403."""
    if error_code in UNUSABLE:
        return Fault("unusable", error_code)
    if error_code in THROTTLES:
        return Fault("throttled", error_code, None if error_code in _EXPIRED else 0.0)
    if http_status in (401, 403):
        return Fault("unusable", error_code)
    if http_status in (429, 503):
        return Fault("throttled", error_code, 0.0)
    if http_status >= 500:
        return Fault("in_doubt", error_code)
    return Fault("refused", error_code)
