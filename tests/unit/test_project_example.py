"""The shop's data and target function tell the story that its README tells."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SHOP = Path(__file__).parents[2] / "examples" / "shop"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, SHOP / name)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


data = module("make_data.py")
welcome = module("targets/welcome.py")


def differences(table: str, key: str, old: str, new: str) -> tuple[int, int, int]:
    """How many rows are added, changed, removed between two steps."""
    before, after = ({row[key]: row for row in getattr(data, table)(step)} for step in (old, new))
    changed = sum(before[name] != after[name] for name in before.keys() & after.keys())
    return len(after.keys() - before.keys()), changed, len(before.keys() - after.keys())


def invoke(rows: list[dict[str, str]]) -> Any:
    sent = [{"customer_email": row["email"], **row} for row in rows]
    return welcome.handler({"metadata": {"primary_key_column": "customer_id"}, "rows": sent}, None)


@pytest.mark.parametrize("table", ["orders", "customers"])
def test_the_kept_data_is_that_of_the_start(tmp_path: Path, table: str) -> None:
    data.write("start", tmp_path)
    assert (SHOP / "data" / f"{table}.csv").read_bytes() == (tmp_path / f"{table}.csv").read_bytes()


def test_on_the_second_day_rows_are_added_changed_and_removed() -> None:
    assert differences("orders", "order_id", "start", "day2") == (12, 9, 6)
    assert differences("customers", "customer_id", "start", "day2") == (20, 3, 0)


def test_the_target_rejects_two_customers_of_the_second_day_by_key_with_a_reason() -> None:
    reason = "the e-mail address is malformed"
    assert invoke(data.customers("day2")) == {
        "errors": [{"primary_key_value": key, "reason": reason} for key in ("928768", "928777")]
    }


def test_the_target_accepts_everybody_once_the_addresses_are_mended() -> None:
    assert differences("customers", "customer_id", "day2", "mended") == (0, 2, 0)
    assert invoke(data.customers("start")) == invoke(data.customers("mended")) == {"errors": []}
