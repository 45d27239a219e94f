from __future__ import annotations

import pytest
from msgspec.structs import replace

from rowcast.errors import LockLost
from rowcast.models import Head, Run
from tests import aws_faults
from tests.contract.conftest import Stores

FIRST, SECOND = "arn:execution:1", "arn:execution:2"


def a_run(name: str = "r1", sync: str = "orders") -> Run:
    return Run(sync=sync, run=name, generation=0, execution=FIRST, definition="digest", started_at=1_760_000_000.5)


def taken(stores: Stores, execution: str = FIRST, sync: str = "orders") -> Head:
    head = stores.state.take_lock(stores.state.head(sync), execution)
    assert head is not None
    return head


def begun(stores: Stores, name: str = "r1") -> tuple[Head, Run]:
    head, run = taken(stores), a_run(name)
    stores.state.begin(run, head.token)
    return stores.state.head("orders"), run


def test_an_unknown_sync_has_an_empty_head_and_no_runs(stores: Stores) -> None:
    assert stores.state.head("orders") == Head(sync="orders")
    assert stores.state.run("orders", "r1") is None
    assert stores.state.runs("orders", 10) == []


def test_taking_the_lock_makes_the_holder_and_raises_the_token(stores: Stores) -> None:
    assert taken(stores) == Head(sync="orders", token=1, holder=FIRST)
    assert stores.state.head("orders") == Head(sync="orders", token=1, holder=FIRST)


def test_of_two_that_saw_the_same_head_one_gets_the_lock(stores: Stores) -> None:
    seen = stores.state.head("orders")
    assert stores.state.take_lock(seen, FIRST) is not None
    assert stores.state.take_lock(seen, SECOND) is None
    assert stores.state.head("orders").holder == FIRST


def test_taking_the_lock_again_from_the_same_sight_answers_the_same(stores: Stores) -> None:
    seen = stores.state.head("orders")
    assert stores.state.take_lock(seen, FIRST) == stores.state.take_lock(seen, FIRST)


def test_a_lock_can_be_taken_from_a_dead_holder_and_its_run_goes_with_it(stores: Stores) -> None:
    head, run = begun(stores)
    stolen = taken(stores, SECOND)
    assert (stolen.token, stolen.holder, stolen.open_run) == (head.token + 1, SECOND, run.run)


def test_a_head_whose_run_has_opened_since_is_not_as_seen(stores: Stores) -> None:
    seen = taken(stores)
    stores.state.begin(a_run(), seen.token)
    assert stores.state.take_lock(seen, SECOND) is None


def test_releasing_frees_the_lock_for_the_next_and_keeps_the_token(stores: Stores) -> None:
    head = taken(stores)
    stores.state.release_lock("orders", head.token)
    assert stores.state.head("orders") == Head(sync="orders", token=1)
    assert taken(stores, SECOND).token == 2


def test_a_stale_token_does_not_release_the_lock(stores: Stores) -> None:
    stale = taken(stores)
    taken(stores, SECOND)
    stores.state.release_lock("orders", stale.token)
    stores.state.release_lock("unknown", 1)
    assert stores.state.head("orders").holder == SECOND


def test_the_lock_of_one_sync_is_not_that_of_another(stores: Stores) -> None:
    taken(stores)
    assert stores.state.head("orders-2") == Head(sync="orders-2")
    assert taken(stores, SECOND, "orders-2").token == 1


def test_begin_stores_the_run_and_makes_it_the_open_run(stores: Stores) -> None:
    head, run = begun(stores)
    assert head.open_run == "r1"
    assert stores.state.run("orders", "r1") == run


def test_begin_repeated_by_the_same_holder_changes_nothing(stores: Stores) -> None:
    head, run = begun(stores)
    stores.state.save(replace(run, rows=5), head.token)
    stores.state.begin(run, head.token)
    stored = stores.state.run("orders", "r1")
    assert stored is not None
    assert stored.rows == 5


