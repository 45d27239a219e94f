"""The harness's arithmetic, and what it does with sides, shown on tiny ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import side as child
from bench.case import Case, Side
from bench.harness import BenchFailed, Measured, is_done, measure, ratios, spread, store, stored

SIDES = "tests.bench_sides"


def side(name: str, function: str, **given: Any) -> Side:
    return Side(name=name, call=f"{SIDES}:{function}", **{"role": "ours", **given})


def case(*sides: Side, **given: Any) -> Case:
    return Case(name="small", title="Small", sides=sides, reference=sides[-1].name, **{"rounds": 1, **given})


def measured(seconds: float, cpu: float = 1.0, **result: Any) -> Measured:
    return Measured(seconds=seconds, cpu=cpu, peak_mb=1.0, result=result)


def test_a_ratio_is_of_the_times_of_one_round() -> None:
    assert ratios([measured(3), measured(8)], [measured(2), measured(4)], "seconds", False) == [1.5, 2.0]


def test_a_side_that_ran_fewer_rounds_has_fewer_ratios() -> None:
    assert ratios([measured(3)], [measured(2), measured(4)], "seconds", False) == [1.5]


def test_sides_that_did_different_amounts_are_compared_by_unit_of_work() -> None:
    assert ratios([measured(1, cpu=4, work=8)], [measured(1, cpu=1, work=1)], "cpu", False) == [0.5]


def test_a_ratio_of_rates_grows_with_speed() -> None:
    assert ratios([measured(1, work=8)], [measured(2, work=2)], "seconds", True) == [8.0]


def test_a_spread_is_median_least_and_most() -> None:
    assert spread([4.0, 1.0, 3.0]) == {"median": 3.0, "min": 1.0, "max": 4.0}
    assert spread([]) is None


def test_sides_run_in_turn_each_in_a_process_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sides = (side("A", "note", arguments={"name": "A"}), side("B", "note", arguments={"name": "B"}))
    record = measure(case(*sides, rounds=3, arguments={"log": str(log)}))
    assert log.read_text() == "ABABAB"
    assert record["sides"]["A"]["rounds"] == 3
    assert record["sides"]["B"]["ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}
    assert record["sides"]["A"]["result"]["pid"] != record["sides"]["B"]["result"]["pid"]


def test_a_slow_side_runs_the_first_rounds_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sides = (side("A", "note", arguments={"name": "A"}, rounds=1), side("B", "note", arguments={"name": "B"}))
    measure(case(*sides, rounds=3, arguments={"log": str(log)}))
    assert log.read_text() == "ABBB"


def test_sides_that_answer_different_digests_fail_the_case() -> None:
    sides = (side("A", "answer", arguments={"digest": "1"}), side("B", "answer", arguments={"digest": "2"}))
    with pytest.raises(BenchFailed, match=r"results differ. A: 1; B: 2"):
        measure(case(*sides))


def test_a_side_without_a_digest_is_compared_with_none() -> None:
    measure(case(side("A", "answer", arguments={"digest": "1"}), side("B", "tell")))


def test_a_peer_that_fails_is_recorded_with_its_reason_and_is_not_tried_again() -> None:
    record = measure(case(side("peer", "fail", role="peer"), side("B", "tell"), rounds=2))
    assert record["sides"]["peer"]["failed"] == "ValueError: no such luck"
    assert record["sides"]["peer"]["rounds"] == 0
    assert record["sides"]["B"]["rounds"] == 2


def test_a_peer_that_takes_too_long_is_ended() -> None:
    record = measure(case(side("peer", "hang", role="peer", timeout=0.3), side("B", "tell")))
    assert record["sides"]["peer"]["failed"] == "not done in 0 s"


def test_a_failure_of_our_own_side_fails_the_case() -> None:
    with pytest.raises(BenchFailed, match="A: ValueError: no such luck"):
        measure(case(side("A", "fail"), side("B", "tell")))


@pytest.mark.parametrize("function", ["hold", "hold_in_child"])
def test_peak_memory_is_the_sides_own_with_its_children(function: str) -> None:
    sides = (side("A", function, arguments={"mib": 150}), side("B", "hold", arguments={"mib": 1}))
    record = measure(case(*sides, rounds=2))
    assert record["sides"]["A"]["peak_mb"] > 150
    assert record["sides"]["B"]["peak_mb"] < 100


@pytest.mark.parametrize("function", ["burn", "burn_in_child"])
def test_processor_seconds_are_the_sides_own_with_its_children(function: str) -> None:
    record = measure(case(side("A", function, arguments={"seconds": 0.3}), side("B", "tell")))
    assert record["sides"]["A"]["cpu"]["median"] > 0.2
    assert record["sides"]["B"]["cpu"]["median"] < 0.1


def test_what_is_timed_counts_alone_and_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr(child, "_timed", {})
    monkeypatch.setattr("bench.side.time.perf_counter", lambda: next(clock))
    for _ in range(2):
        with child.timed():
            pass
    assert child._timed["seconds"] == 3.0


def test_every_side_gets_the_cases_arguments_those_prepared_and_those_of_the_server(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "data").write_text("warm")
    given = {"base": 1, "warm": [str(tmp_path / "data")]}
    record = measure(case(side("A", "tell", arguments={"own": 1}), prepare=f"{SIDES}:prepared", arguments=given))
    assert record["sides"]["A"]["result"]["arguments"] == {"base": 1, "made": 2, "own": 1}
    record = measure(case(side("A", "tell"), serve=f"{SIDES}:serve", arguments={"log": str(log)}))
    assert set(record["sides"]["A"]["result"]["arguments"]) == {"log", "server"}
    assert log.read_text() == "ended"


def test_a_case_is_done_until_its_recipe_changes(tmp_path: Path) -> None:
    one = case(side("A", "tell"))
    store("topic", one, measure(one), tmp_path)
    assert is_done("topic", one, tmp_path)
    assert not is_done("topic", msgspec.structs.replace(one, rounds=7), tmp_path)
    assert not is_done("other", one, tmp_path)


def test_a_record_tells_the_recipe_the_machine_and_the_versions(tmp_path: Path) -> None:
    one = case(side("A", "tell"))
    store("topic", one, measure(one), tmp_path)
    record = stored("topic", tmp_path)["small"]
    assert record["recipe"]["name"] == "small"
    assert record["made"]["machine"]["cores"] > 0
    assert "python" in record["made"]["versions"]
