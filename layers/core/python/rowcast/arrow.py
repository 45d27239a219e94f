"""What the engine answers, as whole columns: its result read as it lies in memory, without a library for that.

Arrow's C stream and C data interfaces: https://arrow.apache.org/docs/format/CStreamInterface.html
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.uint64]

_TEXT, _NUMBER = b"u", b"L"


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of UTF-8 texts: the nth is `data[ends[n]:ends[n + 1]]`."""

    ends: npt.NDArray[np.signedinteger]
    data: bytes

    def joined(self, start: int, end: int) -> bytes:
        """The texts from one to before another, without anything between them."""
        return self.data[self.ends[start] : self.ends[end]]


Column = Any
"""Texts, or Numbers."""


def joined(parts: Sequence[Column]) -> Column:
    """The same column of several batches."""
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    if not isinstance(parts[0], Texts):
        return np.concatenate(parts)
    ends, start = [parts[0].ends[:1].astype(np.int64)], 0
    for part in parts:
        ends.append(part.ends[1:].astype(np.int64) + start)
        start += len(part.data)
    return Texts(np.concatenate(ends), b"".join(part.data for part in parts))


def in_order(columns: Sequence[Column]) -> list[Column]:
    """The rows by their first column, which holds numbers. Quick where whole stretches of rows are only out of place:
    the engine mostly keeps to the order of a file, and does not promise it."""
    import numpy as np

    if not columns or (columns[0][1:] > columns[0][:-1]).all():
        return list(columns)
    order = columns[0].argsort(kind="stable")
    breaks = np.flatnonzero(order[1:] != order[:-1] + 1) + 1
    firsts, lasts = order[np.append(0, breaks)].tolist(), order[np.append(breaks, len(order)) - 1].tolist()
    stretches = [(first, last + 1) for first, last in zip(firsts, lasts, strict=True)]
    return [_rearranged(column, order, stretches) for column in columns]


def _rearranged(column: Column, order: npt.NDArray[np.intp], stretches: Sequence[tuple[int, int]]) -> Column:
    import numpy as np

    if not isinstance(column, Texts):
        return column[order]
    ends = np.append(0, np.cumsum(np.diff(column.ends)[order], dtype=np.int64))
    return Texts(ends, b"".join([column.joined(start, end) for start, end in stretches]))


class Schema(ctypes.Structure):
    pass


class Array(ctypes.Structure):
    pass


class Stream(ctypes.Structure):
    pass


_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(Schema))),
    ("dictionary", ctypes.c_void_p),
    ("release", _Release),
    ("private_data", ctypes.c_void_p),
]
Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(Array))),
    ("dictionary", ctypes.c_void_p),
    ("release", _Release),
    ("private_data", ctypes.c_void_p),
]
Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Schema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Array))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)),
    ("release", _Release),
    ("private_data", ctypes.c_void_p),
]
capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
capsule_pointer.restype = ctypes.c_void_p
capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


def batches(connection: duckdb.DuckDBPyConnection, statement: str) -> Iterator[list[Column]]:
    """Runs a query to its end; its columns, some rows at a time. They are VARCHAR or UBIGINT and hold no null."""
    [parsed] = connection.extract_statements(statement)  # which the engine else does once more
    capsule = connection.sql(parsed).__arrow_c_stream__()
    at = capsule_pointer(capsule, b"arrow_array_stream")
    stream = ctypes.cast(at, ctypes.POINTER(Stream)).contents
    schema = Schema()
    _checked(stream.get_schema(at, ctypes.byref(schema)), stream, at)
    formats = [schema.children[number].contents.format for number in range(schema.n_children)]
    schema.release(ctypes.addressof(schema))
    while True:
        array = Array()
        _checked(stream.get_next(at, ctypes.byref(array)), stream, at)
        if not array.release:
            return
        try:
            found = [_column(array.children[number].contents, kind) for number, kind in enumerate(formats)]
        finally:
            array.release(ctypes.addressof(array))
        yield found


def _checked(code: int, stream: Any, at: int) -> None:
    if code:
        import duckdb

        raise duckdb.Error((stream.get_last_error(at) or b"").decode(errors="replace"))


def _column(array: Any, kind: bytes) -> Column:
    """A copy, since the buffers are given back."""
    if array.null_count:
        raise ValueError("a column that is read whole holds no null")
    first, count = array.offset, array.length
    if kind == _NUMBER:
        return _numbers(array.buffers[1], ctypes.c_uint64, first, count)
    if kind != _TEXT:
        raise ValueError(f"a column that is read whole is text or numbers, not of Arrow's format {kind!r}")
    ends = _numbers(array.buffers[1], ctypes.c_int32, first, count + 1)
    start, size = int(ends[0]), int(ends[-1] - ends[0])
    data = ctypes.string_at(array.buffers[2] + start, size) if size else b""
    return Texts(ends - start if start else ends, data)


def _numbers(buffer: int, kind: Any, first: int, count: int) -> Any:
    import numpy as np

    if not count:
        return np.empty(0, kind)
    whole = np.ctypeslib.as_array(ctypes.cast(buffer, ctypes.POINTER(kind)), (first + count,))
    return whole[first:].copy()
