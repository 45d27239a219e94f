from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from rowcast.errors import RunFailed
from rowcast.models import Notice
from rowcast.ports import Clock
from rowcast.stores import aws
from rowcast.stores.clock import SystemClock

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH = 10
BATCH_BYTES = 1_000_000  # SQS takes 1 MiB a batch; the rest is left for what it counts beside the bodies
_HASHES_PER_NOTICE = 2_000
_EMPTY_REPLIES = 3  # short polling asks some of SQS's servers; long polling would cost each run a second


class SqsRetryQueue:
    """A sync's retry queue, and the deployment's quarantine for messages that name no debt."""

    def __init__(self, *, client: SQSClient, queue_url: str, quarantine_url: str, clock: Clock | None = None) -> None:
        self._client = client
        self._url = queue_url
        self._quarantine_url = quarantine_url
        self._clock = clock or SystemClock()
        self._bodies: dict[str, str] = {}

    def send(self, notices: Sequence[Notice]) -> None:
        for batch in _batches([msgspec.json.encode(part).decode() for notice in notices for part in _parts(notice)]):
            self._all_of("send", [{"Id": str(i), "MessageBody": body} for i, body in enumerate(batch)])

    def receive(self) -> Iterator[tuple[str, Notice | None]]:
        """Ends after some replies without a new message. What is missed comes with the next run."""
        seen: set[str] = set()
        empty = 0
        while empty < _EMPTY_REPLIES:
            reply = self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=0)
            messages = reply.get("Messages", [])
            empty = empty + 1 if all(message["MessageId"] in seen for message in messages) else 0
            for message in messages:
                seen.add(message["MessageId"])
                self._bodies[message["ReceiptHandle"]] = message["Body"]
                yield message["ReceiptHandle"], _notice(message["Body"])

    def delete(self, receipts: Sequence[str]) -> None:
        for start in range(0, len(receipts), BATCH):
            batch = receipts[start : start + BATCH]
            self._all_of("delete", [{"Id": str(i), "ReceiptHandle": receipt} for i, receipt in enumerate(batch)])
            for receipt in batch:
                self._bodies.pop(receipt, None)

    def quarantine(self, receipt: str) -> None:
        """Sends before it deletes: a crash between the two leaves a second copy, never none."""
        if receipt not in self._bodies:
            raise RunFailed("A message can be quarantined only by the process that received it.")
        self._client.send_message(QueueUrl=self._quarantine_url, MessageBody=self._bodies[receipt])
        self.delete([receipt])

    def _all_of(self, action: str, entries: list[dict[str, Any]]) -> None:
        """Repeats the entries that failed by no fault of ours; raises when one cannot succeed."""
        call: Any = self._client.send_message_batch if action == "send" else self._client.delete_message_batch
        failed: list[Any] = []
        for _ in aws.tries(self._clock):
            failed = call(QueueUrl=self._url, Entries=entries).get("Failed", [])
            if not failed:
                return
            if any(entry["SenderFault"] for entry in failed):
                break
            again = {entry["Id"] for entry in failed}
            entries = [entry for entry in entries if entry["Id"] in again]
        raise RunFailed(f"SQS did not {action} {len(failed)} messages of the retry queue: {failed[0]['Code']}.")


def _batches(bodies: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for body in bodies:
        if batch and (len(batch) == BATCH or size + len(body.encode()) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += len(body.encode())
    if batch:
        yield batch


def _parts(notice: Notice) -> Iterator[Notice]:
    """A notice of very many debts becomes several, each well below the size of a message."""
    if len(notice.key_hashes) <= _HASHES_PER_NOTICE:
        yield notice
        return
    for start in range(0, len(notice.key_hashes), _HASHES_PER_NOTICE):
        yield replace(notice, key_hashes=notice.key_hashes[start : start + _HASHES_PER_NOTICE])


def _notice(body: str) -> Notice | None:
    try:
        return msgspec.json.decode(body, type=Notice)
    except msgspec.MsgspecError:
        return None
