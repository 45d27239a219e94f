"""The run as templates see it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec


class RunInfo(msgspec.Struct, frozen=True):
    """`started_at`: epoch seconds; it is also what `now` means in a template."""

    id: str
    started_at: float

    @property
    def started_text(self) -> str:
        return datetime.fromtimestamp(int(self.started_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def names(self, sync: str) -> dict[str, Any]:
        """What templates know that is the same for all changes of the run."""
        return {"sync": {"name": sync}, "run": {"id": self.id, "started_at": self.started_text}}
