"""Work that blocks, on stores or in libraries that leave Python's lock: several pieces of it at once, a thread each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Item = TypeVar("Item")
FILES = 8
"""That are put into a store, or fetched from it, at once. A file waits 30 to 100 ms for S3 and then moves with 85 to
90 MB/s: eight take what a function's network gives. Each holds a piece of 1 MB and its connection.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html"""


def each(work: Callable[[Item], T], items: Iterable[Item], most: int) -> list[T]:
    """The answers in the items' order, with at most `most` at once; a single item is the caller's own work.

    After the first error nothing more begins; it is raised when all that is under way has ended.
    """
    waiting = list(items)
    numbered = iter(enumerate(waiting))
    answers: dict[int, T] = {}
    errors: list[BaseException] = []
    turn = threading.Lock()

    def lane() -> None:
        while True:
            with turn:
                number, item = next(numbered, (None, None)) if not errors else (None, None)
            if number is None:
                return
            try:
                answers[number] = work(item)  # type: ignore[arg-type]
            except BaseException as error:
                errors.append(error)

    others = min(most, len(waiting)) - 1
    with ThreadPoolExecutor(max(1, others), thread_name_prefix="rowcast") as threads:
        for _ in range(others):
            threads.submit(lane)
        lane()
    if errors:
        raise errors[0]
    return [answers[number] for number in range(len(waiting))]
