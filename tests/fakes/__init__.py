"""In-memory twins of the ports in `rowcast.ports`. Each passes the contract suite that its adapter passes."""

from tests.fakes.changes import FakeChangeStore
from tests.fakes.debts import FakeDebtStore
from tests.fakes.destination import FakeDestination, Sent
from tests.fakes.small import (
    FakeBudget,
    FakeCallStore,
    FakeClock,
    FakeDefinitionStore,
    FakeDocuments,
    FakeExecutions,
    FakePace,
    FakeRetryQueue,
)
from tests.fakes.snapshots import FakeSnapshotStore
from tests.fakes.state import FakeStateStore

__all__ = [
    "FakeBudget",
    "FakeCallStore",
    "FakeChangeStore",
    "FakeClock",
    "FakeDebtStore",
    "FakeDefinitionStore",
    "FakeDestination",
    "FakeDocuments",
    "FakeExecutions",
    "FakePace",
    "FakeRetryQueue",
    "FakeSnapshotStore",
    "FakeStateStore",
    "Sent",
]
