"""Columns as the engine answers them."""

from __future__ import annotations

from random import Random

import duckdb
import numpy as np
import pytest

from rowcast import arrow


@pytest.mark.parametrize(
    "numbers",
    [[], [7], [1, 2, 5], [1, 2, 8, 9, 3, 4, 5], [3, 2, 1], Random(1).sample(range(1000), 300)],
    ids=["none", "one", "in order", "a stretch out of place", "backwards", "anyhow"],
)
def test_rows_come_in_order_of_their_numbers(numbers: list[int]) -> None:
    with duckdb.connect() as connection:
        connection.register("given", {"number": np.array(numbers, np.uint64)})
        text = "CASE WHEN number % 3 = 0 THEN '' ELSE repeat('ä', number::INTEGER % 5) || number END"
        parts = list(arrow.batches(connection, f"SELECT number, {text}, number * 2 FROM given"))
    found = arrow.in_order([arrow.joined(part) for part in zip(*parts, strict=True)])
    told = [("ä" * (n % 5) + str(n)).encode() if n % 3 else b"" for n in sorted(numbers)]
    if numbers:
        assert found[0].tolist() == sorted(numbers)
        assert [found[1].joined(n, n + 1) for n in range(len(numbers))] == told
        assert found[2].tolist() == [2 * number for number in sorted(numbers)]
    else:
        assert found == []
