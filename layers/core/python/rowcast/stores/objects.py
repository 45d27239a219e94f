"""S3 objects that are written once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from botocore.exceptions import ClientError

from rowcast import clienterror
from rowcast.errors import RunFailed
from rowcast.ports import Clock
from rowcast.stores import aws
from rowcast.stores.clock import SystemClock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WRITER = "rowcast-writer"


class Objects:
    def __init__(self, *, client: S3Client, bucket: str, clock: Clock | None = None) -> None:
        self.client = client
        self.bucket = bucket
        self._clock = clock or SystemClock()

    def put_if_absent(self, key: str, body: bytes | IO[bytes]) -> bool:
        """False when the key is taken by someone else's object.

        A writer's mark tells an own write whose reply was lost from another's: the SDK repeats such a write, and the
        repeat finds the key taken.
        """
        writer = uuid4().hex
        for _ in aws.tries(self._clock):
            try:
                if not isinstance(body, bytes):
                    body.seek(0)
                self.client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*", Metadata={WRITER: writer}
                )
            except ClientError as error:
                if clienterror.status(error) == 412:
                    return self._writer(key) == writer
                if clienterror.status(error) != 409:
                    raise
            else:
                return True
        raise RunFailed(f"S3 kept answering that {key} is being written by others.")

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes | None:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if is_missing(error):
                return None
            raise

    def keys(self, prefix: str) -> Iterator[str]:
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            yield from (item["Key"] for item in page.get("Contents", []))

    def folders(self, prefix: str) -> Iterator[str]:
        """What lies below the prefix, up to the next slash."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
        for page in pages:
            yield from (item["Prefix"] for item in page.get("CommonPrefixes", []))

    def delete(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        while batch := list(islice(remaining, 1000)):
            reply = self.client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
            )
            if errors := reply.get("Errors"):
                first = errors[0]
                raise RunFailed(f"S3 did not delete {len(errors)} objects, {first.get('Key')}: {first.get('Code')}.")

    def _writer(self, key: str) -> str:
        try:
            return self.client.head_object(Bucket=self.bucket, Key=key)["Metadata"].get(WRITER, "")
        except ClientError as error:
            if is_missing(error):
                return ""
            raise


def is_missing(error: ClientError) -> bool:
    return clienterror.code(error) in ("NoSuchKey", "404", "NotFound")
