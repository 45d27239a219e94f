"""Calls one after the other in the caller's own thread: all that a fork keeps or a schedule knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rowcast import in_flight


@contextmanager
def inline() -> Iterator[None]:
    """Stands in for the event loop and its threads."""
    saved = in_flight.finish, in_flight.each, in_flight.in_thread
    in_flight.finish, in_flight.each, in_flight.in_thread = _finish, _each, _here  # type: ignore[assignment]
    try:
        yield
    finally:
        in_flight.finish, in_flight.each, in_flight.in_thread = saved


def _finish(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("something waits for an event loop that is not there")


async def _each(work: Callable[[Any], Awaitable[Any]], items: Iterable[Any], most: int) -> list[Any]:
    return [await work(item) for item in items]


async def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)
