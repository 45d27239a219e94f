"""Several Arrow streams read as one, by DuckDB, each wrapped so that the test sees and steers its calls."""

from __future__ import annotations

import ctypes
import errno
import threading
from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from rowcast.arrow import Array, Stream, capsule_pointer
from rowcast.sources.merged import Merged


class Watched:
    """A stream of the engine's own over a query. `before_next` is called with the number of the batch that is asked
    for, and may answer an error's text."""

    def __init__(self, query: str, before_next: Callable[[int], bytes | None] = lambda _: None) -> None:
        self._connection = duckdb.connect()
        self._capsule = self._connection.sql(query).__arrow_c_stream__()
        inner_at = capsule_pointer(self._capsule, b"arrow_array_stream")
        inner = ctypes.cast(inner_at, ctypes.POINTER(Stream)).contents
        self._error = ctypes.create_string_buffer(b"")
        self.asked = 0
        self.released = 0
        self._stream = Stream()

        def get_next(_: int, target: Any) -> int:
            self.asked += 1
            problem = before_next(self.asked)
            if problem is not None:
                self._error = ctypes.create_string_buffer(problem)
                return errno.EIO
            return int(inner.get_next(inner_at, target))

        self._calls: list[Any] = [
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
                lambda _, schema: inner.get_schema(inner_at, ctypes.cast(schema, inner.get_schema.argtypes[1]))
            ),
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Array))(get_next),
            ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: ctypes.addressof(self._error)),
        ]
        fields: Any = Stream._fields_
        for call, (name, kind) in zip(self._calls, fields, strict=False):
            setattr(self._stream, name, ctypes.cast(call, kind))

    @property
    def address(self) -> int:
        return ctypes.addressof(self._stream)

    def release(self) -> None:
        self.released += 1


def numbers(start: int, end: int) -> str:
    return f"SELECT i, 'text ' || i AS t FROM range({start}, {end}) AS r(i)"


def read(streams: list[Watched], query: str = "SELECT count(*), count(DISTINCT i), sum(i), min(t) FROM merged") -> Any:
    with duckdb.connect() as connection, Merged(streams) as merged:
        connection.register("merged", merged)
        return connection.execute(query).fetchall()


def test_every_row_of_every_stream_comes_once() -> None:
    streams = [Watched(numbers(0, 500_000)), Watched(numbers(500_000, 500_001)), Watched(numbers(7, 7))]
    assert read([*streams, Watched(numbers(500_001, 700_000))]) == [(700_000, 700_000, 244999650000, "text 0")]
    assert [stream.released for stream in streams] == [1, 1, 1]


def test_streams_are_read_side_by_side() -> None:
    met = threading.Barrier(3, timeout=20)

    def meet(asked: int) -> None:
        if asked == 1:
            met.wait()  # breaks if the others are not asked meanwhile

    assert read([Watched(numbers(start, start + 10), meet) for start in (0, 10, 20)])[0][0] == 30


def test_no_stream_is_read_far_ahead_of_what_is_taken() -> None:
    streams = [Watched(numbers(0, 20_000_000)) for _ in range(2)]
    with duckdb.connect() as connection, Merged(streams) as merged:
        connection.register("merged", merged)
        assert len(connection.execute("SELECT i FROM merged LIMIT 10").fetchall()) == 10
    assert max(stream.asked for stream in streams) < 60, "of 153 batches"


@pytest.mark.parametrize("after", [1, 2])
def test_a_stream_that_fails_ends_the_whole_with_its_error_and_stops_the_others(after: int) -> None:
    streams = [
        Watched(numbers(0, 10_000_000)),
        Watched(numbers(0, 10_000_000), lambda asked: b"the server went away" if asked == after else None),
    ]
    with pytest.raises(duckdb.Error, match="the server went away"):
        read(streams)
    assert [stream.released for stream in streams] == [1, 1]
    assert not [thread for thread in threading.enumerate() if "_read" in thread.name]


def test_after_a_failure_whoever_asks_again_is_told_of_it_and_does_not_wait() -> None:
    answers: list[int] = []
    with Merged([Watched(numbers(0, 1)), Watched(numbers(0, 1), lambda _: b"gone")]) as merged:
        at = capsule_pointer(merged.__arrow_c_stream__(), b"arrow_array_stream")
        stream = ctypes.cast(at, ctypes.POINTER(Stream)).contents

        def ask() -> None:
            batches = [Array() for _ in range(4)]
            answers.extend(stream.get_next(at, ctypes.byref(batch)) for batch in batches)
            for batch in batches:
                if batch.release:
                    batch.release(ctypes.addressof(batch))

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(timeout=20)
    assert answers[-2:] == [errno.EIO, errno.EIO]


def test_leaving_early_ends_the_threads_and_gives_back_what_was_read() -> None:
    streams = [Watched(numbers(0, 10_000_000)) for _ in range(3)]
    with Merged(streams):
        pass
    assert [stream.released for stream in streams] == [1, 1, 1]
    assert not [thread for thread in threading.enumerate() if "_read" in thread.name]
