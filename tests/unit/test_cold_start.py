"""What handlers load: each heavy library only where it is used, and none by the import of a handler's module."""

from __future__ import annotations

import pytest

from bench.cold_start import HANDLERS, heavy

LOGS = "aws_lambda_powertools"
LIQUID = {"liquid", "babel"}  # it imports Babel whether or not a template formats by locale
MAY_USE = {
    "open": {LOGS},
    "snapshot": {LOGS, "duckdb", "numpy", "adbc_driver_manager", "adbc_driver_postgresql"},
    "diff": {LOGS, "duckdb", "numpy"},
    "seal": {LOGS, *LIQUID},
    "publish": {LOGS, *LIQUID},
    "invoke": {LOGS, *LIQUID},
    "commit": {LOGS},
    "fail": {LOGS},
    "watch": {LOGS},
}


def test_every_handler_is_looked_at() -> None:
    assert set(HANDLERS) == set(MAY_USE)


@pytest.mark.parametrize("handler", HANDLERS)
def test_importing_a_handler_loads_no_heavy_library(handler: str) -> None:
    assert heavy(handler, used=False) == []


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_heavy_library_is_loaded_only_by_the_handlers_that_use_it(handler: str) -> None:
    assert set(heavy(handler, used=True)) <= MAY_USE[handler]


def test_using_a_handler_is_seen_to_load_what_it_needs() -> None:
    assert {"duckdb", "adbc_driver_postgresql", LOGS} <= set(heavy("snapshot", used=True))
    assert "duckdb" in heavy("diff", used=True)
    assert "liquid" in heavy("publish", used=True)
