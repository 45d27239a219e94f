"""The route over fakes: what a run sends, owes and keeps."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import msgspec
import pytest

from rowcast import jsonsql, picking
from rowcast.arrival import normalize, refusal_in
from rowcast.definition import Guard, LambdaDestination, Limits, Rate, Retry, Trigger, Triggers
from rowcast.errors import SourceFailed
from rowcast.models import Change, Chunk, ChunkState, ColumnType, Notice, Run
from rowcast.open import DRAIN_SECONDS, SEEN_AT_ONCE
from rowcast.ports import MessageToSend, SourceResult, Verdict
from rowcast.progress import taken_over
from tests.fakes import FakePace
from tests.world import ALL_ON, ON, TableSource, World, sync_definition

pytestmark = pytest.mark.usefixtures("remembered")


def accounts(summary: dict[str, Any]) -> dict[str, int]:
    """The counts that are not zero, after checking that they add up (I9)."""
    names = ("added", "changed", "removed", "skipped", "accepted", "rejected", "in_doubt", "owed_before", "owed_after")
    assert sum(summary[name] for name in names[:3]) == sum(summary[name] for name in names[4:7])
    return {name: summary[name] for name in names if summary[name]}


def world_of(*ids: int, **changes: Any) -> World:
    world = World(sync_definition(**changes))
    for key in ids:
        world.source.put(id=key, v=f"v{key}")
    return world


def settled(*ids: int, **changes: Any) -> World:
    """A world whose first run is over and whose target has all rows."""
    world = world_of(*ids, **changes)
    world.run()
    world.sent()
    return world


def answer_by_id(verdicts: dict[int, Verdict]) -> Any:
    def answer(message: MessageToSend, attempt: int) -> Verdict:
        return verdicts.get(message.change.key[0], Verdict(kind="accepted"))

    return answer


REJECTED = Verdict(kind="rejected", reason="Not today")
IN_DOUBT = Verdict(kind="in_doubt", reason="Timed out")


def test_a_backfilling_first_run_sends_every_row_as_added() -> None:
    world = world_of(1, 2, 3)
    summary = world.run()
    assert summary["status"] == "completed"
    assert accounts(summary) == {"added": 3, "accepted": 3}
    assert sorted(world.sent()) == [("added", 1), ("added", 2), ("added", 3)]


def test_a_skipping_first_run_sends_nothing_and_takes_the_rows_for_accepted() -> None:
    world = world_of(1, 2, initial_sync="skip")
    assert accounts(world.run()) == {"skipped": 2}
    world.source.put(id=3, v="new")
    assert accounts(world.run()) == {"added": 1, "accepted": 1}
    assert world.sent() == [("added", 3)]


def test_a_run_sends_exactly_what_was_added_changed_and_removed() -> None:
    world = settled(1, 2, 3)
    world.source.put(id=2, v="other")
    world.source.remove(3)
    world.source.put(id=4, v="new")
    assert accounts(world.run()) == {"added": 1, "changed": 1, "removed": 1, "accepted": 3}
    assert sorted(world.sent()) == [("added", 4), ("changed", 2), ("removed", 3)]
    assert world.arrived() == {row["id"]: row for row in world.source.rows}


def test_a_changed_row_carries_both_sides_and_the_columns_that_changed() -> None:
    world = settled(1)
    world.source.put(id=1, v="other")
    world.run()
    change = world.target.sent[0].change
    assert (change.before, change.after, change.columns) == ({"id": 1, "v": "v1"}, {"id": 1, "v": "other"}, ["v"])


def test_a_run_without_changes_makes_no_call_and_stores_no_object() -> None:
    world = settled(1, 2)
    objects = set(world.snapshots.objects)
    assert accounts(world.run()) == {}
    assert world.sent() == []
    assert set(world.snapshots.objects) == objects


def test_each_run_moves_the_head_by_one_generation() -> None:
    world = settled(1)
    world.run()
    assert world.head.generation == 2
    assert world.head.open_run is None
    assert world.head.holder is None


def test_old_snapshots_are_forgotten_but_for_the_last_three() -> None:
    world = world_of(1)
    for number in range(6):
        world.source.put(id=1, v=f"{number}")
        world.run()
    manifests = [key for key in world.snapshots.objects if key.endswith("manifest.json")]
    files = [key for key in world.snapshots.objects if key.endswith(".parquet")]
    assert len(manifests) == len(files) == 3
    assert set(manifests) == set(world.head.history)


def test_partitions_that_do_not_change_share_their_file_with_older_snapshots() -> None:
    world = settled(*range(100), limits=Limits(concurrency=1, rows_per_partition=4))
    for number in range(6):
        world.source.put(id=5, v=f"{number}")
        assert accounts(world.run()) == {"changed": 1, "accepted": 1}
    files = [key for key in world.snapshots.objects if key.endswith(".parquet")]
    manifest = world.snapshots.manifest(world.head.manifest)
    assert len(files) == sum(partition.key is not None for partition in manifest.partitions) + 2
    for key in range(90, 100):
        world.source.put(id=key, v="other")
    assert accounts(world.run()) == {"changed": 10, "accepted": 10}


# --- triggers ---


def test_a_trigger_that_is_off_passes_its_changes_over_for_good() -> None:
    world = settled(1, 2, triggers=Triggers(added=ON, changed=ON))
    world.source.remove(1)
    assert accounts(world.run()) == {"skipped": 1}
    world.deploy(sync_definition(triggers=ALL_ON))
    assert accounts(world.run()) == {}


def test_a_changed_row_is_sent_only_when_a_named_column_changed() -> None:
    triggers = Triggers(added=ON, changed=Trigger(bus="b", source="s", detail_type="d", columns=("v",)))
    world = World(sync_definition(triggers=triggers))
    world.source.columns["w"] = "text"
    world.source.rows = [{"id": 1, "v": "a", "w": "a"}, {"id": 2, "v": "a", "w": "a"}]
    world.run()
    world.sent()
    world.source.rows = [{"id": 1, "v": "a", "w": "b"}, {"id": 2, "v": "b", "w": "a"}]
    assert accounts(world.run()) == {"changed": 1, "accepted": 1, "skipped": 1}
    assert world.sent() == [("changed", 2)]


# --- debts ---


def test_beside_rows_that_are_owed_every_other_row_is_compared_with_what_it_was() -> None:
    """A partition's rows are found by a search that needs them in order, owed ones or not."""
    world = world_of(*range(40))
    world.target.answer = answer_by_id(dict.fromkeys(range(0, 40, 6), REJECTED))
    world.run()
    world.target.answer = answer_by_id({})
    world.sent()
    for key in range(1, 40, 3):
        world.source.put(id=key, v="other")
    for key in range(2, 40, 3):
        world.source.remove(key)
    world.run()
    changed, removed = range(1, 40, 3), range(2, 40, 3)
    assert sorted(world.sent()) == sorted(
        [("added", key) for key in range(0, 40, 6)]
        + [("changed", key) for key in changed]
        + [("removed", key) for key in removed]
    )


