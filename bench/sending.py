"""The sync of the benchmarks that send, or make what is sent: its source is never read."""

from __future__ import annotations

from typing import Any

from rowcast.definition import Definition, EventBridgeDestination, FilesSource, Triggers


def sync_of(triggers: Triggers, **fields: Any) -> Definition:
    """`fields`: further ones of a Definition."""
    return Definition(
        sync="bench",
        source=FilesSource(name="bench", prefix="bench/"),
        query="SELECT 1",
        primary_key=("id",),
        destination=EventBridgeDestination(),
        triggers=triggers,
        **fields,
    )
