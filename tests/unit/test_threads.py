"""Blocking work at once: how much of it, in which order its answers come, and what an error ends."""

from __future__ import annotations

import threading
import time

import pytest

from rowcast import threads
from rowcast.stores import aws

SECONDS = 20.0


class Counted:
    """Notes how many are at once within; none ends before `wanted` are, or the time is over."""

    def __init__(self, wanted: int) -> None:
        self.inside = self.most = 0
        self.hands: set[int] = set()
        self._wanted = wanted
        self._changed = threading.Condition()

    def __call__(self, item: int) -> int:
        with self._changed:
            self.inside += 1
            self.hands.add(threading.get_ident())
            self.most = max(self.most, self.inside)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.most >= self._wanted, SECONDS), "so many are never at once"
            self.inside -= 1
        return -item


@pytest.mark.parametrize("most", [1, 2, 5])
def test_as_many_are_under_way_as_are_allowed_and_never_more(most: int) -> None:
    counted = Counted(most)
    assert threads.each(counted, range(20), most) == [-number for number in range(20)]
    assert counted.most == len(counted.hands) == most


def test_answers_come_in_the_order_of_the_items_however_they_end() -> None:
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert later.wait(SECONDS)
        else:
            later.set()
        return item

    assert threads.each(work, [0, 1, 2], 2) == [0, 1, 2]


@pytest.mark.parametrize("count", [0, 1])
def test_for_less_than_two_there_is_no_other_thread(count: int) -> None:
    here = threading.get_ident()
    assert threads.each(lambda item: threading.get_ident(), range(count), 8) == [here] * count


def test_after_an_error_nothing_more_begins() -> None:
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise ValueError("of the second")

    with pytest.raises(ValueError, match="of the second"):
        threads.each(work, range(50), 1)
    assert begun == [0, 1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_is_raised_when_what_is_under_way_has_ended(error: type[BaseException]) -> None:
    failed, ended = threading.Event(), []

    def work(item: int) -> None:
        if item == 1:
            failed.set()
            raise error("of the second")
        assert failed.wait(SECONDS)
        time.sleep(0.001)  # lets the other thread go on
        ended.append(item)

    with pytest.raises(error, match="of the second"):
        threads.each(work, range(1_000), 2)
    assert 0 in ended
    assert 999 not in ended


def test_a_client_keeps_a_connection_for_each_file() -> None:
    assert aws.control_config().max_pool_connections >= threads.FILES