def test_rejected_rows_are_owed_with_their_reason_and_retried_with_the_newest_values() -> None:
    world = world_of(1, 2, 3)
    world.target.answer = answer_by_id({2: REJECTED})
    assert accounts(world.run()) == {"added": 3, "accepted": 2, "rejected": 1, "owed_after": 1}
    debt = world.owed()[2]
    assert (debt.reason, debt.accepted, debt.operation, debt.in_doubt) == ("Not today", None, "added", False)
    world.sent()
    world.source.put(id=2, v="mended")
    world.target.answer = answer_by_id({})
    assert accounts(world.run()) == {"added": 1, "accepted": 1, "owed_before": 1}
    assert [(m.change.operation, m.change.after) for m in world.target.sent] == [("added", {"id": 2, "v": "mended"})]
    assert world.owed() == {}


@pytest.mark.parametrize("doubt", [False, True])
@pytest.mark.parametrize(
    ("before", "then", "now", "rejected_sends", "doubtful_sends"),
    [
        (None, "a", "b", "added", "added"),
        (None, "a", None, None, "removed"),
        ("a", "b", "c", "changed", "changed"),
        ("a", "b", "a", None, "changed"),
        ("a", "b", None, "removed", "removed"),
        ("a", None, "a", None, "changed"),
        ("a", None, "b", "changed", "changed"),
        ("a", None, None, "removed", "removed"),
        (None, "a", "a", "added", "added"),
    ],
)
def test_a_retry_sends_the_difference_between_the_source_and_what_was_accepted(
    before: str | None, then: str | None, now: str | None, rejected_sends: str, doubtful_sends: str, doubt: bool
) -> None:
    world = world_of(9)
    for step, value in enumerate((before, then, now)):
        world.source.remove(1)
        if value is not None:
            world.source.put(id=1, v=value)
        world.target.answer = answer_by_id({1: IN_DOUBT if doubt else REJECTED} if step == 1 else {})
        world.sent()
        world.run()
    expected = doubtful_sends if doubt else rejected_sends
    assert world.sent() == ([(expected, 1)] if expected else [])
    assert world.owed() == {}
    assert world.head.owed == 0
    assert world.arrived() == {row["id"]: row for row in world.source.rows}


def test_a_row_stays_in_doubt_until_a_send_is_accepted() -> None:
    world = settled(1)
    world.source.put(id=1, v="b")
    world.target.answer = answer_by_id({1: IN_DOUBT})
    world.run()
    world.target.answer = answer_by_id({1: REJECTED})
    world.source.put(id=1, v="v1")
    assert accounts(world.run())["rejected"] == 1
    assert world.owed()[1].in_doubt
    world.target.answer = answer_by_id({})
    assert accounts(world.run()) == {"changed": 1, "accepted": 1, "owed_before": 1}


