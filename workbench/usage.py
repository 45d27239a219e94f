"""What one run asks of each AWS service, as the route makes its calls. Pure: the numbers alone decide.

Every function is counted as new (nothing is cached from an earlier invocation) and every call as answered at once, with
nothing rejected or owed. A test holds these counts against the calls of real runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil

import msgspec

from rowcast.definition import Definition, FilesSource, LambdaDestination
from rowcast.diff import CHUNK_BYTES, chunk_changes
from rowcast.models import OPERATIONS
from rowcast.seal import shares
from rowcast.snapshot import partition_bits

KIB = 1024
MIB = 1024 * KIB
EVENT_UNIT = 64 * KIB
CALL_BYTES = MIB
PAYLOAD_BYTES = 6 * MIB
ENTRIES = 10
INLINE_BYTES = 350 * KIB
KEPT_SNAPSHOTS = 3
IN_EVERY_RUN = (
    "Open", "WhereToGoOn", "Snapshot", "AnythingToDiff", "Seal", "WhatToSend", "Commit", "Committed", "Completed",
    "Announce", "HowItEnded", "Done",
)  # fmt: skip
WITH_PARTITIONS = ("Diff",)
WITH_CHUNKS = ("BeginWork", "FanOut")
IN_EVERY_SHARE = ("SendChunks", "AllSent", "ChunksSent")
MEMORY_MB = {"open": 512, "snapshot": 3008, "diff": 1769, "seal": 512, "publish": 1024, "invoke": 1024, "commit": 1769}
DISK_MB = {"snapshot": 10240, "diff": 4096}
FREE_DISK_MB = 512


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What a run finds. `row_bytes`: a row as JSON. `first`: there is no baseline yet."""

    rows: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    row_bytes: int = 200
    message_bytes: int = 200
    first: bool = False

    @property
    def changes(self) -> int:
        return self.added + self.changed + self.removed


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How the work is cut. `differing`: partitions that hold a change, which are stored and diffed. `shares`: fan-out
    tasks, of one chunk or more."""

    partitions: int
    differing: int
    chunks: int
    shares: int
    calls: int
    chunk_bytes: int
    event_units: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """`requests`: API calls by (service, operation). `invocations`: of our functions. `units`: what is billed.

    `stored`: bytes that a run leaves behind, by where they lie.
    """

    shape: Shape
    requests: Mapping[tuple[str, str], int]
    invocations: Mapping[str, int]
    units: Mapping[str, float]
    stored: Mapping[str, float]


def workload(rows: int, changes: int, row_bytes: int, definition: Definition) -> Workload:
    """So many changes, in equal parts over the operations that a trigger asks for. Messages are as long as rows."""
    on = [operation for operation in OPERATIONS if definition.triggers.of(operation) is not None]
    counts = {name: changes // len(on) + (number < changes % len(on)) for number, name in enumerate(on)}
    some = {name: counts.get(name, 0) for name in OPERATIONS}
    return Workload(
        rows=rows,
        added=some["added"],
        changed=some["changed"],
        removed=some["removed"],
        row_bytes=row_bytes,
        message_bytes=row_bytes,
    )


def shape(work: Workload, definition: Definition) -> Shape:
    """Changes are taken to lie evenly over the partitions, as hashes of keys do."""
    partitions = 2 ** partition_bits(work.rows, None, definition.limits.rows_per_partition)
    spread = partitions * (1 - (1 - 1 / partitions) ** work.changes)
    differing = min(partitions, work.rows) if work.first else ceil(round(spread, 6))
    parts = [_cut(work, name, differing, definition) for name in OPERATIONS if getattr(work, name)]
    chunks, calls = sum(part[0] for part in parts), sum(part[1] for part in parts)
    sides = work.changes + work.changed
    body = work.changes * 40 + sides * work.row_bytes / 3
    return Shape(
        partitions=partitions,
        differing=differing,
        chunks=chunks,
        shares=len(shares([""] * chunks, definition.limits.workers)),
        calls=calls,
        chunk_bytes=ceil(body / chunks) if chunks else 0,
        event_units=ceil((work.message_bytes + 350) / EVENT_UNIT),
    )


def _cut(work: Workload, operation: str, differing: int, definition: Definition) -> tuple[int, int]:
    """Chunks and calls of one operation's changes: no chunk spans partitions, and no call chunks."""
    count = getattr(work, operation)
    size = work.row_bytes * (2 if operation == "changed" else 1)
    most = max(1, min(chunk_changes(definition), CHUNK_BYTES // size))
    holding = min(differing, count)
    chunks = calls = 0
    for number in range(holding):
        left = count // holding + (number < count % holding)
        whole, rest = divmod(left, most)
        chunks += whole + bool(rest)
        calls += whole * _calls(most, work.message_bytes, definition) + _calls(rest, work.message_bytes, definition)
    return chunks, calls


def _calls(changes: int, message_bytes: int, definition: Definition) -> int:
    destination = definition.destination
    if isinstance(destination, LambdaDestination):
        most = min(destination.batch_size, max(1, PAYLOAD_BYTES // message_bytes))
    else:
        most = min(ENTRIES, max(1, CALL_BYTES // (message_bytes + 350)))
    return ceil(changes / most)


def usage(work: Workload, definition: Definition, seconds: Mapping[str, float]) -> Usage:
    """`seconds`: the assumptions on durations, by their names in prices.yaml."""
    cut = shape(work, definition)
    fan_out = "invoke" if isinstance(definition.destination, LambdaDestination) else "publish"
    invocations = {"open": 1, "snapshot": 1, "diff": cut.differing, "seal": 1, fan_out: cut.shares, "commit": 1}
    requests = _requests(work, cut, definition)
    lasting = _seconds(work, cut, definition, seconds)
    units: dict[str, float] = {
        "dynamodb_write": _writes(cut),
        "dynamodb_read": _reads(requests, cut),
        "s3_put": sum(requests["s3", name] for name in ("PutObject", "ListObjectsV2")),
        "s3_get": sum(requests["s3", name] for name in ("GetObject", "HeadObject")),
        "states_transition": 1 + _states(cut),
        "states_express_request": cut.differing,
        "states_express_gb_second": 64 / 1024 * lasting.get("diff", 0.0),
        "lambda_request": sum(invocations.values()),
        "lambda_gb_second": sum(MEMORY_MB[name] / 1024 * lasting[name] for name in invocations),
        "lambda_disk_gb_second": sum((disk - FREE_DISK_MB) / 1024 * lasting[name] for name, disk in DISK_MB.items()),
        "sqs_request": requests["sqs", "ReceiveMessage"],
        "scheduler_invocation": 1,
        "events_event": 1 + (work.changes * cut.event_units if fan_out == "publish" else 0),
        "logs_gb": sum(invocations.values()) * seconds["log_bytes_per_invocation"] / 1e9,
        "xray_trace": sum(invocations.values()),
    }
    return Usage(shape=cut, requests=requests, invocations=invocations, units=units, stored=_stored(work, cut))


def _requests(work: Workload, cut: Shape, definition: Definition) -> Counter[tuple[str, str]]:
    """By the step that makes them: open, snapshot, diff, seal, fan out, commit."""
    based, differing, chunks = int(not work.first), cut.differing, cut.chunks
    some, sending = int(differing > 0), int(chunks > 0)
    evicting = (KEPT_SNAPSHOTS + 1) * based * some  # commit reads which files a snapshot that goes shares with others
    files = int(isinstance(definition.source, FilesSource))
    rated = cut.calls if definition.limits.rate is not None else 0
    maps = some + sending
    dynamodb = {
        "GetItem": 3 + 2 + 2 * differing + 4 + 3 * chunks + 6 + rated,
        "Query": some + some + sending,
        "PutItem": chunks + differing + rated,
        "UpdateItem": 2 * chunks + 2,
        "TransactWriteItems": 2 + 1 + 1 + 1,
    }
    overflow = chunks if cut.chunk_bytes > INLINE_BYTES else 0
    s3 = {
        "PutObject": 1 + (2 * differing + 1 + 1) * some + sending + chunks + overflow + 3 * maps,
        "GetObject": (1 + 1 + based) + (4 + 3 * based) * differing + 1 + based + cut.shares + 1 + evicting,
        "HeadObject": based + files,
        "ListObjectsV2": files,
    }
    s3["GetObject"] += files + maps + overflow
    sent = ("lambda", "Invoke") if isinstance(definition.destination, LambdaDestination) else ("events", "PutEvents")
    counted = {("dynamodb", name): count for name, count in dynamodb.items()}
    counted |= {("s3", name): count for name, count in s3.items()}
    return Counter(counted | {("sqs", "ReceiveMessage"): 3, sent: cut.calls})


def _writes(cut: Shape) -> float:
    """Write units of 1 KB; a transaction's count twice. Head, run and a chunk's progress are items of 1 KB at most."""
    chunk = ceil((min(cut.chunk_bytes, INLINE_BYTES) + 150) / KIB) if cut.chunk_bytes <= INLINE_BYTES else 1
    result = ceil((200 + 15 * cut.chunks / max(1, cut.differing) / 3) / KIB)
    transactions = 2 * (1 + 2 + 2 + 2 + 2)  # the lock, and four writes of head or fence with the run
    return transactions + 1 + 2 + cut.chunks * (chunk + 1 + 1) + cut.differing * result


def _reads(requests: Mapping[tuple[str, str], int], cut: Shape) -> float:
    """Read units of 4 KB, each consistent."""
    chunk = ceil((min(cut.chunk_bytes, INLINE_BYTES) + 150) / (4 * KIB)) if cut.chunk_bytes <= INLINE_BYTES else 1
    queried = ceil(cut.chunks * 650 / (4 * KIB)) + 2 * ceil(cut.differing * 300 / (4 * KIB))
    return requests["dynamodb", "GetItem"] + cut.chunks * (chunk - 1) + max(queried, requests["dynamodb", "Query"])


def _states(cut: Shape) -> int:
    parent = len(IN_EVERY_RUN)
    parent += len(WITH_PARTITIONS) if cut.differing else 0
    parent += len(WITH_CHUNKS) if cut.chunks else 0
    return parent + (1 + len(IN_EVERY_SHARE)) * cut.shares  # one more for each start


def _seconds(work: Workload, cut: Shape, definition: Definition, takes: Mapping[str, float]) -> dict[str, float]:
    """All invocations of a function together."""
    each = takes["invocation"]
    many = definition.limits.calls_per_worker
    calls = {
        "publish": cut.calls * takes["put_events"] / many,
        "invoke": cut.calls * takes["invoke"] / many,
    }
    lasting = {
        "open": each,
        "snapshot": each + work.rows / takes["snapshot_rows_per_second"],
        "diff": cut.differing * (each + work.rows / cut.partitions / takes["diff_rows_per_second"]),
        "seal": each,
        "commit": each + cut.chunks * takes["commit_per_chunk"],
    }
    render = work.changes / takes["rendered_per_second"]
    return lasting | {name: cut.shares * each + render + calls[name] for name in calls}


def _stored(work: Workload, cut: Shape) -> dict[str, float]:
    """A row has 28 bytes in the partition's fingerprints, and is compressed in its rows."""
    whole = work.rows * (28 + work.row_bytes / 4)
    return {
        "snapshot": whole,
        "snapshot_of_run": whole * cut.differing / cut.partitions,
        "calls": work.changes * (40 + work.message_bytes / 3),
        "changes": cut.chunks * (cut.chunk_bytes + 650.0),
    }
