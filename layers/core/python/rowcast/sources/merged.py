"""Several Arrow streams of one schema as one, each read by a thread of its own.

The engine reads the branches of a UNION ALL one after the other: all its threads wait for the first branch's next
batch. Where the server or the network holds each reader up, several readers are of use only side by side.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Self

from rowcast.arrow import Array, Schema, Stream

_NAME = b"arrow_array_stream"
_AHEAD = 2
"""Batches per stream that wait to be taken."""
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_GetSchema = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_GetNext = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_GetLastError = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
_Release = ctypes.CFUNCTYPE(None, ctypes.POINTER(Stream))


class _Failed:
    def __init__(self, code: int, text: bytes) -> None:
        self.code = code
        self.text = text


class Merged:
    """Batches as they come, in no order; the first stream that fails ends it with its error. To be read once, within.

    `streams`: have the `address` of an ArrowArrayStream, and `release`, which is called in the end.
    """

    def __init__(self, streams: Sequence[Any]) -> None:
        self._streams = streams
        self._waiting: Queue[Array | _Failed | None] = Queue(_AHEAD * len(streams))
        self._left = len(streams)
        self._over = threading.Event()
        self._failed = 0
        self._error = ctypes.create_string_buffer(b"")
        self._readers = [threading.Thread(target=self._read, args=(each,), daemon=True) for each in streams]
        self._calls = (
            _GetSchema(self._get_schema),
            _GetNext(self._get_next),
            _GetLastError(lambda _: ctypes.addressof(self._error)),
            _Release(self._release),
        )
        self._struct = Stream()
        fields: Sequence[Any] = Stream._fields_
        for call, (name, kind) in zip(self._calls, fields, strict=False):
            setattr(self._struct, name, ctypes.cast(call, kind))

    def __enter__(self) -> Self:
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        while any(reader.is_alive() for reader in self._readers):
            self._drop()
        while not self._waiting.empty():
            self._drop()
        for stream in self._streams:
            stream.release()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return _new_capsule(ctypes.addressof(self._struct), _NAME, None)

    def _drop(self) -> None:
        try:
            batch = self._waiting.get(timeout=0.05)
        except Empty:
            return
        if isinstance(batch, Array):
            batch.release(ctypes.addressof(batch))

    def _read(self, stream: Any) -> None:
        at = stream.address
        source = ctypes.cast(at, ctypes.POINTER(Stream)).contents
        while not self._over.is_set():
            batch = Array()
            if code := source.get_next(at, ctypes.byref(batch)):
                self._waiting.put(_Failed(code, source.get_last_error(at) or b""))
                return
            if not batch.release:
                self._waiting.put(None)
                return
            self._waiting.put(batch)

    def _get_schema(self, _: int, schema: int) -> int:
        at = self._streams[0].address
        source = ctypes.cast(at, ctypes.POINTER(Stream)).contents
        return int(source.get_schema(at, ctypes.cast(schema, ctypes.POINTER(Schema))))

    def _get_next(self, _: int, target: int) -> int:
        """The engine calls it from one thread at a time, and perhaps from another one after it failed. No error of
        Python's may leave it."""
        ctypes.memset(target, 0, ctypes.sizeof(Array))
        while self._left and not self._failed:
            batch = self._waiting.get()
            if isinstance(batch, Array):
                ctypes.memmove(target, ctypes.addressof(batch), ctypes.sizeof(Array))
                return 0
            if isinstance(batch, _Failed):
                self._error = ctypes.create_string_buffer(batch.text)
                self._failed = batch.code
            else:
                self._left -= 1
        return self._failed

    @staticmethod
    def _release(stream: Any) -> None:
        stream.contents.release = type(stream.contents.release)()