def test_a_second_run_does_not_begin_while_one_is_open(stores: Stores) -> None:
    head, _ = begun(stores)
    with pytest.raises(LockLost):
        stores.state.begin(a_run("r2"), head.token)
    assert stores.state.run("orders", "r2") is None


def test_a_run_that_has_ended_does_not_begin_again(stores: Stores) -> None:
    head, run = begun(stores)
    stores.state.close(replace(run, status="failed"), head.token)
    with pytest.raises(LockLost):
        stores.state.begin(run, head.token)
    assert stores.state.head("orders").open_run is None


def test_a_stale_token_writes_nothing(stores: Stores) -> None:
    head, run = begun(stores)
    taken(stores, SECOND)
    moved = replace(head, generation=1, history=["m1"])
    attempts = [
        lambda: stores.state.begin(a_run("r2"), head.token),
        lambda: stores.state.save(replace(run, rows=9), head.token),
        lambda: stores.state.stop("orders", "r1", head.token, "stale"),
        lambda: stores.state.add_rejections("orders", "r1", head.token, {"a": 1}),
        lambda: stores.state.commit(moved, replace(run, rows=9), head.token),
        lambda: stores.state.close(replace(run, rows=9), head.token),
    ]
    before = stores.state.head("orders")
    for attempt in attempts:
        with pytest.raises(LockLost):
            attempt()
    assert stores.state.head("orders") == before
    assert stores.state.run("orders", "r1") == run
    assert stores.state.run("orders", "r2") is None


def test_a_stale_token_saves_no_run_that_has_ended_either(stores: Stores) -> None:
    head, run = begun(stores)
    stores.state.close(run, head.token)
    taken(stores, SECOND)
    with pytest.raises(LockLost):
        stores.state.save(replace(run, rows=9), head.token)


def test_a_run_s_phase_never_goes_back(stores: Stores) -> None:
    head, run = begun(stores)
    sealed = replace(run, phase="sealed")
    stores.state.save(sealed, head.token)
    with pytest.raises(LockLost):
        stores.state.save(replace(run, phase="snapshot"), head.token)
    stores.state.save(replace(sealed, reason="again"), head.token)
    assert stores.state.run("orders", "r1") == replace(sealed, reason="again")


def test_a_run_that_is_open_no_more_is_not_saved(stores: Stores) -> None:
    head, run = begun(stores)
    committed = replace(run, phase="committed", status="completed")
    stores.state.commit(replace(head, generation=1, history=["m1"], open_run=None), committed, head.token)
    for phase in ("sealed", "committed"):
        with pytest.raises(LockLost):
            stores.state.save(replace(run, phase=phase), head.token)
    assert stores.state.run("orders", "r1") == committed


def test_a_run_of_an_earlier_release_which_wrote_no_phase_beside_it_is_saved(aws: Stores) -> None:
    head, run = begun(aws)
    aws.clients["dynamodb"].update_item(
        TableName="state", Key={"pk": {"S": "orders"}, "sk": {"S": "run#r1"}}, UpdateExpression="REMOVE reached"
    )
    aws.state.save(replace(run, phase="snapshot"), head.token)
    assert aws.state.run("orders", "r1") == replace(run, phase="snapshot")


def test_workers_of_the_new_holder_write_where_those_of_the_old_may_not(stores: Stores) -> None:
    head, run = begun(stores)
    new = taken(stores, SECOND)
    assert stores.state.add_rejections("orders", run.run, new.token, {"a": 1}) == {"a": 1}
    with pytest.raises(LockLost):
        stores.state.add_rejections("orders", run.run, head.token, {"a": 1})


def test_the_first_reason_to_stop_stands_and_survives_a_save(stores: Stores) -> None:
    head, run = begun(stores)
    stores.state.stop("orders", "r1", head.token, "first")
    stores.state.stop("orders", "r1", head.token, "second")
    stores.state.save(replace(run, rows=3, stopped=""), head.token)
    stored = stores.state.run("orders", "r1")
    assert stored is not None
    assert (stored.stopped, stored.rows) == ("first", 3)


