"""`rowcast preview` and `rowcast test-row`: the message of one real row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from workbench.options import COMPLETED, FAILED, as_json, emit, from_where, known_sync

_KEY = "The row's key; a JSON list where it has several columns."
_OPERATIONS = click.Choice(["added", "changed", "removed"])


@click.command()
@click.argument("sync")
@click.option("--key", required=True, help=_KEY)
@click.option("--as", "operation", type=_OPERATIONS, help="As this change (default: added, or removed if it is gone).")
@from_where
@as_json
def preview(project: Path, sync: str, key: str, operation: Any, json_: bool, place: Any) -> None:
    """Shows the message of one real row, as the last run read it. Sends nothing."""
    from workbench import one_row, show_row

    found = one_row.find(place, known_sync(project, sync), key)
    record = one_row.preview(found.definition, one_row.change_of(found, operation))
    if json_:
        emit([record])
    else:
        show_row.preview(record)


@click.command("test-row")
@click.argument("sync")
@click.option("--key", required=True, help=_KEY)
@click.option("--as", "operation", type=_OPERATIONS, required=True, help="As this change.")
@from_where
@as_json
def test_row(project: Path, sync: str, key: str, operation: Any, json_: bool, place: Any) -> int:
    """Really sends the message of one row, as a test: no run, no baseline, no retry (exit code 1: not accepted)."""
    from workbench import one_row, show_row

    found = one_row.find(place, known_sync(project, sync), key)
    record = one_row.send(place, found.definition, one_row.change_of(found, operation))
    if json_:
        emit([record])
    else:
        show_row.tested(record)
    return COMPLETED if record["outcomes"] == ["accepted"] else FAILED
