from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from rowcast.checksums import Checksum
from rowcast.errors import RunFailed, SnapshotDamaged
from rowcast.models import Manifest, from_json, to_json


class FakeSnapshotStore:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_file(self, key: str, path: Path) -> None:
        if key in self.objects:
            raise RunFailed(f"{key} was written before.")
        self.objects[key] = path.read_bytes()

    def put_manifest(self, manifest: Manifest) -> tuple[str, Manifest]:
        key = f"snapshots/{manifest.sync}/{manifest.run}/manifest.json"
        self.objects.setdefault(key, msgspec.json.encode(manifest))
        return key, self.manifest(key)

    def manifest(self, key: str) -> Manifest:
        if key not in self.objects:
            raise SnapshotDamaged(f"The manifest {key} is gone.")
        return msgspec.json.decode(self.objects[key], type=Manifest)

    def fetch(self, partition_key: str, checksum: str, path: Path) -> None:
        data = self.objects.get(partition_key)
        if data is None:
            raise SnapshotDamaged(f"{partition_key} is gone, though a manifest names it.")
        found = Checksum(checksum)
        found.update(data)
        if found.text() != checksum:
            raise SnapshotDamaged(f"{partition_key} is not what its manifest says.")
        path.write_bytes(data)

    def put_work(self, sync: str, run: str, name: Literal["partitions", "chunks", "past"], items: Sequence[Any]) -> str:
        key = f"worklists/{sync}/{run}/{name}.json"
        self.objects[key] = to_json(list(items))
        return key

    def work(self, key: str) -> list[Any]:
        if key not in self.objects:
            raise RunFailed(f"The work list {key} is gone.")
        return list(from_json(self.objects[key]))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def delete_run(self, sync: str, run: str) -> None:
        prefixes = (f"snapshots/{sync}/{run}/", f"worklists/{sync}/{run}/")
        self.delete([key for key in self.objects if key.startswith(prefixes)])

    def bucket_name(self) -> str:
        return "fake-bucket"
