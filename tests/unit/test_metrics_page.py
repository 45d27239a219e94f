from __future__ import annotations

from pathlib import Path

from rowcast import metrics

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")


def test_every_metric_is_in_the_reference() -> None:
    calls = [metric.name for metric in metrics.of_calls([])]
    looks = [metric.name for metric in metrics.of_look([], 0)]
    for name in (*metrics.COUNTS, *metrics.SECONDS, *metrics.ENDS, "OldestDebtSeconds", *calls, *looks):
        assert f"`{name}`" in PAGE
