"""Deaths that a test brings about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.world import World


class Died(BaseException):
    """What no `except Exception` hides."""


def before(state: str) -> Callable[[str], None]:
    """For a run's `on`: the execution dies before it enters this state, without its failure being noted."""

    def die(entered: str) -> None:
        if entered == state:
            raise Died

    return die


@contextmanager
def after_sending(world: World) -> Iterator[None]:
    """A worker dies in here, once its call has taken effect and before it learns the answer."""

    def die(sent: Any) -> None:
        raise Died

    world.target.before_answer = die
    with pytest.raises(Died):
        yield
    world.target.before_answer = lambda sent: None
