"""AWS Signature Version 4 for requests of which only the body differs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. What does not depend on the
body is computed once a second, the signing key once a day and for each set of credentials.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = {"expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"}
"""What may change on the way."""


class Keys(Protocol):
    """As botocore's frozen credentials."""

    access_key: str
    secret_key: str
    token: str | None


class Route(NamedTuple):
    """Where requests go, with the headers that all of them have. `url` is escaped already and has no query."""

    url: str
    region: str
    service: str
    headers: Mapping[str, str]

    @property
    def host(self) -> str:
        """As in the header: with its port only if that is not the scheme's own."""
        parts = urlsplit(self.url)
        standard = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
        name = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
        return name if standard else f"{name}:{parts.port}"

    @property
    def path(self) -> str:
        return urlsplit(self.url).path or "/"


class Signer:
    """Makes the heads of POST requests along one route."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._second = -1
        self._keys: Keys | None = None
        self._day_of_key = ""
        self._key = b""
        self._scope = self._canonical = self._signed_text = ""
        self._before = self._stamped = b""

    def head(self, body: bytes, keys: Keys, now: float) -> bytes:
        """The request up to its body, with its length and signature. `now`: epoch seconds."""
        if int(now) != self._second or keys is not self._keys:
            self._prepare(keys, int(now))
        canonical = self._canonical + sha256(body).hexdigest()
        text = self._signed_text + sha256(canonical.encode()).hexdigest()
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        return b"%b%b\r\nContent-Length: %d\r\n" % (self._before, signature.encode(), len(body))

    def _prepare(self, keys: Keys, second: int) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = stamp[:8]
        if keys is not self._keys or day != self._day_of_key:
            self._key = _signing_key(keys.secret_key, day, self._route.region, self._route.service)
            self._day_of_key = day
        self._second, self._keys = second, keys
        headers = {**self._route.headers, "Host": self._route.host, "X-Amz-Date": stamp}
        if keys.token:
            headers["X-Amz-Security-Token"] = keys.token
        signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        names = sorted(signed.keys() - _UNSIGNED)
        listed = ";".join(names)
        path = quote(self._route.path, safe="/~")
        lines = "".join(f"{name}:{signed[name]}\n" for name in names)
        scope = f"{day}/{self._route.region}/{self._route.service}/aws4_request"
        self._canonical = f"POST\n{path}\n\n{lines}\n{listed}\n"
        self._signed_text = f"{_ALGORITHM}\n{stamp}\n{scope}\n"
        shown = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        credential = f"Credential={keys.access_key}/{scope}, SignedHeaders={listed}, Signature="
        head = f"POST {self._route.path} HTTP/1.1\r\n{shown}Authorization: {_ALGORITHM} {credential}"
        self._before = head.encode("latin-1")


def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
