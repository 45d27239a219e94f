from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from rowcast.checksums import Checksum
from rowcast.errors import RunFailed, SnapshotDamaged
from rowcast.models import Manifest, from_json, to_json
from rowcast.ports import Clock
from rowcast.stores import aws
from rowcast.stores.clock import SystemClock
from rowcast.stores.objects import Objects, is_missing

_BROKEN_OFF = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_PIECE = 1 << 20


class S3Snapshots:
    """Snapshot files, manifests and work lists in the deployment's bucket."""

    def __init__(self, *, objects: Objects, clock: Clock | None = None) -> None:
        self._objects = objects
        self._clock = clock or SystemClock()

    def bucket_name(self) -> str:
        return self._objects.bucket

    def put_file(self, key: str, path: Path) -> None:
        with path.open("rb") as file:
            if not self._objects.put_if_absent(key, file):
                raise RunFailed(f"{key} was written before, and snapshots are never overwritten.")

    def put_manifest(self, manifest: Manifest) -> tuple[str, Manifest]:
        key = f"snapshots/{manifest.sync}/{manifest.run}/manifest.json"
        if self._objects.put_if_absent(key, msgspec.json.encode(manifest)):
            return key, manifest
        return key, self.manifest(key)

    def manifest(self, key: str) -> Manifest:
        data = self._objects.get(key)
        if data is None:
            raise SnapshotDamaged(f"The manifest {key} is gone.")
        try:
            return msgspec.json.decode(data, type=Manifest)
        except msgspec.MsgspecError as error:
            raise SnapshotDamaged(f"The manifest {key} cannot be read ({error}).") from error

    def fetch(self, partition_key: str, checksum: str, path: Path) -> None:
        for _ in aws.tries(self._clock):
            try:
                found = self._download(partition_key, path, Checksum(checksum))
            except _BROKEN_OFF:
                continue
            if found != checksum:
                path.unlink(missing_ok=True)
                raise SnapshotDamaged(f"{partition_key} differs from the checksum in its manifest.")
            return
        raise RunFailed(f"The download of {partition_key} kept breaking off.")

    def put_work(self, sync: str, run: str, name: Literal["partitions", "chunks", "past"], items: Sequence[Any]) -> str:
        key = f"worklists/{sync}/{run}/{name}.json"
        self._objects.put(key, to_json(list(items)))
        return key

    def work(self, key: str) -> list[Any]:
        data = self._objects.get(key)
        if data is None:
            raise RunFailed(f"The work list {key} is gone.")
        return list(from_json(data))

    def delete(self, keys: Iterable[str]) -> None:
        self._objects.delete(keys)

    def delete_run(self, sync: str, run: str) -> None:
        for prefix in (f"snapshots/{sync}/{run}/", f"worklists/{sync}/{run}/"):
            self._objects.delete(self._objects.keys(prefix))

    def _download(self, key: str, path: Path, checksum: Checksum) -> str:
        try:
            body = self._objects.client.get_object(Bucket=self._objects.bucket, Key=key)["Body"]
        except ClientError as error:
            if is_missing(error):
                raise SnapshotDamaged(f"{key} is gone, though a manifest names it.") from error
            raise
        with path.open("wb") as file:
            for piece in body.iter_chunks(_PIECE):
                checksum.update(piece)
                file.write(piece)
        return checksum.text()
