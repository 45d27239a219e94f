"""What the route needs from outside, as Protocols. Each port's contract suite in tests/contract runs on every adapter.

`token` parameters are fencing tokens: an adapter that owes fencing raises LockLost when the token is not current.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from rowcast.alerting import Alert, Book
from rowcast.chunks import WrittenChunk
from rowcast.definition import Definition
from rowcast.models import (
    Change,
    Chunk,
    ChunkState,
    Column,
    Debt,
    Deployment,
    Head,
    Manifest,
    Notice,
    PartitionResult,
    Run,
)

if TYPE_CHECKING:
    import duckdb


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds."""

    def sleep(self, seconds: float) -> None: ...

    async def wait(self, seconds: float) -> None:
        """Sleeps while others work."""


class Budget(Protocol):
    """The time that this invocation has left."""

    def seconds_left(self) -> float: ...


class SourceResult(msgspec.Struct, frozen=True, kw_only=True):
    """A query's result inside a DuckDB connection: `relation` is an SQL table expression that can be read once.

    Its columns are named and typed as `columns` says, in the physical types of `rowcast.columns`.
    """

    relation: str
    columns: tuple[Column, ...]


class Source(Protocol):
    """A database or files that can be asked one query.

    Owes: reads only, one statement, one consistent view, memory bounded by configuration. Every value arrives exactly
    or the column is refused by name with the cast to write. Errors are SourceFailed and hold no row's value.
    """

    def query(self, query: str, connection: duckdb.DuckDBPyConnection) -> AbstractContextManager[SourceResult]: ...


class SnapshotStore(Protocol):
    """Immutable files and manifests. Keys are S3 keys."""

    def put_file(self, key: str, path: Path) -> None:
        """Writes once; a second write of the same key is an error."""

    def put_manifest(self, manifest: Manifest) -> tuple[str, Manifest]:
        """Writes the run's manifest unless it has one already; answers the key and the one that stands."""

    def manifest(self, key: str) -> Manifest: ...

    def fetch(self, partition_key: str, checksum: str, path: Path) -> None:
        """Raises SnapshotDamaged when the bytes differ from `checksum` (`rowcast.checksums`) or are gone."""

    def put_work(self, sync: str, run: str, name: Literal["partitions", "chunks", "past"], items: Sequence[Any]) -> str:
        """A JSON list for a Distributed Map to read; answers its key. Writing the same list again is allowed."""

    def work(self, key: str) -> list[Any]: ...

    def delete(self, keys: Iterable[str]) -> None: ...

    def delete_run(self, sync: str, run: str) -> None:
        """Deletes what a run wrote that never came to send anything."""

    def bucket_name(self) -> str: ...


class Documents(Protocol):
    """Small objects by key: what people asked for, and what they are shown."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, body: bytes) -> None: ...


class DefinitionStore(Protocol):
    def deployment(self, sync: str) -> Deployment:
        """Raises DefinitionInvalid when no such sync is deployed."""

    def deployed_definition(self, deployment: Deployment) -> Definition: ...

    def pin(self, definition: Definition) -> str:
        """Keeps the definition under its digest for as long as runs need it; answers that digest."""

    def pinned(self, sync: str, digest: str) -> Definition: ...


class StateStore(Protocol):
    """Head, lock and runs of a sync. Every write is conditional on the token; reads are consistent."""

    def head(self, sync: str) -> Head: ...

    def run(self, sync: str, run: str) -> Run | None: ...

    def runs(self, sync: str, limit: int) -> list[Run]:
        """Newest first."""

    def take_lock(self, seen: Head, execution: str) -> Head | None:
        """Makes `execution` the holder with token `seen.token + 1`; None when the head is no longer as seen."""

    def release_lock(self, sync: str, token: int) -> None:
        """Frees the lock if `token` still holds it."""

    def begin(self, run: Run, token: int) -> None:
        """Stores the run and makes it the head's open run, in one transaction."""

    def save(self, run: Run, token: int) -> None:
        """Overwrites the run's record. For the holder's own steps; parallel workers use the calls below.

        Raises LockLost also when the run is not open any more or its phase is a later one: a step whose answer was lost
        may end after the one that took its place.
        """

    def stop(self, sync: str, run: str, token: int, reason: str) -> None:
        """The first reason stands; workers of the run stop sending."""

    def add_rejections(self, sync: str, run: str, token: int, reasons: dict[str, int]) -> dict[str, int]:
        """Adds to the run's count per hashed reason; answers the totals of those reasons."""

    def commit(self, head: Head, run: Run, token: int) -> None:
        """Head and run in one transaction, on the condition that generation is head.generation - 1 and the token is
        current. A run that commits no baseline passes its head with the generation unchanged to `close`."""

    def close(self, run: Run, token: int) -> None:
        """Ends a run that moves no baseline: stores it, clears the open run; one transaction. A held run becomes the
        head's; one that rejects, as one that commits, leaves none there."""


