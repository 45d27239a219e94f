"""What a failed call to a destination means for its messages. Decided by error codes, never by an error's text."""

from __future__ import annotations

from typing import Literal, NamedTuple

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

Meaning = Literal["throttled", "in_doubt", "refused", "unusable"]


class Fault(NamedTuple):
    """`unusable`: nothing can be sent there at all."""

    meaning: Meaning
    reason: str


THROTTLES = {
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
}
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
_NEVER_LEFT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)
_NO_CREDENTIALS = (CredentialRetrievalError, NoCredentialsError, PartialCredentialsError)


def code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def of_call(error: ClientError | BotoCoreError) -> Fault:
    """A call that raised. Whatever may have reached the service without a clear answer is in doubt."""
    if isinstance(error, ClientError):
        return of_code(code(error), status(error))
    name = type(error).__name__
    if isinstance(error, _NEVER_LEFT):
        return Fault("throttled", f"The connection failed ({name}).")
    if isinstance(error, _NO_CREDENTIALS):
        return Fault("unusable", f"There are no credentials for it ({name}).")
    if isinstance(error, ParamValidationError):
        return Fault("refused", "The call does not keep to the service's form.")
    return Fault("in_doubt", f"No usable reply came ({name}).")


def of_code(error_code: str, http_status: int) -> Fault:
    if error_code in UNUSABLE or http_status in (401, 403):
        return Fault("unusable", error_code)
    if error_code in THROTTLES or http_status in (429, 503):
        return Fault("throttled", error_code)
    if http_status >= 500:
        return Fault("in_doubt", error_code)
    return Fault("refused", error_code)
