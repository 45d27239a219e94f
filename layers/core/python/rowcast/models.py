"""The words of the route as types. Stored forms carry `version` (without one: 1); times are epoch seconds, UTC."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import msgspec

Operation = Literal["added", "changed", "removed"]
OPERATIONS: tuple[Operation, ...] = ("added", "changed", "removed")
OutcomeName = Literal["accepted", "rejected", "in_doubt"]
Row = dict[str, Any]
"""A row as JSON values: exact numbers (int, or Decimal, which is finite), str, bool, None, and nested JSON. Instants
are ISO 8601 text, bytes are base64 text, and numbers that JSON has not are the texts NaN, Infinity and -Infinity."""

ColumnType = Literal[
    "boolean",
    "integer",
    "decimal",
    "float",
    "text",
    "bytes",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "uuid",
    "json",
]

_encoder = msgspec.json.Encoder(decimal_format="number")
to_json: Callable[[Any], bytes] = _encoder.encode
"""JSON with numbers exactly as they are held: Decimal('1.10') gives 1.10, and no integer is too long."""

put_json: Callable[[Any, bytearray], None] = _encoder.encode_into
"""As `to_json`, as the whole of a buffer: one that is used again need not grow, which `to_json` does for each value."""

to_sorted_json: Callable[[Any], bytes] = msgspec.json.Encoder(decimal_format="number", order="sorted").encode
"""As `to_json`, with the keys of every object sorted: equal values give equal bytes."""

from_json: Callable[[bytes | str], Any] = msgspec.json.Decoder(float_hook=Decimal).decode
"""JSON to values without rounding: fractions become Decimal. No number is NaN or infinite: JSON has none."""


def short_hash(*parts: bytes | str) -> str:
    """128 bits of SHA-256 over length-prefixed parts, as 32 hex digits; no two lists of parts run together."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(framed(part))
    return digest.hexdigest()[:32]


def framed(part: bytes | str) -> bytes:
    """With its length before it."""
    data = part.encode() if isinstance(part, str) else part
    return frame(len(data)) + data


def frame(length: int) -> bytes:
    return length.to_bytes(8, "big")


class Column(msgspec.Struct, frozen=True):
    """`type` is the logical type that fingerprints and messages depend on; it hides how a source stores it."""

    name: str
    type: ColumnType


class Partition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One Parquet file of a snapshot, and the file of its rows' fingerprints.

    `key`: the S3 key, perhaps of an earlier snapshot when nothing in the partition changed. `digest`: over the sorted
    (key hash, fingerprint) pairs, so equal digests mean equal contents. `checksum`, `fingerprints_checksum`: of the two
    files (`rowcast.checksums`), in snapshots of version 1 and 2 `sha256` and `fingerprints_sha256`. An empty partition
    has `key` None. In snapshots of version 1 there is no file of fingerprints: each row of the Parquet file holds its
    own.
    """

    key: str | None
    rows: int
    digest: str
    bytes: int
    checksum: str = ""
    fingerprints: str = ""
    fingerprints_checksum: str = ""
    sha256: str = ""
    fingerprints_sha256: str = ""

    @property
    def files(self) -> list[str]:
        return [key for key in (self.key, self.fingerprints) if key]

    @property
    def checksums(self) -> tuple[str, str]:
        """Of the rows' file, and of their fingerprints'."""
        return self.checksum or self.sha256, self.fingerprints_checksum or self.fingerprints_sha256


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot holds. Partition i of n holds the keys whose hash's leading bits are i; n is a power of two.

    `fingerprint_schema` names the hash recipe and the columns it covers: fingerprints under different names do not
    compare and are computed anew from the rows.
    """

    version: Literal[1, 2, 3] = 3
    sync: str
    run: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    fingerprint_schema: str
    rows: int
    partitions: tuple[Partition, ...]