def test_a_debt_keeps_its_first_run_and_counts_its_attempts() -> None:
    world = world_of(1)
    world.target.answer = answer_by_id({1: REJECTED})
    first = world.run()["run"]
    second = world.run()["run"]
    debt = world.owed()[1]
    assert (debt.first_run, debt.last_run, debt.attempts) == (first, second, 2)


def test_an_owed_row_whose_trigger_is_turned_off_is_owed_no_more() -> None:
    world = world_of(1)
    world.target.answer = answer_by_id({1: REJECTED})
    world.run()
    world.deploy(sync_definition(triggers=Triggers(removed=ON)))
    assert accounts(world.run()) == {"skipped": 1, "owed_before": 1}
    assert world.owed() == {}


def test_immediate_retries_send_only_the_rejected_rows_again() -> None:
    world = world_of(1, 2, retry=Retry(immediate=2, backoff_seconds=4))
    world.target.answer = lambda message, attempt: (
        REJECTED if message.change.key == [1] and attempt < 3 else Verdict(kind="accepted")
    )
    assert accounts(world.run()) == {"added": 2, "accepted": 2}
    assert [len(call.messages) for call in world.target.calls] == [2, 1, 1]
    assert all(0 <= wait <= 8 for wait in world.clock.slept)


def test_the_wait_before_a_retry_is_drawn_from_zero_to_a_bound_that_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(_: Random, low: float, high: float) -> float:
        drawn.append((low, high))
        return high / 2

    monkeypatch.setattr(Random, "uniform", uniform)
    world = world_of(1, retry=Retry(immediate=7, backoff_seconds=1))
    world.target.answer = answer_by_id({1: REJECTED})
    world.run()
    assert drawn == [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (0, 30), (0, 30)]
    assert world.clock.slept == [high / 2 for _, high in drawn]
    assert world.owed()[1].attempts == 8


def test_without_immediate_retries_a_rejected_row_waits_for_the_next_run() -> None:
    world = world_of(1, retry=Retry(immediate=0))
    world.target.answer = answer_by_id({1: REJECTED})
    assert accounts(world.run()) == {"added": 1, "rejected": 1, "owed_after": 1}
    assert (len(world.target.calls), world.clock.slept) == (1, [])
    world.target.answer = answer_by_id({})
    assert accounts(world.run()) == {"added": 1, "accepted": 1, "owed_before": 1}


def test_a_refused_row_is_not_sent_again_inside_the_run() -> None:
    world = world_of(1, retry=Retry(immediate=3))
    world.target.answer = answer_by_id({1: Verdict(kind="refused", reason="too large")})
    assert accounts(world.run()) == {"added": 1, "rejected": 1, "owed_after": 1}
    assert len(world.target.calls) == 1


def test_a_retry_repeats_the_change_id_and_the_bytes() -> None:
    world = world_of(1, retry=Retry(immediate=1))
    world.target.answer = lambda message, attempt: IN_DOUBT if attempt == 1 else Verdict(kind="accepted")
    world.run()
    first, second = world.target.sent
    assert (first.change.id, first.body, first.time) == (second.change.id, second.body, second.time)


def test_a_rate_that_leaves_no_worker_time_for_all_attempts_ends_with_as_many_as_the_sync_wants() -> None:
    limits = Limits(concurrency=1, rate=Rate(count=1, seconds=60))
    world = world_of(*range(20), retry=Retry(immediate=3), limits=limits)
    world.pace = FakePace(world.clock, 1, 60.0)
    world.target.batch_size = 1
    world.target.answer = answer_by_id(dict.fromkeys(range(6), REJECTED))
    workers: list[str] = []

    def on(state: str) -> None:
        workers.append(state)
        assert workers.count("fan_out") < 10, "no end"

    assert accounts(world.run(on=on)) == {"added": 20, "accepted": 14, "rejected": 6, "owed_after": 6}
    assert workers.count("fan_out") > 1
    assert {debt.attempts for debt in world.owed().values()} == {4}
    assert len(world.target.sent) == 14 + 6 * 4


def test_a_folder_with_a_quote_in_its_name_is_worked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    world = world_of(*range(40), limits=Limits(concurrency=1, rows_per_partition=8))
    world.target.answer = answer_by_id({1: REJECTED})
    assert world.run()["status"] == "completed"
    world.source.put(id=2, v="other")
    world.source.remove(3)
    summary = world.run()
    assert [summary[name] for name in ("added", "changed", "removed", "owed_after")] == [1, 1, 1, 1]
    world.source.rows.append({"id": 4, "v": "twice"})
    assert "that share a key" in world.run()["reason"]


# --- the retry queue ---


