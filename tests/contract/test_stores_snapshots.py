from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path

import pytest
import xxhash

from rowcast import threads
from rowcast.errors import RunFailed, SnapshotDamaged
from rowcast.models import Column, Manifest, Partition
from tests import aws_faults
from tests.contract.conftest import BUCKET, Stores

KEY = "snapshots/orders/r1/0000.parquet"


def a_file(folder: Path, content: bytes = b"parquet" * 1000) -> tuple[Path, str]:
    path = folder / "file"
    path.write_bytes(content)
    return path, f"xxh3:{xxhash.xxh3_128(content).hexdigest()}"


def a_manifest(rows: int = 1, run: str = "r1", sync: str = "orders") -> Manifest:
    partition = Partition(key=KEY, rows=rows, digest="d", checksum="c", bytes=7)
    empty = Partition(key=None, rows=0, digest="", bytes=0)
    return Manifest(
        sync=sync,
        run=run,
        primary_key=("id",),
        columns=(Column("id", "integer"), Column("price", "decimal")),
        fingerprint_schema="1",
        rows=rows,
        partitions=(partition, empty),
    )


def test_a_file_comes_back_as_it_was_put(stores: Stores, tmp_path: Path) -> None:
    path, checksum = a_file(tmp_path)
    stores.snapshots.put_file(KEY, path)
    target = tmp_path / "fetched"
    stores.snapshots.fetch(KEY, checksum, target)
    assert target.read_bytes() == path.read_bytes()


def test_files_are_put_and_fetched_by_several_threads_at_once(stores: Stores, tmp_path: Path) -> None:
    names = [f"{number:05d}" for number in range(4 * threads.FILES)]

    def put(name: str) -> None:
        path = tmp_path / name
        path.write_text(name * 10_000)
        stores.snapshots.put_file(f"snapshots/orders/r1/{name}", path)

    def fetch(name: str) -> str:
        path = tmp_path / f"{name}.fetched"
        checksum = f"xxh3:{xxhash.xxh3_128(name.encode() * 10_000).hexdigest()}"
        stores.snapshots.fetch(f"snapshots/orders/r1/{name}", checksum, path)
        return path.read_text()

    threads.each(put, names, threads.FILES)
    assert threads.each(fetch, names, threads.FILES) == [name * 10_000 for name in names]


def test_a_file_is_never_overwritten(stores: Stores, tmp_path: Path) -> None:
    path, checksum = a_file(tmp_path)
    stores.snapshots.put_file(KEY, path)
    second, _ = a_file(tmp_path, b"other")
    with pytest.raises(RunFailed, match="before"):
        stores.snapshots.put_file(KEY, second)
    stores.snapshots.fetch(KEY, checksum, tmp_path / "fetched")


@pytest.mark.parametrize(
    "damage", [b"parquet" * 999, b"parquet" * 999 + b"parkett", b""], ids=["short", "altered", "no"]
)
@pytest.mark.parametrize("kind", ["of today", "of earlier snapshots"])
def test_a_damaged_file_is_found_and_not_left_behind(stores: Stores, tmp_path: Path, damage: bytes, kind: str) -> None:
    path, checksum = a_file(tmp_path)
    if kind == "of earlier snapshots":
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    stores.snapshots.put_file(KEY, path)
    stores.snapshots.fetch(KEY, checksum, tmp_path / "whole")
    other = KEY.replace("0000", "0001")
    path.write_bytes(damage)
    stores.snapshots.put_file(other, path)
    target = tmp_path / "fetched"
    with pytest.raises(SnapshotDamaged, match="0001"):
        stores.snapshots.fetch(other, checksum, target)
    assert not target.exists()


def test_a_file_that_is_gone_is_damage(stores: Stores, tmp_path: Path) -> None:
    with pytest.raises(SnapshotDamaged, match="gone"):
        stores.snapshots.fetch("snapshots/orders/r1/none", "0" * 64, tmp_path / "fetched")


def test_the_first_manifest_of_a_run_stands(stores: Stores) -> None:
    key, first = stores.snapshots.put_manifest(a_manifest(rows=1))
    assert key == "snapshots/orders/r1/manifest.json"
    assert stores.snapshots.put_manifest(a_manifest(rows=2)) == (key, first)
    assert stores.snapshots.manifest(key) == first == a_manifest(rows=1)


def test_a_manifest_that_is_gone_is_damage(stores: Stores) -> None:
    with pytest.raises(SnapshotDamaged, match="manifest"):
        stores.snapshots.manifest("snapshots/orders/r1/manifest.json")