class Debt(msgspec.Struct, kw_only=True):
    """A row whose outcome was not accepted.

    `accepted`: the row that the destination last accepted (None: it knows of none), from which the next change is
    measured. `sent`: the row that was last sent or owed (None for a removal). `in_doubt`: some send may have taken
    effect, so the row is sent again even when it equals `accepted`; it stays set until a send is accepted.
    `tried`: the last run sent it; it does not send what no message can be made of, nor what it stopped before.
    """

    version: Literal[1] = 1
    sync: str
    key_hash: str
    key: list[Any]
    operation: Operation
    accepted: Row | None
    sent: Row | None
    in_doubt: bool
    reason: str
    attempts: int
    tried: bool = True
    first_run: str
    last_run: str


class DebtOrigin(msgspec.Struct, kw_only=True):
    """What a change carries over from the debt it tries to pay."""

    in_doubt: bool
    attempts: int
    first_run: str


class FirstSend(msgspec.Struct, frozen=True, kw_only=True):
    """The run that sent a change first: a change that is sent again is told as it was then."""

    run: str
    started_at: float
    definition: str


class Change(msgspec.Struct, kw_only=True):
    """`before` is the accepted row (None when added), `after` the source's row now (None when removed).

    `columns`: the names whose values differ, for changed rows. `last_sent`: for a removal in doubt without an accepted
    row, the row that may have arrived; it stands in for `before` in the message. `first`: set when it is sent again.
    """

    operation: Operation
    key: list[Any]
    key_hash: str
    id: str
    columns: list[str] = []
    before: Row | None = None
    after: Row | None = None
    last_sent: Row | None = None
    debt: DebtOrigin | None = None
    first: FirstSend | None = None

    @property
    def row(self) -> Row:
        """The row that a message speaks of: as it is now, or as it last was when it is gone."""
        row = self.after if self.after is not None else self.before if self.before is not None else self.last_sent
        assert row is not None, "a change has at least one side"
        return row


def change_id(sync: str, destination: str, key_hash: str, before: str, after: str, generation: int) -> str:
    """`before`, `after`: row hashes, "" for an absent row. The same change of the same baseline has the same id."""
    return short_hash(sync, destination, key_hash, before, after, str(generation))


class Chunk(msgspec.Struct, kw_only=True):
    """Up to some hundreds of changes of one operation, the unit of fan-out. Written once, never altered.

    `settled`: key hashes of debts for which nothing needs to be sent any more.
    """

    version: Literal[1] = 1
    sync: str
    run: str
    id: str
    changes: list[Change]
    settled: list[str] = []