def test_the_retry_queue_carries_a_notice_of_each_debt_and_no_row() -> None:
    world = world_of(1, 2)
    world.target.answer = answer_by_id({1: REJECTED})
    run = world.run()["run"]
    [(_, notice)] = world.queue.visible
    assert notice == Notice(sync="orders", run=run, chunk="00000-000000", key_hashes=[world.owed()[1].key_hash])


def test_a_purged_queue_loses_nothing() -> None:
    world = world_of(1)
    world.target.answer = answer_by_id({1: REJECTED})
    world.run()
    world.queue.visible.clear()
    world.target.answer = answer_by_id({})
    assert accounts(world.run()) == {"added": 1, "accepted": 1, "owed_before": 1}


def test_a_message_that_names_no_known_debt_is_quarantined() -> None:
    world = settled(1)
    world.queue.put(Notice(sync="orders", run="forged", chunk="x", key_hashes=["0" * 32]))
    world.queue.put(Notice(sync="other", run="forged", chunk="x"))
    world.queue.put(None)
    assert accounts(world.run()) == {}
    assert len(world.queue.quarantined) == 3
    assert not world.queue.visible and not world.queue.hidden


def test_a_queue_longer_than_the_time_for_it_shortens_with_each_run_and_stops_none() -> None:
    world = world_of(1)
    world.target.answer = answer_by_id({1: REJECTED})
    run = world.run()["run"]
    notices = 500
    for number in range(notices - 1):
        world.queue.put(Notice(sync="orders", run=run, chunk=f"{number}", key_hashes=[f"{number:032x}"]))
    world.target.answer = answer_by_id({})
    world.clock.tick = DRAIN_SECONDS / 200
    assert accounts(world.run()) == {"added": 1, "accepted": 1, "owed_before": 1}
    assert 0 < len(world.queue.visible) < notices - 100
    while left := len(world.queue.visible):
        assert world.run()["status"] == "completed"
        assert len(world.queue.visible) < left
    assert not world.queue.hidden and not world.queue.quarantined


def test_notices_are_deleted_as_they_are_read_so_that_a_death_among_them_costs_few() -> None:
    world = world_of(1)
    world.target.answer = answer_by_id({1: REJECTED})
    run = world.run()["run"]
    for number in range(95):
        world.queue.put(Notice(sync="orders", run=run, chunk=f"{number}"))
    most = []
    delete = world.queue.delete

    def deleting(receipts: Sequence[str]) -> None:
        most.append(len(world.queue.hidden))
        delete(receipts)

    world.queue.delete = deleting  # type: ignore[method-assign]
    world.run()
    assert max(most) == SEEN_AT_ONCE and not world.queue.hidden


# --- stopping ---


def test_a_destination_that_is_missing_ends_the_run_before_the_query() -> None:
    world = settled(1)
    world.source.put(id=2, v="new")
    world.target.refuse = "The bus orders does not exist."
    summary = world.run()
    assert (summary["status"], summary["reason"]) == ("failed", "The bus orders does not exist.")
    world.target.refuse = ""
    assert accounts(world.run()) == {"added": 1, "accepted": 1}


def test_a_destination_that_could_not_be_looked_at_stops_no_run_that_is_to_be_finished() -> None:
    world = world_of(*range(25))

    def die(state: str) -> None:
        if state == "fan_out":
            raise RuntimeError

    with pytest.raises(RuntimeError):
        world.run(on=die)
    world.target.busy = "The bus orders could not be reached."
    summary = world.run()
    assert (summary["status"], world.sent()) == ("failed", [])
    assert summary["reason"].startswith("The bus orders could not be reached.")
    world.target.busy = ""
    assert world.run()["status"] == "completed"
    assert len(world.sent()) == 25
    assert world.owed() == {}


def test_a_destination_that_refuses_in_mid_run_leaves_the_rest_owed() -> None:
    world = world_of(*range(25))

    def refuse_after_one_call(sent: Any) -> None:
        world.target.refuse = "Access was denied."

    world.target.before_answer = refuse_after_one_call
    summary = world.run()
    assert summary["status"] == "failed"
    assert accounts(summary) == {"added": 25, "accepted": 10, "rejected": 15, "owed_after": 15}
    world.target.refuse, world.target.before_answer = "", lambda sent: None
    assert accounts(world.run()) == {"added": 15, "accepted": 15, "owed_before": 15}


def test_a_run_that_sent_nothing_leaves_the_baseline_where_it_was() -> None:
    world = settled(1)
    for key in range(2, 30):
        world.source.put(id=key, v="new")
    checks = iter(["", "Access was denied."])
    world.target.check = lambda: None  # type: ignore[method-assign]

    def refuse(batch: Any, batch_id: str, attempt: int) -> Any:
        from rowcast.errors import DestinationRefused

        raise DestinationRefused(next(checks) or next(checks))

    send, world.target.send = world.target.send, refuse  # type: ignore[method-assign]
    summary = world.run()
    assert (summary["status"], summary["rejected"]) == ("failed", 28)
    assert world.head.generation == 1
    world.target.send = send  # type: ignore[method-assign]
    assert accounts(world.run()) == {"added": 28, "accepted": 28}