class Executions(Protocol):
    def is_running(self, execution: str) -> bool:
        """Whether that execution of the state machine is still going."""


class ChangeStore(Protocol):
    """Chunks, their progress, and the results of diffed partitions."""

    def put_chunk(self, chunk: Chunk | WrittenChunk) -> None:
        """Written once: a repeat of the same chunk id leaves the first."""

    def chunk(self, sync: str, run: str, chunk: str) -> Chunk: ...

    def chunk_and_size(self, sync: str, run: str, chunk: str) -> tuple[Chunk, int]:
        """And how many bytes of JSON it has, before they were compressed."""

    def put_result(self, sync: str, run: str, result: PartitionResult) -> None:
        """Written once, as chunks are: it names them."""

    def results(self, sync: str, run: str) -> list[PartitionResult]: ...

    def claim(self, sync: str, run: str, chunk: str, token: int, claim: str, deadline: float) -> ChunkState | None:
        """Claims a chunk for one worker and answers the state as it was before (None: never claimed).

        Claims nothing, and answers the state, when the chunk is done. Raises LockLost when a newer token claimed it.
        """

    def record(self, sync: str, run: str, state: ChunkState) -> None:
        """Stores progress, on the condition that `state.claim` is still the claim; else raises LockLost."""

    def states(self, sync: str, run: str, beginning: str = "") -> Iterator[ChunkState]:
        """Of the chunks whose id begins so, in order of the id and one by one."""

    def mark_booked(self, sync: str, run: str, chunk: str) -> None: ...


class DebtStore(Protocol):
    def debts(self, sync: str, first: str, last: str) -> Iterator[Debt]:
        """Debts whose key hash lies between `first` and `last`, both included, in order of the hash. They come one by
        one: a sync may owe more rows than fit into memory."""

    def key_hashes(self, sync: str, first: str, last: str) -> Iterator[str]:
        """Of the same debts, without reading their rows."""

    def existing(self, sync: str, key_hashes: Sequence[str]) -> set[str]: ...

    def book(self, sync: str, token: int, put: Sequence[Debt], delete: Sequence[str]) -> None:
        """Writes and deletes debts; each transaction is fenced by the head's token. Repeating it changes nothing."""


class RetryQueue(Protocol):
    def send(self, notices: Sequence[Notice]) -> None: ...

    def receive(self) -> Iterator[tuple[str, Notice | None]]:
        """What is visible now, as (receipt, notice); None where the body is none. One may come twice."""

    def delete(self, receipts: Sequence[str]) -> None: ...

    def quarantine(self, receipt: str) -> None:
        """Moves a message that `receive` gave to the quarantine queue."""


class AlertStore(Protocol):
    def book(self, sync: str) -> tuple[Book | None, int]:
        """What is known of the sync's alerts, and the version under which it is kept; None and 0 at first."""

    def keep(self, book: Book, version: int) -> bool:
        """Replaces version `version`; False when another is kept by now."""