class Counts(msgspec.Struct, kw_only=True):
    """What the diff found: changes to send, and those passed over because their trigger is off."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.added + self.changed + self.removed

    def plus(self, other: Counts) -> Counts:
        return Counts(
            added=self.added + other.added,
            changed=self.changed + other.changed,
            removed=self.removed + other.removed,
            skipped=self.skipped + other.skipped,
        )


class PartitionResult(msgspec.Struct, kw_only=True):
    """A diffed partition: written last, so that its presence says that all its chunks are there.

    `chunks` hold changes to send; `settled_chunks` only name debts that nothing is owed for any more (`settled` of
    them). `removed_rows`, `changed_rows`: before triggers are applied, for the guard. `retyped`: by column, how many
    rows would be sent as changed though perhaps only the column's type did. `left_since`: the first run of the oldest
    debt that the run is not about. `left_out`: by reason, how many past changes are not sent again.
    """

    version: Literal[1] = 1
    partition: int
    chunks: list[str]
    counts: Counts
    settled_chunks: list[str] = []
    settled: int = 0
    changed_rows: int = 0
    removed_rows: int = 0
    retyped: dict[str, int] = {}
    left_since: str = ""
    left_out: dict[str, int] = {}


class Outcome(msgspec.Struct, kw_only=True):
    """What became of one change. `reason` is empty when accepted. `attempts`: sends in this run."""

    outcome: OutcomeName
    reason: str = ""
    attempts: int = 0


class ChunkState(msgspec.Struct, kw_only=True):
    """A chunk's progress. `outcomes[i]` belongs to `changes[i]`; None is not known yet.

    `token`: the lock token of the worker that claimed it. `deadline`: when that worker is surely dead. `paused`: that
    worker stopped between calls and has told here of all that it sent; `doubted[i]` says that an earlier send of
    `changes[i]` may have taken effect. `owed`, `paid`: how many changes carry a debt, and how many of
    those were accepted. `owed_since`: the first run of the oldest change that is not accepted. `answered`: the target
    saw some of its changes, whatever it said of them. `booked`: its debts are written. `attempts`: how often
    changes without an outcome were sent, by their place, as far as workers have recorded it.
    """

    version: Literal[1] = 1
    chunk: str
    token: int
    claim: str
    deadline: float
    done: bool = False
    paused: bool = False
    answered: bool = False
    booked: bool = False
    owed: int = 0
    paid: int = 0
    owed_since: str = ""
    outcomes: list[Outcome | None] = []
    doubted: list[bool] = []
    attempts: dict[int, int] = {}


CHUNKS_LIVE_SECONDS = 20 * 86400
"""A run's chunks are surely still there within this time of sealing: the table drops them 30 days after writing."""
REPLAYABLE_SECONDS = 29 * 86400
"""So long they can be read to be sent again, which takes no day."""

RunStatus = Literal["running", "completed", "failed", "held", "abandoned", "planned"]
Phase = Literal["open", "snapshot", "sealed", "committed"]
PHASES: tuple[Phase, ...] = ("open", "snapshot", "sealed", "committed")
Mode = Literal["run", "plan", "rebaseline", "discard", "retry", "approve", "reject", "resync", "replay"]
"""What an execution is for. `plan` stops where sending would begin. `rebaseline` takes the source as it is for
accepted. `discard` gives up on debts: the row of the baseline counts as accepted. `retry` is a run now; with a
selection it pays those debts alone, with the rows of the baseline, which stays. `approve` sends what a held run would
have sent, from its snapshot; `reject` forgets that. `resync` sends every row, also those that do not differ. `replay`
sends changes of past runs again."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some of a sync's debts: those of these keys (all when there are none) whose reason holds this text. In a replay:
    the changes of these keys."""

    key_hashes: tuple[str, ...] = ()
    reason: str = ""

    def has(self, debt: Debt) -> bool:
        wanted = not self.key_hashes or debt.key_hash in self.key_hashes
        return wanted and self.reason.casefold() in debt.reason.casefold()


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The runs that are sent again: those that opened with the baseline of generation `first` to that of `last`, both
    included, and were committed."""

    first: int
    last: int


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person asks of a sync, under `requests/<sync>/` in the bucket: an execution's input only points to it.

    `by`: who, as AWS knows them. `because`: their reason. `only`: which debts; None means all. `generation`: of the
    baseline that they saw; another one means that they decided on what is no more. `run`: the held run. `replays`: what
    to send again, or in mode `plan` to count.
    """

    version: Literal[1] = 1
    sync: str
    mode: Mode
    by: str
    at: float
    because: str = ""
    only: Selection | None = None
    generation: int | None = None
    run: str = ""
    replays: Replay | None = None