def test_many_rejections_for_one_reason_stop_the_run() -> None:
    world = world_of(*range(1000))
    world.target.answer = lambda message, attempt: REJECTED
    summary = world.run()
    assert summary["status"] == "failed"
    assert "same reason" in summary["reason"]
    assert len(world.target.sent) < 1000
    assert summary["rejected"] == 1000


def test_changes_that_the_target_refused_before_the_run_was_stopped_have_other_ids_next_time() -> None:
    """Their messages name another run: a consumer that knows a change by its id must not take them for the same."""
    world = settled(*range(500))
    for key in range(240):
        world.source.put(id=key, v="new")
    manifest = world.head.manifest
    world.target.answer = lambda message, attempt: REJECTED
    summary = world.run()
    assert (summary["status"], world.head.manifest, world.owed()) == ("failed", manifest, {})
    seen = {message.change.id for message in world.target.sent}
    world.target.calls.clear()
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    assert accounts(world.run()) == {"changed": 240, "accepted": 240}
    assert len(seen) >= 100
    assert not seen & {message.change.id for message in world.target.sent}


def test_a_first_run_that_came_to_nothing_leaves_no_baseline() -> None:
    world = world_of(*range(500))
    world.target.answer = lambda message, attempt: REJECTED
    world.run()
    assert (world.head.manifest, world.head.open_run, world.owed()) == (None, None, {})
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    assert accounts(world.run()) == {"added": 500, "accepted": 500}


def test_what_a_target_was_asked_under_an_earlier_claim_is_not_forgotten() -> None:
    """Rejected, to be tried again, and then the worker paused: no outcome says that the target has seen the change."""
    change = Change(operation="added", key=[1], key_hash="0", id="c", after={"id": 1})
    chunk = Chunk(sync="orders", run="r", id="c1", changes=[change])
    run = Run(sync="orders", run="r", generation=0, execution="e", definition="d", started_at=0.0)
    earlier = ChunkState(chunk="c1", token=1, claim="a", deadline=1.0, paused=True, answered=True, outcomes=[None])
    assert taken_over(earlier, run, chunk, token=1, claim="b", deadline=2.0, now=1.0).answered


def test_a_query_that_fails_sends_nothing_and_frees_the_lock() -> None:
    world = settled(1)
    world.source.fail = SourceFailed("The query failed.")
    assert world.run()["status"] == "failed"
    assert world.head.holder is None
    world.source.fail = None
    assert accounts(world.run()) == {}


class JsonSource(TableSource):
    """Whose `v` is the text of JSON."""

    @contextmanager
    def query(self, query: str, connection: duckdb.DuckDBPyConnection) -> Iterator[SourceResult]:
        with super().query(query, connection) as result:
            expressions, columns = normalize([("id", "BIGINT"), ("v", "JSON")])
            names = ", ".join(expressions)
            relation = f"(SELECT {names} FROM (SELECT id, v::JSON AS v FROM {result.relation}))"
            try:
                yield SourceResult(relation=relation, columns=columns)
            except duckdb.Error as error:
                raise SourceFailed(refusal_in(str(error))) from None


UNREADABLE_NUMBERS = ["1e1000000000000000000", "9" * 5000]


@pytest.mark.parametrize("number", UNREADABLE_NUMBERS)
def test_a_number_that_nothing_can_read_fails_the_run_before_it_is_sealed_until_it_is_mended(number: str) -> None:
    world = World()
    world.source = JsonSource()
    world.source.put(id=1, v="1")
    world.run()
    world.sent()
    world.source.put(id=1, v="2")
    world.source.put(id=2, v=f"[{number}]")
    summary = world.run()
    assert summary["status"] == "failed" and 'Column "v" holds a number' in summary["reason"]
    assert (world.sent(), world.head.open_run) == ([], None)
    world.source.put(id=2, v="[3]")
    assert accounts(world.run()) == {"added": 1, "changed": 1, "accepted": 2}


