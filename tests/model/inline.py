"""Calls in the caller's own thread, in an order that is known: all that a fork keeps or a schedule knows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from rowcast import in_flight, threads


@contextmanager
def inline() -> Iterator[None]:
    """One after the other. Stands in for the event loop and for threads."""
    saved = in_flight.finish, in_flight.each, in_flight.both, in_flight.in_thread
    in_flight.finish, in_flight.each, in_flight.both = _finish, _each, _both  # type: ignore[assignment]
    in_flight.in_thread = _here  # type: ignore[assignment]
    try:
        with without_threads():
            yield
    finally:
        in_flight.finish, in_flight.each, in_flight.both, in_flight.in_thread = saved


@contextmanager
def without_threads() -> Iterator[None]:
    """Files are put and fetched one after the other, so that each run makes the same calls in the same order."""
    saved, threads.each = threads.each, lambda work, items, most: [work(item) for item in items]
    try:
        yield
    finally:
        threads.each = saved


def _finish(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("something waits for an event loop that is not there")


async def _each(work: Callable[[Any], Awaitable[Any]], items: Iterable[Any], most: int) -> list[Any]:
    return [await work(item) for item in items]


async def _both(one: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any]) -> tuple[Any, Any]:
    with closing(other):  # an error of the one lets it never begin
        return await one, await other


async def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


@contextmanager
def interleaved(chance: random.Random) -> Iterator[None]:
    """On a real event loop and nothing but it: what would block a thread is done some turns later, so that `chance`
    alone says in which order things happen."""

    async def later(work: Callable[..., Any], *arguments: Any) -> Any:
        await turns(chance)
        return work(*arguments)

    saved, in_flight.in_thread = in_flight.in_thread, later
    try:
        yield
    finally:
        in_flight.in_thread = saved


async def turns(chance: random.Random, most: int = 3) -> None:
    for _ in range(chance.randint(0, most)):
        await asyncio.sleep(0)
