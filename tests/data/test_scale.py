"""A first run of ten million rows, shown on counts: nothing that grows with the rows passes through Step Functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from rowcast.commit import Committed
from rowcast.definition import Limits
from rowcast.diff import chunk_changes
from rowcast.models import Counts, PartitionResult
from rowcast.open import Opened
from rowcast.seal import Sealed
from rowcast.snapshot import Taken, partition_bits
from rowcast.stores.bodies import INLINE_BYTES
from tests.aws_limits import PAYLOAD_BYTES
from tests.world import World, sync_definition

ROWS = 10_000_000
HISTORY_EVENTS = 25_000  # Step Functions Developer Guide, "Quotas": history of one execution
EVENTS_PER_STATE = 7  # entered, scheduled, started, succeeded or failed, exited; a retry adds two more
MACHINE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "infra" / "sync.asl.json").read_text())
PARTITIONS = 2 ** partition_bits(ROWS, None, Limits().rows_per_partition)
CHUNKS = PARTITIONS * -(-ROWS // PARTITIONS // chunk_changes(sync_definition()))


def test_ten_million_rows_make_tens_of_partitions_and_tens_of_thousands_of_chunks() -> None:
    assert PARTITIONS == 32
    assert 50_000 <= CHUNKS <= 51_000


def test_the_lists_of_work_would_not_fit_a_payload_and_so_lie_in_s3() -> None:
    names = [f"{index % PARTITIONS:05d}-{index // PARTITIONS:06d}" for index in range(CHUNKS)]
    assert len(json.dumps(names)) > PAYLOAD_BYTES
    for name in ("Diff", "FanOut"):
        state = MACHINE["States"][name]
        assert state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        assert state["ItemReader"]["Resource"] == "arn:aws:states:::s3:getObject"
        assert state["ResultWriter"]["Resource"] == "arn:aws:states:::s3:putObject"
        assert state["ResultPath"] is None


def test_what_passes_between_states_has_some_kilobytes_however_many_rows_there_are() -> None:
    summary = {f"name-{index}": "x" * 20 for index in range(30)} | {"reason": "x" * 2_000}
    key = "x" * 1_024  # Amazon S3 User Guide, "Creating object key names": at most 1,024 bytes
    function = "x" * 170
    states: list[Any] = [
        Opened(next="snapshot", sync="s" * 64, run="r" * 64, snapshot_function=function, fan_out_function=function,
               work_bucket="b" * 63, work_key=key, summary=summary),
        Taken(partitions=4_096, work_bucket="b" * 63, work_key=key),
        Sealed(next="fan_out", work_bucket="b" * 63, work_key=key, summary=summary),
        Committed(done=True, summary=summary),
    ]  # fmt: skip
    assert sum(len(msgspec.json.encode(state)) for state in states) < PAYLOAD_BYTES / 10


def test_the_history_of_a_run_does_not_grow_with_its_partitions_or_chunks() -> None:
    """A Distributed Map's children have histories of their own; of the states that loop, Commit goes on for as long as
    it has time, and a run has two days."""
    states = len(MACHINE["States"])
    commits = MACHINE["TimeoutSeconds"] // 800
    assert (2 * states + 2 * commits) * EVENTS_PER_STATE < HISTORY_EVENTS


def test_a_childs_history_does_not_grow_either() -> None:
    for name in ("Diff", "FanOut"):
        children = MACHINE["States"][name]["ItemProcessor"]["States"]
        loops = MACHINE["TimeoutSeconds"] // 800
        assert len(children) * loops * EVENTS_PER_STATE < HISTORY_EVENTS


def test_the_result_of_a_partition_fits_an_item() -> None:
    chunks = [f"00031-{index:06d}" for index in range(CHUNKS // PARTITIONS + 1)]
    result = PartitionResult(partition=31, chunks=chunks, counts=Counts(added=ROWS // PARTITIONS))
    assert len(msgspec.json.encode(result)) < INLINE_BYTES


def test_a_real_run_passes_only_pointers_and_counts() -> None:
    """The same at a thousandth of the size: the answers of all steps, rows and keys left out."""
    world = World(sync_definition(limits=Limits(concurrency=1, rows_per_partition=500)))
    world.source.rows = [{"id": number, "v": "canary"} for number in range(ROWS // 1_000)]
    opened = world.open(world.next_time(), "execution")
    taken = world.snapshot(opened.run, opened.token)
    assert taken.partitions == PARTITIONS
    for partition in world.snapshots.work(taken.work_key):
        world.diff(opened.run, opened.token, partition)
    sealed = world.seal(opened.run, opened.token)
    answers = [msgspec.json.encode(answer) for answer in (opened, taken, sealed)]
    assert all(len(answer) < 2_000 and b"canary" not in answer for answer in answers)
    assert sum(map(len, world.snapshots.work(sealed.work_key))) >= PARTITIONS
