"""Work that waits for others: many calls under way at once on one event loop, which the process keeps."""

from __future__ import annotations

import asyncio
import atexit
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")
THREADS = 32
NEW_OBJECTS = 20_000
"""After so many the collector looks for cycles while much is in flight. At Python's own 700 it went over what waits for
answers again and again, for a fifth of a worker's processor time."""


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Runs work to its end. In the main thread on a loop that stays, with what was connected on it."""
    if threading.current_thread() is threading.main_thread():
        with _seldom_collected():
            return _kept().run(work)
    with _runner() as runner:
        return runner.run(work)


async def each(work: Callable[[Item], Awaitable[T]], items: Iterable[Item], most: int) -> list[T]:
    """The answers in the items' order, with at most `most` under way at once.

    The first error ends everything: what is under way is cancelled, what has not begun does not begin.
    """
    waiting = list(items)
    answers: dict[int, T] = {}
    numbered = iter(enumerate(waiting))

    async def lane() -> None:
        for number, item in numbered:
            answers[number] = await work(item)

    lanes = [asyncio.ensure_future(lane()) for _ in range(min(most, len(waiting)))]
    try:
        await asyncio.gather(*lanes)
    except BaseException:
        for one in lanes:
            one.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        raise
    return [answers[number] for number in range(len(waiting))]


async def both(one: Awaitable[T], other: Awaitable[Item]) -> tuple[T, Item]:
    """The answers of both, which wait side by side. An error of either is raised when both are over."""
    answers = await asyncio.gather(one, other, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers  # type: ignore[return-value]


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """For calls that block: the others in flight go on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    first, *others = gc.get_threshold()
    gc.set_threshold(max(first, NEW_OBJECTS) if first else 0, *others)
    try:
        yield
    finally:
        gc.set_threshold(first, *others)


@cache
def _kept() -> asyncio.Runner:
    runner = _runner()
    atexit.register(runner.close)
    return runner


def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()
    runner.get_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="rowcast"))
    return runner
