"""Unit tests reach nothing outside their process, but for those that say they need a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_socket

from tests.model.remembered import quick_engine

SERVERS = ("postgres", "emulator", "enable_socket")


@pytest.fixture(autouse=True)
def sockets_are_off(request: pytest.FixtureRequest) -> Iterator[None]:
    if any(request.node.get_closest_marker(name) for name in SERVERS):
        yield
        return
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture(scope="module")
def remembered() -> Iterator[None]:
    """For modules that take the route over and over: what DuckDB answered once, it is not asked again."""
    with quick_engine():
        yield