class Run(msgspec.Struct, kw_only=True):
    """One run. After phase "sealed" something may have been sent, and the run is finished, never abandoned. In mode
    `rename` nothing ran: it says who took the sync along to this name, when and why.

    `requested_by`: who asked for it, and `because` of what; empty for a scheduled one. `only`: the debts it is about.
    `decides`: the held run that it approves or rejects; `approves`: the mode of the one that it approves. `replays`:
    the runs that it sends again, listed under the key `past` with those after them; `left_out`: by reason, how many of
    their changes it does not send. `partitions`: how many its keys are spread over. `settled_booked`: of how many
    settled chunks a commit that paused had paid the debts.
    """

    version: Literal[1] = 1
    sync: str
    run: str
    mode: Literal[Mode, "rename"] = "run"
    requested_by: str = ""
    because: str = ""
    only: Selection | None = None
    decides: str = ""
    approves: str = ""
    replays: Replay | None = None
    past: str = ""
    left_out: dict[str, int] = {}
    status: RunStatus = "running"
    phase: Phase = "open"
    generation: int
    execution: str
    definition: str
    started_at: float
    snapshot_at: float | None = None
    sealed_at: float | None = None
    ended_at: float | None = None
    reason: str = ""
    stopped: str = ""
    manifest: str | None = None
    rows: int = 0
    partitions: int = 0
    partitions_to_diff: int = 0
    chunks: int = 0
    work_key: str = ""
    added: int = 0
    changed: int = 0
    removed: int = 0
    skipped: int = 0
    accepted: int = 0
    rejected: int = 0
    in_doubt: int = 0
    owed_before: int = 0
    owed_after: int = 0
    owed_since: str = ""
    settled_booked: int = 0
    columns_added: list[str] = []
    columns_dropped: list[str] = []

    @property
    def keeps_baseline(self) -> bool:
        """Whether it reads no source: the snapshot it works on is the baseline's own."""
        about_debts = self.mode == "discard" or (self.mode == "retry" and self.only is not None)
        return about_debts or self.replays is not None

    @property
    def came_to_nothing(self) -> bool:
        """Whether it was stopped when the target had seen changes and taken none: its generation is used up, so that
        other messages of those changes have other ids, and the baseline is still the one before."""
        return self.phase == "committed" and bool(self.stopped) and not self.accepted and not self.in_doubt

    @property
    def sends_all(self) -> bool:
        """Whether rows are sent too that equal the baseline."""
        return "resync" in (self.mode, self.approves)

    @property
    def doubts_target(self) -> bool:
        """Whether who asked for it doubts that the destination holds what it accepted."""
        return self.sends_all or self.mode == "replay"

    def outlived_its_chunks(self, now: float) -> bool:
        """Whether an unfinished run is so old that the table may have dropped its chunks.

        They follow from its snapshot, the baseline and the debts, none of which changes while it is open: its diff is
        made again and gives the same chunks under the same ids. What is lost is which of them were sent.
        """
        return self.sealed_at is not None and now - self.sealed_at > CHUNKS_LIVE_SECONDS


class Head(msgspec.Struct, kw_only=True):
    """Where a sync stands: its baseline, its lock and the run that is not finished.

    `token` grows with each holder. `holder`: the execution that holds the lock, None when free. `history`: manifests of
    the last committed snapshots, newest first; the first is the baseline. `owed`: debts in the ledger; `owed_since`:
    the first run of the oldest of them. `held`: the last run that the guard held since the baseline moved; its
    snapshot is kept.
    """

    version: Literal[1] = 1
    sync: str
    generation: int = 0
    token: int = 0
    holder: str | None = None
    open_run: str | None = None
    history: list[str] = []
    owed: int = 0
    owed_since: str = ""
    held: str | None = None

    @property
    def manifest(self) -> str | None:
        return self.history[0] if self.history else None


class Deployment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a sync is deployed: its SSM parameter's value. `definition_*`: the S3 object that holds its Definition.

    `external_id`: what a role of another account is assumed with, where the definition says nothing else.
    """

    version: Literal[1] = 1
    definition_bucket: str
    definition_key: str
    delivery_role_arn: str
    retry_queue_url: str
    snapshot_function: str
    fan_out_function: str
    external_id: str | None = None


class Notice(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A message of the retry queue: these debts wait for the next run. Names them, and holds no row."""

    version: Literal[1] = 1
    sync: str
    run: str
    chunk: str
    key_hashes: list[str] = []