def test_rejections_add_up_per_reason_and_survive_a_save(stores: Stores) -> None:
    head, run = begun(stores)
    assert stores.state.add_rejections("orders", "r1", head.token, {"a": 2, "b": 1}) == {"a": 2, "b": 1}
    stores.state.save(replace(run, rows=3), head.token)
    assert stores.state.add_rejections("orders", "r1", head.token, {"a": 3}) == {"a": 5}


def test_hundreds_of_reasons_are_counted(stores: Stores) -> None:
    head, _ = begun(stores)
    totals = stores.state.add_rejections("orders", "r1", head.token, {f"reason-{i}": 1 for i in range(500)})
    assert len(totals) == 500
    assert min(totals.values()) >= 1


def test_commit_moves_the_head_by_one_generation_and_ends_the_run(stores: Stores) -> None:
    head, run = begun(stores)
    done = replace(run, status="completed", phase="committed")
    stores.state.commit(replace(head, generation=1, history=["m1"], owed=4), done, head.token)
    expected = Head(sync="orders", generation=1, token=1, holder=FIRST, open_run=None, history=["m1"], owed=4)
    assert stores.state.head("orders") == expected
    assert stores.state.run("orders", "r1") == done


def test_a_commit_repeated_by_the_same_holder_succeeds_once(stores: Stores) -> None:
    head, run = begun(stores)
    moved = replace(head, generation=1, history=["m1"])
    stores.state.commit(moved, run, head.token)
    stores.state.commit(moved, run, head.token)
    assert stores.state.head("orders").generation == 1


@pytest.mark.parametrize("generation", [0, 2])
def test_a_commit_to_any_but_the_next_generation_is_refused(stores: Stores, generation: int) -> None:
    head, run = begun(stores)
    with pytest.raises(LockLost):
        stores.state.commit(replace(head, generation=generation, history=["m1"]), run, head.token)
    assert stores.state.head("orders") == head


def test_a_run_that_is_not_the_open_one_does_not_commit(stores: Stores) -> None:
    head, _ = begun(stores)
    with pytest.raises(LockLost):
        stores.state.commit(replace(head, generation=1), a_run("r2"), head.token)


def test_two_commits_of_one_generation_do_not_both_count(stores: Stores) -> None:
    head, run = begun(stores)
    stores.state.commit(replace(head, generation=1, history=["m1"]), run, head.token)
    with pytest.raises(LockLost):
        stores.state.commit(replace(head, generation=1, history=["m2"]), run, head.token)
    assert stores.state.head("orders").history == ["m1"]


def test_close_ends_the_run_and_leaves_the_baseline(stores: Stores) -> None:
    head, run = begun(stores)
    failed = replace(run, status="failed", reason="no such table")
    stores.state.close(failed, head.token)
    stores.state.close(failed, head.token)
    assert stores.state.head("orders") == Head(sync="orders", token=1, holder=FIRST)
    assert stores.state.run("orders", "r1") == failed


def test_a_run_that_never_began_can_be_closed(stores: Stores) -> None:
    head = taken(stores)
    stores.state.close(replace(a_run(), status="failed"), head.token)
    assert [run.status for run in stores.state.runs("orders", 10)] == ["failed"]


def test_close_does_not_end_another_run(stores: Stores) -> None:
    head, _ = begun(stores)
    with pytest.raises(LockLost):
        stores.state.close(a_run("r0"), head.token)
    assert stores.state.head("orders").open_run == "r1"