@pytest.mark.parametrize("number", UNREADABLE_NUMBERS)
def test_a_row_that_arrived_before_there_were_bounds_is_sent_and_owed_with_the_text_of_its_number(
    number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.source = JsonSource()
    world.source.put(id=1, v=f"[{number}]")
    world.source.put(id=2, v="1")
    world.target.answer = answer_by_id({1: REJECTED})
    with monkeypatch.context() as before:
        before.setattr(jsonsql, "_BEYOND", "^no JSON$")
        assert accounts(world.run()) == {"added": 2, "accepted": 1, "rejected": 1, "owed_after": 1}
        assert world.owed()[1].sent == {"id": 1, "v": [number]}
        world.target.answer = answer_by_id({})
        assert accounts(world.run()) == {"added": 1, "accepted": 1, "owed_before": 1}
    world.sent()
    world.source.put(id=1, v="3")
    assert accounts(world.run()) == {"changed": 1, "accepted": 1}
    (message,) = world.target.sent
    assert (message.change.before, message.change.after) == ({"id": 1, "v": [number]}, {"id": 1, "v": 3})


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"id": 1, "v": "a"}, {"id": 1, "v": "b"}, {"id": 2, "v": "c"}], "2 that share a key"),
        ([{"id": None, "v": "a"}, {"id": 2, "v": "c"}], "1 with a null"),
    ],
)
def test_rows_without_a_key_of_their_own_stop_the_run(rows: list[dict[str, Any]], told: str) -> None:
    world = settled(7)
    before = world.head
    world.source.rows = rows
    summary = world.run()
    assert summary["status"] == "failed"
    assert told in summary["reason"]
    assert re.search(r"hashes [0-9a-f]{32}", summary["reason"])
    ids = ", ".join(f"({row['id'] or 'NULL'})" for row in rows)
    statement = summary["reason"].partition("To see them: ")[2].replace("(the query)", f"(VALUES {ids})")
    assert [key for key, _ in duckdb.sql(statement.replace("AS asked", "AS asked(id)")).fetchall()] == [rows[0]["id"]]
    assert world.sent() == []
    assert (world.head.generation, world.head.history) == (before.generation, before.history)


def test_a_primary_key_that_the_result_lacks_is_named_with_the_columns_there_are() -> None:
    world = world_of(1, primary_key=("order_id",))
    summary = world.run()
    assert "order_id" in summary["reason"] and "id, v" in summary["reason"]


# --- columns and partitions ---


def test_a_column_that_comes_or_goes_sends_nothing_and_is_told() -> None:
    world = settled(1, 2)
    world.source.columns = {"id": "integer", "v": "text", "w": "text"}
    summary = world.run()
    assert (accounts(summary), summary["columns_added"], summary["columns_dropped"]) == ({}, ["w"], [])
    world.source.columns = {"w": "text", "id": "integer"}
    summary = world.run()
    assert (accounts(summary), summary["columns_added"], summary["columns_dropped"]) == ({}, [], ["v"])
    assert world.sent() == []


@pytest.mark.parametrize("meanwhile", [[], [("b", 20)], [None], [None, ("b", 20)]])
@pytest.mark.parametrize("doubt", [False, True])
def test_an_owed_row_is_compared_with_what_a_column_was_when_it_joined(
    doubt: bool, meanwhile: list[tuple[str, int] | None]
) -> None:
    """`meanwhile`: v and c in the runs that are not accepted after the column c joined; None: the row is absent."""
    world = settled(1, guard=Guard(allow_empty=True))
    world.target.answer = lambda message, attempt: Verdict(kind="in_doubt" if doubt else "rejected", reason="No")
    world.source.put(id=1, v="b")
    world.run()
    world.source.columns["c"] = "integer"
    for then in [("b", 10), *meanwhile]:
        world.source.rows = [{"id": 1, "v": then[0], "c": then[1]}] if then else []
        assert world.run()["status"] == "completed"
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    world.source.put(id=1, v="v1", c=20)
    assert world.run()["changed"] == 1
    [message] = world.target.calls[-1].messages
    assert (message.change.columns, message.change.before) == (["c"], {"id": 1, "v": "v1", "c": 10})
    assert world.arrived() == {1: world.source.rows[0]}
    assert not world.owed()


def test_an_owed_row_that_was_absent_when_a_column_joined_is_sent_with_it() -> None:
    world = settled(1, guard=Guard(allow_empty=True))
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="No")
    world.source.remove(1)
    world.run()
    world.source.columns["c"] = "integer"
    world.run()
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    world.source.put(id=1, v="v1", c=10)
    assert world.run()["changed"] == 1
    assert world.arrived() == {1: world.source.rows[0]}


def test_an_owed_row_that_is_back_beside_a_column_that_stayed_is_owed_no_more() -> None:
    world = settled(1, guard=Guard(allow_empty=True))
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="No")
    world.source.columns["c"] = "integer"
    world.source.put(id=1, v="b", c=10)
    world.run()
    world.sent()
    world.source.put(id=1, v="v1", c=10)
    assert world.run()["changed"] == 0
    assert not world.sent() and not world.owed()


def test_a_row_that_changes_together_with_the_columns_is_sent() -> None:
    world = settled(1, 2)
    world.source.columns = {"id": "integer", "v": "text", "w": "text"}
    world.source.put(id=1, v="other", w="x")
    assert accounts(world.run()) == {"changed": 1, "accepted": 1}
    assert world.target.sent[0].change.columns == ["v"]


