"""How messages are cut into calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rowcast.errors import MessageInvalid
from rowcast.ports import MessageToSend

Carry = Callable[[MessageToSend], tuple[MessageToSend, int]]
"""A message, or what stands for it, and its bytes in a call. Raises MessageInvalid when no call can carry it."""


def pack(
    messages: Sequence[MessageToSend], carry: Carry, *, most: int, room: int
) -> tuple[list[list[MessageToSend]], list[tuple[MessageToSend, str]]]:
    """Batches of at most `most` messages and `room` bytes, in order; and the messages that none can carry, with why."""
    batches: list[list[MessageToSend]] = []
    impossible: list[tuple[MessageToSend, str]] = []
    left = 0
    for given in messages:
        try:
            message, size = carry(given)
        except MessageInvalid as error:
            impossible.append((given, str(error)))
            continue
        if not batches or len(batches[-1]) == most or size > left:
            batches.append([])
            left = room
        batches[-1].append(message)
        left -= size
    return batches, impossible
