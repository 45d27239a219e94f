"""The envelope of `metadata: true`: a message beside where it comes from, and the row before."""

from __future__ import annotations

import msgspec

from rowcast.message.columns import encode
from rowcast.models import Change
from rowcast.ports import Render


def in_envelope(body: Render, sync: str, run: str) -> Render:
    def render(change: Change) -> bytes:
        metadata = {
            "version": "1",
            "sync": sync,
            "run": run,
            "change_id": change.id,
            "operation": change.operation,
            "columns": change.columns,
        }
        return encode({"metadata": metadata, "data": msgspec.Raw(body(change)), "previous": change.before})

    return render