def test_the_order_of_the_columns_does_not_matter() -> None:
    world = settled(1, 2)
    world.source.columns = {"v": "text", "id": "integer"}
    assert accounts(world.run()) == {}


def test_a_lossless_change_of_type_compares_by_value() -> None:
    world = World()
    world.source.columns = {"id": "integer", "v": "integer"}
    world.source.rows = [{"id": 1, "v": 5}]
    world.run()
    world.sent()
    world.source.columns = {"id": "decimal", "v": "decimal"}
    world.source.rows = [{"id": Decimal("1.0000"), "v": Decimal("5.00")}]
    assert accounts(world.run()) == {}


@pytest.mark.parametrize("code", ["text", None])
def test_another_key_stops_the_run_also_where_the_query_gives_no_rows(code: ColumnType | None) -> None:
    world = World(sync_definition(guard=Guard(allow_empty=True)))
    if code:
        world.source.columns["code"] = code
    world.source.rows = [{"id": 1, "v": "a", "code": "x"}, {"id": 2, "v": "a", "code": "x"}]
    world.run()
    world.sent()
    world.source.columns = {"code": "text", "v": "text"}
    world.source.rows = []
    world.deploy(msgspec.structs.replace(world.definition, primary_key=("code",)))
    summary = world.run()
    assert (summary["status"], world.sent(), world.head.open_run) == ("failed", [], None)
    assert "changed from id to code" in summary["reason"]


def test_another_key_stops_the_run_while_rows_are_owed_under_the_old_one() -> None:
    world = World(sync_definition(guard=Guard(allow_empty=True)))
    world.source.put(id=1, v="a")
    world.run()
    world.source.remove(1)
    world.target.answer = lambda message, attempt: Verdict(kind="rejected", reason="No")
    world.run()
    world.deploy(msgspec.structs.replace(world.definition, primary_key=("v",)))
    assert "changed from id to v" in world.run()["reason"]
    assert len(world.owed()) == 1


def test_a_key_of_another_kind_stops_the_run() -> None:
    world = settled(1)
    world.source.columns = {"id": "text", "v": "text"}
    world.source.rows = [{"id": "1", "v": "v1"}]
    assert "changed its type from integer to text" in world.run()["reason"]
    assert world.sent() == []