def test_a_work_list_comes_back_and_can_be_written_again(stores: Stores) -> None:
    items = [{"partition": 0, "share": Decimal("0.10")}, {"partition": 1, "share": None}]
    key = stores.snapshots.put_work("orders", "r1", "partitions", items)
    assert key == "worklists/orders/r1/partitions.json"
    assert stores.snapshots.put_work("orders", "r1", "partitions", items) == key
    assert stores.snapshots.work(key) == items
    assert stores.snapshots.work(stores.snapshots.put_work("orders", "r1", "chunks", [])) == []


def test_a_work_list_that_is_gone_fails_the_run(stores: Stores) -> None:
    with pytest.raises(RunFailed, match="chunks"):
        stores.snapshots.work("worklists/orders/r1/chunks.json")


def test_deleting_takes_files_that_are_gone_and_any_number(stores: Stores, tmp_path: Path) -> None:
    path, checksum = a_file(tmp_path)
    stores.snapshots.put_file(KEY, path)
    stores.snapshots.delete([*(f"snapshots/orders/r1/{number}" for number in range(1500)), KEY])
    stores.snapshots.delete([])
    with pytest.raises(SnapshotDamaged):
        stores.snapshots.fetch(KEY, checksum, tmp_path / "fetched")


def test_deleting_a_run_leaves_others_whose_names_begin_alike(stores: Stores, tmp_path: Path) -> None:
    path, checksum = a_file(tmp_path)
    kept = ["snapshots/orders/r10/f", "snapshots/orders-2/r1/f", "snapshots/orders/r2/f"]
    for key in [*kept, KEY]:
        stores.snapshots.put_file(key, path)
    work = stores.snapshots.put_work("orders", "r1", "chunks", ["c1"])
    stores.snapshots.put_manifest(a_manifest())
    stores.snapshots.delete_run("orders", "r1")
    for key in kept:
        stores.snapshots.fetch(key, checksum, tmp_path / "fetched")
    with pytest.raises(SnapshotDamaged):
        stores.snapshots.fetch(KEY, checksum, tmp_path / "fetched")
    with pytest.raises(RunFailed):
        stores.snapshots.work(work)
    with pytest.raises(SnapshotDamaged):
        stores.snapshots.manifest("snapshots/orders/r1/manifest.json")


def test_the_bucket_has_a_name(stores: Stores) -> None:
    assert stores.snapshots.bucket_name()


def test_a_write_whose_reply_is_lost_is_known_as_its_own(aws: Stores, tmp_path: Path) -> None:
    path, checksum = a_file(tmp_path)
    aws_faults.lose_reply(aws.clients["s3"], "PutObject", times=2)
    aws.snapshots.put_file(KEY, path)
    aws.snapshots.fetch(KEY, checksum, tmp_path / "fetched")


def test_a_write_that_races_with_another_is_tried_again(aws: Stores, tmp_path: Path) -> None:
    path, checksum = a_file(tmp_path)
    aws_faults.answer_error(aws.clients["s3"], "PutObject", "ConditionalRequestConflict", 409, times=2)
    aws.snapshots.put_file(KEY, path)
    aws.snapshots.fetch(KEY, checksum, tmp_path / "fetched")


def test_keys_that_s3_did_not_delete_fail_the_step(aws: Stores) -> None:
    failed = {"Errors": [{"Key": KEY, "Code": "AccessDenied"}]}
    aws_faults.answer(aws.clients["s3"], "DeleteObjects", failed)
    with pytest.raises(RunFailed, match=r"0000\.parquet: AccessDenied"):
        aws.snapshots.delete([KEY])


def test_other_errors_of_s3_are_not_taken_for_missing_files(aws: Stores, tmp_path: Path) -> None:
    for _ in range(2):
        aws_faults.answer_error(aws.clients["s3"], "GetObject", "AccessDenied", 403)
        with pytest.raises(Exception, match="AccessDenied"):
            aws.snapshots.fetch(KEY, "0" * 64, tmp_path / "fetched")
    aws_faults.answer_error(aws.clients["s3"], "PutObject", "AccessDenied", 403)
    with pytest.raises(Exception, match="AccessDenied"):
        aws.snapshots.put_manifest(a_manifest())


def test_a_manifest_that_cannot_be_read_is_damage(aws: Stores) -> None:
    aws.clients["s3"].put_object(Bucket=BUCKET, Key="m", Body=b'{"version": 7}')
    with pytest.raises(SnapshotDamaged, match="cannot be read"):
        aws.snapshots.manifest("m")
