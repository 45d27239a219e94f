"""How an estimated bill is shown."""

from __future__ import annotations

from typing import Any

from rich.markup import escape

from workbench.cost import Bill, Line, Prices, by_service
from workbench.options import counted
from workbench.show import out
from workbench.usage import Workload


def bill(sync: str, work: Workload, bill: Bill, table: Prices, left_out: list[str]) -> None:
    shape = bill.usage.shape
    found = f"{counted(work.rows, 'row')}, {counted(work.changes, 'change')} a run"
    _say(f"[bold]{escape(sync)}[/]: {found}, {counted(work.row_bytes, 'byte')} a row")
    compared = f"{shape.differing} of {counted(shape.partitions, 'partition')}"
    _say(f"  {compared}, {counted(shape.chunks, 'chunk')}, {counted(shape.calls, 'call')}")
    month = by_service(bill.month) if bill.month is not None else {}
    run = by_service(bill.run)
    often = f"{bill.runs_a_month:,.0f} runs" if bill.runs_a_month is not None else "unknown"
    _say(f"[bold]{'':16}{'A RUN':>12}{'A MONTH':>12}[/]   [dim]({often})[/]")
    once, total = sum(run.values()), sum(month.values()) if bill.month is not None else None
    for service in dict.fromkeys([*month, *run]):
        _say(f"{service:16}{money(run.get(service, 0.0), once):>12}{money(month.get(service), total):>12}")
    _say(f"[bold]{'Sum':16}{money(once):>12}{money(total):>12}[/]")
    _say(f"An estimate in {table.currency}, at list prices of {table.region} as of {table.as_of}, without free tiers.")
    _say(f"[dim]Not in it: {escape(', '.join(left_out))}.[/]")
    if bill.month is None:
        _say("The sync does not start at equal intervals; for a month's bill: --runs N")


def _say(text: str) -> None:
    out.print(text)


def money(value: float | None, total: float | None = None) -> str:
    """`total`: of the column in which it stands, whose amounts have the same digits after the point."""
    digits = 4 if (total if total is not None else value or 0) < 1 else 2
    return "–" if value is None else f"{value:,.{digits}f}"


def record(sync: str, work: Workload, bill: Bill, table: Prices) -> dict[str, Any]:
    return {
        "sync": sync,
        "rows": work.rows,
        "changes": work.changes,
        **_prices(table),
        "run": _part(bill.run),
        "runs_a_month": bill.runs_a_month,
        "month": _part(bill.month) if bill.month is not None else None,
    }


def of_run(bill: Bill, table: Prices) -> dict[str, Any]:
    """A run's part of the bill alone."""
    return {**_prices(table), **_part(bill.run)}


def _prices(table: Prices) -> dict[str, str]:
    return {"currency": table.currency, "region": table.region, "as_of": table.as_of}


def _part(lines: list[Line]) -> dict[str, Any]:
    return {
        "cost": _rounded(sum(line.cost for line in lines)),
        "services": {name: _rounded(value) for name, value in by_service(lines).items()},
        "units": {line.unit: {"count": _rounded(line.count), "cost": _rounded(line.cost)} for line in lines},
    }


def _rounded(value: float) -> float:
    return round(value, 10)