class Announcer(Protocol):
    def announce(self, alerts: Sequence[Alert]) -> None:
        """Puts each on the deployment's bus. Raises when any was not taken; then all are to be put again."""


class CallRecord(msgspec.Struct, kw_only=True):
    """One API call to a destination: what was asked, what came back, the changes it carried."""

    version: Literal[1] = 1
    sync: str
    run: str
    chunk: str
    call: str
    attempt: int
    started_at: float
    seconds: float
    request: Any
    reply: Any
    error: str
    change_ids: list[str]
    keys: list[list[Any]]
    outcomes: list[str]


class CallStore(Protocol):
    def put(self, sync: str, run: str, chunk: str, claim: str, records: Sequence[CallRecord]) -> None: ...

    def calls(self, sync: str, run: str) -> Iterator[CallRecord]: ...


class MessageToSend(msgspec.Struct, kw_only=True):
    """`body`: JSON text. `time`: epoch seconds, the same for every send of this change in its run.

    A change that a later run sends again goes under the name and the time of the run that sent it first.
    """

    change: Change
    body: bytes
    time: float
    sync: str
    run: str
    metadata: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.change.first is not None:
            self.run, self.time = self.change.first.run, self.change.first.started_at


class Verdict(msgspec.Struct, kw_only=True):
    """What a call says of one message.

    accepted, rejected (the destination's answer, may fare better later), refused (the same bytes cannot fare better),
    throttled (surely not taken, send again), in_doubt (no usable reply after sending). `slow`: the destination asks to
    be sent nothing for so many seconds; 0 when it does not say how many.
    """

    kind: Literal["accepted", "rejected", "refused", "throttled", "in_doubt"]
    reason: str = ""
    slow: float | None = None


class CallResult(msgspec.Struct, kw_only=True):
    """`verdicts[i]` belongs to message i of the batch. `request`, `reply`: for the call record."""

    verdicts: list[Verdict]
    request: Any
    reply: Any
    error: str = ""


class Destination(Protocol):
    """A place that messages are sent to.

    Owes: one API call and one attempt per `send`, with every entry's own answer read; while one waits, others go on.
    Whoever implements it must expect the same message again, with identical bytes.
    """

    def check(self) -> None:
        """Raises DestinationRefused, naming what is missing, when the target cannot be used, and Throttled when that
        could not be found out. Sends nothing."""

    def batches(
        self, messages: Sequence[MessageToSend]
    ) -> tuple[list[list[MessageToSend]], list[tuple[MessageToSend, str]]]:
        """Cuts messages of one operation into calls by count and bytes; and those that none can carry, with why."""

    async def ready(self) -> None:
        """Does ahead what a call would have to wait for on its way: credentials, a connection. Sends nothing and raises
        nothing: what can't be had is for `send` to tell."""

    async def send(self, batch: Sequence[MessageToSend], batch_id: str, attempt: int) -> CallResult:
        """Raises DestinationRefused when nothing can be sent there at all: access denied, target missing."""


class Pace(Protocol):
    """A rate that all share who send to the same place: the workers of a run, or of several syncs."""

    def reserve(self, count: int, within: float = math.inf) -> float:
        """Takes the right to send `count` changes; answers how many seconds to wait before using it.

        A right that could be used only after more than `within` seconds is not taken. A right is a time: who takes one
        and dies holds up the others for no longer than until that time has passed.
        """

    def slow(self, seconds: float) -> None:
        """No right is given for so many seconds, to nobody: the destination asked to be sent less."""


Render = Callable[[Change], bytes]
"""A change to its message's JSON text. Raises MessageInvalid. Not for several threads at once."""

Address = Callable[[MessageToSend], tuple[str, str]]
"""A message to its event's source and detail type. Raises MessageInvalid."""

Oversize = Callable[[MessageToSend, str], MessageToSend]
"""What is sent in place of a message that the destination cannot carry, for the reason given. Raises MessageInvalid
with that reason when nothing is."""