def test_runs_come_newest_first_and_are_those_of_the_sync_alone(stores: Stores) -> None:
    head = taken(stores)
    for name in ("2026-01-01", "2026-01-03", "2026-01-02"):
        stores.state.close(a_run(name), head.token)
    other = taken(stores, sync="orders-2")
    stores.state.close(a_run("2026-01-04", "orders-2"), other.token)
    assert [run.run for run in stores.state.runs("orders", 2)] == ["2026-01-03", "2026-01-02"]


def test_what_was_read_is_a_copy(stores: Stores) -> None:
    head, run = begun(stores)
    head.history.append("mine")
    run.columns_added.append("mine")
    stored = stores.state.run("orders", "r1")
    assert stored is not None
    assert (stores.state.head("orders").history, stored.columns_added) == ([], [])


@pytest.mark.parametrize("step", ["begin", "commit", "close", "take"])
def test_a_transaction_whose_reply_is_lost_is_done_once(aws: Stores, step: str) -> None:
    head = taken(aws)
    run = a_run()
    if step != "begin":
        aws.state.begin(run, head.token)
    aws_faults.lose_reply(aws.clients["dynamodb"], "TransactWriteItems")
    if step == "begin":
        aws.state.begin(run, head.token)
    elif step == "commit":
        aws.state.commit(replace(head, generation=1, history=["m"], open_run="r1"), run, head.token)
    elif step == "close":
        aws.state.close(run, head.token)
    else:
        assert taken(aws, SECOND).token == 2
    assert aws.state.head("orders").generation == (1 if step == "commit" else 0)


def test_a_conflict_with_another_transaction_is_tried_again(aws: Stores) -> None:
    head = taken(aws)
    reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
    aws_faults.answer_error(
        aws.clients["dynamodb"],
        "TransactWriteItems",
        "TransactionCanceledException",
        times=3,
        CancellationReasons=reasons,
    )
    aws.state.begin(a_run(), head.token)
    assert aws.state.head("orders").open_run == "r1"
    assert len(aws.clock.slept) == 3


def test_a_run_summary_expires_after_400_days(aws: Stores) -> None:
    begun(aws)
    item = aws.clients["dynamodb"].get_item(TableName="state", Key={"pk": {"S": "orders"}, "sk": {"S": "run#r1"}})
    assert int(item["Item"]["expires_at"]["N"]) == 1_760_000_000 + 400 * 86_400


def test_a_target_that_makes_up_reasons_does_not_outgrow_the_runs_item(aws: Stores) -> None:
    head, _ = begun(aws)
    for batch in range(3):
        aws.state.add_rejections("orders", "r1", head.token, {f"{batch}-{i}": 1 for i in range(500)})
    item = aws.clients["dynamodb"].get_item(TableName="state", Key={"pk": {"S": "orders"}, "sk": {"S": "run#r1"}})
    assert len(item["Item"]) < 1024 + 10
    assert all(len(name) <= len("expires_at") for name in item["Item"])


def test_a_held_run_waits_at_the_head_until_another_is_committed(stores: Stores) -> None:
    head, run = begun(stores)
    stores.state.close(replace(run, status="held"), head.token)
    waiting = stores.state.head("orders")
    assert (waiting.held, waiting.open_run) == ("r1", None)
    planned = a_run("r2")
    stores.state.begin(planned, head.token)
    stores.state.close(replace(planned, status="planned"), head.token)
    assert stores.state.head("orders").held == "r1"
    last = a_run("r3")
    stores.state.begin(last, head.token)
    stores.state.commit(replace(waiting, generation=1, history=["m"], held=None), last, head.token)
    assert stores.state.head("orders").held is None


def test_rejecting_a_held_run_ends_its_wait(stores: Stores) -> None:
    head, run = begun(stores)
    stores.state.close(replace(run, status="held"), head.token)
    rejecting = replace(a_run("r2"), mode="reject")
    stores.state.begin(rejecting, head.token)
    stores.state.close(replace(rejecting, status="completed"), head.token)
    assert (stores.state.head("orders").held, stores.state.head("orders").open_run) == (None, None)
