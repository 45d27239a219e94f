"""One operation of one service, to which a destination gives bodies of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol


class Operation(NamedTuple):
    """An operation that is called with one body after the other. `given`: the parameters that are the same each time,
    by their names in the service's API, and for a client of its own what it must be given to be valid."""

    name: Literal["PutEvents", "Invoke"]
    given: dict[str, Any]


class Reply(NamedTuple):
    """What the service answered, whatever it says. Names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire(Protocol):
    async def ready(self) -> None:
        """Has credentials and an open connection waiting for the next `send`, if they can be had."""

    async def send(self, body: bytes) -> Reply:
        """One attempt. Raises CallFailed, whose fault says whether the request may have reached the service, when no
        whole reply came; DestinationRefused when there are no credentials to sign with."""


Connect = Callable[[Operation], Wire]
