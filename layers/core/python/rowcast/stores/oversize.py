"""Messages that no destination can carry: kept in the bucket, with a pointer sent in their place."""

from __future__ import annotations

import hashlib

import msgspec

from rowcast.definition import Definition
from rowcast.errors import MessageInvalid
from rowcast.models import to_json
from rowcast.ports import MessageToSend
from rowcast.stores.objects import Objects


class S3Oversize:
    """As the sync's definition says: puts the message under `oversize/<sync>/<run>/<change id>.json`, or refuses it."""

    def __init__(self, *, definition: Definition, objects: Objects) -> None:
        self._definition = definition
        self._objects = objects

    def __call__(self, message: MessageToSend, reason: str) -> MessageToSend:
        if self._definition.message_of(message.change.operation).oversize == "reject":
            raise MessageInvalid(reason)
        key = f"oversize/{message.sync}/{message.run}/{message.change.id}.json"
        body = message.body
        if not self._objects.put_if_absent(key, body):  # by a worker before us: what it stored stands
            body = self._objects.get(key) or body
        digest = hashlib.sha256(body).hexdigest()
        pointer = {"bucket": self._objects.bucket, "key": key, "sha256": digest, "bytes": len(body)}
        return msgspec.structs.replace(message, body=to_json({"rowcast_s3": pointer}))
