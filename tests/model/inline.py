from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Inline:
    """A pool whose work is done in the caller's own thread: the only one that a fork keeps or a schedule knows."""

    def __init__(self, workers: int) -> None:
        pass

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return iter([work(item) for item in items])
