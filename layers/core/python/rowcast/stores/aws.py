"""What the adapters of this folder share: how AWS says no, and when asking again helps."""

from __future__ import annotations

import random
from collections.abc import Iterator

from botocore.config import Config

from rowcast.in_flight import THREADS
from rowcast.ports import Clock

ATTEMPTS = 6


def control_config(pool: int = THREADS) -> Config:
    """For clients of stores: repeating their calls is harmless. Clients of destinations never use this. `pool`: calls
    at once for which connections are kept."""
    return Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=pool)


def tries(clock: Clock) -> Iterator[int]:
    """Counts attempts from 0, with a full-jitter pause of up to 0.1, 0.2, 0.4 … seconds between them."""
    for attempt in range(ATTEMPTS):
        if attempt:
            clock.sleep(random.uniform(0, 0.1 * 2 ** (attempt - 1)))  # noqa: S311 - spreads load, keeps no secret
        yield attempt
