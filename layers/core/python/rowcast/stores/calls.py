from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec
from isal import igzip

from rowcast.models import to_json
from rowcast.ports import CallRecord
from rowcast.stores import stored
from rowcast.stores.objects import Objects

_decoder = msgspec.json.Decoder(CallRecord, float_hook=Decimal)


class S3Calls:
    """Call records as compressed JSON lines, one object per chunk and claim; a claim's last put stands."""

    def __init__(self, *, objects: Objects) -> None:
        self._objects = objects

    def put(self, sync: str, run: str, chunk: str, claim: str, records: Sequence[CallRecord]) -> None:
        lines = b"".join(to_json(record) + b"\n" for record in records)
        key = f"calls/{sync}/{run}/{chunk}-{claim}.jsonl.gz"
        self._objects.put(key, igzip.compress(lines, compresslevel=1, mtime=0))

    def runs(self, sync: str) -> list[str]:
        """The names under which calls of the sync are kept."""
        prefix = f"calls/{sync}/"
        return [folder.removeprefix(prefix).rstrip("/") for folder in self._objects.folders(prefix)]

    def calls(self, sync: str, run: str) -> Iterator[CallRecord]:
        for key in self._objects.keys(f"calls/{sync}/{run}/"):
            data = self._objects.get(key)
            if data is not None:
                lines = gzip.decompress(data).splitlines()
                yield from (stored.read(_decoder, line, f"A call record in {key}") for line in lines)