@pytest.mark.parametrize("slice_rows", [1, 7, 1000])
@pytest.mark.parametrize(("first", "second"), [(50, 50), (4, 50), (50, 4)])
def test_every_change_has_its_own_rows_whatever_their_order_files_and_slices(
    first: int, second: int, slice_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picking, "SLICE_ROWS", slice_rows)
    world = world_of(*range(60), limits=Limits(concurrency=1, rows_per_partition=first))
    world.run()
    world.sent()
    before = {row["id"]: dict(row) for row in world.source.rows}
    after = {number: {"id": number, "v": f"other {number}" if number % 7 else f"v{number}"} for number in range(10, 70)}
    world.deploy(sync_definition(limits=Limits(concurrency=1, rows_per_partition=second)))
    world.source.rows = [dict(row) for row in after.values()]
    Random(1).shuffle(world.source.rows)
    world.run()
    sent = {message.change.key[0]: message.change for message in world.target.sent}
    assert {key: change.before for key, change in sent.items()} == {key: before.get(key) for key in sent}
    assert {key: change.after for key, change in sent.items()} == {key: after.get(key) for key in sent}
    assert sent.keys() == {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


@pytest.mark.parametrize(("first", "second"), [(4, 50), (50, 4), (4, 13)])
def test_another_partition_count_sends_nothing_by_itself(first: int, second: int) -> None:
    limits = [Limits(concurrency=1, rows_per_partition=rows) for rows in (first, second)]
    world = settled(*range(100), limits=limits[0])
    before = len(world.snapshots.manifest(world.head.manifest).partitions)
    world.deploy(sync_definition(limits=limits[1]))
    assert accounts(world.run()) == {}
    world.source.put(id=5, v="other")
    world.source.remove(6)
    assert accounts(world.run()) == {"changed": 1, "removed": 1, "accepted": 2}
    assert len(world.snapshots.manifest(world.head.manifest).partitions) != before


@pytest.mark.parametrize(
    ("rows", "grown", "partitions"), [(4, 8, (1, 1)), (8, 9, (2, 2)), (8, 17, (2, 8)), (9, 3, (4, 1))]
)
def test_a_new_table_is_split_as_wanted_and_a_known_one_only_when_far_from_it(
    rows: int, grown: int, partitions: tuple[int, int]
) -> None:
    world = settled(*range(rows), limits=Limits(concurrency=1, rows_per_partition=4), guard=Guard(max_removed=1))
    first = len(world.snapshots.manifest(world.head.manifest).partitions)
    world.source.rows = [{"id": number, "v": f"v{number}"} for number in range(grown)]
    world.run()
    assert (first, len(world.snapshots.manifest(world.head.manifest).partitions)) == partitions


def test_debts_are_found_again_in_another_partitioning() -> None:
    world = world_of(*range(100), limits=Limits(concurrency=1, rows_per_partition=50))
    world.target.answer = answer_by_id({7: REJECTED, 8: REJECTED})
    world.run()
    world.deploy(sync_definition(limits=Limits(concurrency=1, rows_per_partition=4)))
    world.target.answer = answer_by_id({})
    assert accounts(world.run()) == {"added": 2, "accepted": 2, "owed_before": 2}


# --- the guard ---


def test_a_run_that_would_remove_too_much_is_held_and_sends_nothing() -> None:
    world = settled(*range(300))
    for key in range(200):
        world.source.remove(key)
    summary = world.run()
    assert (summary["status"], world.sent()) == ("held", [])
    assert accounts(summary) == {}
    assert summary["found"] == {"added": 0, "changed": 0, "removed": 200}
    assert "200 of 300 rows would be removed" in summary["reason"]
    world.deploy(sync_definition(guard=Guard(max_removed=1.0)))
    assert accounts(world.run()) == {"removed": 200, "accepted": 200}


@pytest.mark.parametrize(
    ("before", "removed", "changed", "held"),
    [
        (700, 105, 0, ""),  # exactly 15 %
        (700, 106, 0, "removed"),
        (200, 100, 0, ""),  # no more than 100 rows
        (200, 101, 0, "removed"),
        (300, 0, 150, ""),  # exactly 50 %
        (300, 0, 151, "changed"),
        (100, 0, 100, ""),
    ],
)
def test_more_than_15_percent_removed_or_50_percent_changed_of_more_than_100_rows_is_held(
    before: int, removed: int, changed: int, held: str
) -> None:
    world = settled(*range(before))
    for row in world.source.rows[removed : removed + changed]:
        row["v"] = "other"
    world.source.rows = world.source.rows[removed:]
    summary = world.run()
    assert summary["status"] == ("held" if held else "completed")
    assert f"rows would be {held}" in summary["reason"] if held else not summary["reason"]


@pytest.mark.parametrize(("limits", "status"), [(Guard(), "held"), (Guard(max_changed=1.0), "completed")])
def test_the_guard_s_thresholds_are_the_sync_s_own(limits: Guard, status: str) -> None:
    world = settled(*range(200), guard=limits)
    for row in world.source.rows:
        row["v"] = "other"
    assert world.run()["status"] == status


def test_an_empty_result_is_held_unless_it_is_allowed() -> None:
    world = settled(1)
    world.source.rows = []
    assert world.run()["status"] == "held"
    world.deploy(sync_definition(guard=Guard(allow_empty=True)))
    assert accounts(world.run()) == {"removed": 1, "accepted": 1}


def test_a_table_of_several_partitions_that_was_emptied_is_followed() -> None:
    world = settled(1, 2, 3, 4, 5, guard=Guard(allow_empty=True), limits=Limits(concurrency=1, rows_per_partition=1))
    world.source.rows = []
    assert accounts(world.run()) == {"removed": 5, "accepted": 5}


def test_a_table_that_was_emptied_and_filled_again_is_followed_whatever_types_it_had_while_empty() -> None:
    world = settled(1, guard=Guard(allow_empty=True))
    world.source.rows = []
    world.source.columns = {"id": "text", "v": "text"}
    assert accounts(world.run()) == {"removed": 1, "accepted": 1}
    world.source.columns = {"id": "integer", "v": "text"}
    world.source.put(id=2, v="new")
    assert accounts(world.run()) == {"added": 1, "accepted": 1}


# --- batches ---


@pytest.mark.parametrize(("size", "sent"), [(700, [700, 700, 100]), (1000, [1000, 500])])
def test_chunks_hold_whole_batches_of_one_operation(size: int, sent: list[int]) -> None:
    world = world_of(*range(1500), destination=LambdaDestination(function="f", batch_size=size))
    world.target.batch_size = size
    world.run()
    assert [len(call.messages) for call in world.target.calls] == sent


def test_rows_beside_debts_are_compared_each_with_its_own() -> None:
    world = World(sync_definition(guard=Guard(max_removed=1, max_changed=1, max_rejected=1)))
    for key in range(60):
        world.source.put(id=key, v="a")
    world.target.answer = lambda message, attempt: Verdict(kind="rejected" if message.change.key[0] % 3 else "accepted")
    world.run()
    world.sent()
    for key in range(0, 60, 2):
        world.source.put(id=key, v="b")
    world.target.answer = lambda message, attempt: Verdict(kind="accepted")
    world.run()
    owed = {("added", key) for key in range(60) if key % 3}
    assert sorted(world.sent()) == sorted(owed | {("changed", key) for key in range(0, 60, 6)})
