"""Compressed bodies: inside a DynamoDB item while they fit, otherwise in S3 with the item pointing there.

The format is zlib's; ISA-L writes it in less than a third of the time, and smaller.
"""

from __future__ import annotations

from isal import isal_zlib

from rowcast.errors import RunFailed
from rowcast.stores.dynamo import Item
from rowcast.stores.objects import Objects

INLINE_BYTES = 350 * 1024


class Bodies:
    def __init__(self, *, objects: Objects, inline_bytes: int = INLINE_BYTES) -> None:
        self._objects = objects
        self._inline_bytes = inline_bytes

    def pack(self, data: bytes, key: str) -> Item:
        """The item's attributes for `data`. `key` is where an overflow goes: one key, one content, for ever."""
        body = isal_zlib.compress(data, level=1)
        if len(body) <= self._inline_bytes:
            return {"body": {"B": body}}
        self._objects.put_if_absent(key, body)
        return {"overflow": {"S": key}}

    def unpack(self, item: Item) -> bytes:
        if "body" in item:
            return isal_zlib.decompress(item["body"]["B"])
        key = item["overflow"]["S"]
        body = self._objects.get(key)
        if body is None:
            raise RunFailed(f"{key} is gone, though an item points to it.")
        return isal_zlib.decompress(body)

    def discard(self, keys: list[str]) -> None:
        self._objects.delete(keys)
