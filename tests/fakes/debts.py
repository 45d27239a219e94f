from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowcast.errors import LockLost
from rowcast.models import Debt
from tests.fakes.copies import copied
from tests.fakes.state import FakeStateStore


class FakeDebtStore:
    """`state` holds the heads whose tokens fence `book`."""

    def __init__(self, state: FakeStateStore) -> None:
        self.state = state
        self.ledger: dict[tuple[str, str], Debt] = {}

    def debts(self, sync: str, first: str, last: str) -> Iterator[Debt]:
        for key_hash in self.key_hashes(sync, first, last):
            yield copied(self.ledger[sync, key_hash])

    def key_hashes(self, sync: str, first: str, last: str) -> Iterator[str]:
        yield from sorted(key_hash for owner, key_hash in self.ledger if owner == sync and first <= key_hash <= last)

    def existing(self, sync: str, key_hashes: Sequence[str]) -> set[str]:
        return {key_hash for key_hash in key_hashes if (sync, key_hash) in self.ledger}

    def book(self, sync: str, token: int, put: Sequence[Debt], delete: Sequence[str]) -> None:
        if (put or delete) and self.state.head(sync).token != token:
            raise LockLost(f"Another run holds the lock of {sync}.")
        for debt in put:
            self.ledger[sync, debt.key_hash] = copied(debt)
        for key_hash in delete:
            self.ledger.pop((sync, key_hash), None)
