"""Rows are told apart by their whole keys, however many of their keys' hashes begin alike."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from rowcast import columns as sql
from rowcast.definition import Trigger, Triggers
from rowcast.models import Column
from tests.unit.test_route import accounts, settled
from tests.world import ON, World


@pytest.fixture(autouse=True)
def _few_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The leading 8 bytes of a key's hash are one of three."""
    real = sql.key_hash

    def short(columns: Sequence[Column], table: str = "") -> str:
        whole = f"{real(columns, table)}::VARCHAR"
        return f"concat('00000000-0000-000', ascii({whole}) % 3, '-', right({whole}, 17))::UUID"

    monkeypatch.setattr(sql, "key_hash", short)


def sent(world: World) -> dict[int, tuple[str, str | None, str | None]]:
    changes = [message.change for message in world.target.sent]
    found = {
        change.key[0]: (change.operation, (change.before or {}).get("v"), (change.after or {}).get("v"))
        for change in changes
    }
    assert len(found) == len(changes)
    return found


def test_rows_with_one_beginning_are_compared_each_with_its_own() -> None:
    world = settled(*range(40))
    world.target.calls.clear()
    for key in (3, 4, 5):
        world.source.remove(key)
    for key in (10, 11, 12, 50, 51):
        world.source.put(id=key, v="other")
    world.run()
    assert sent(world) == {
        **{key: ("removed", f"v{key}", None) for key in (3, 4, 5)},
        **{key: ("changed", f"v{key}", "other") for key in (10, 11, 12)},
        **dict.fromkeys((50, 51), ("added", None, "other")),
    }


@pytest.mark.parametrize("changed", [ON, replace(ON, columns=("v",)), None], ids=["all", "some", "none"])
@pytest.mark.parametrize("key", range(100, 106))
def test_a_row_that_took_the_beginning_of_another_is_no_change_of_it(key: int, changed: Trigger | None) -> None:
    world = settled(1, triggers=Triggers(added=ON, changed=changed, removed=ON))
    world.target.calls.clear()
    world.source.remove(1)
    world.source.put(id=key, v="v1")
    world.run()
    assert sent(world) == {1: ("removed", "v1", None), key: ("added", None, "v1")}


def test_nothing_is_sent_of_rows_that_stayed() -> None:
    world = settled(*range(20))
    world.target.calls.clear()
    world.source.put(id=100, v="new")
    assert accounts(world.run()) == {"added": 1, "accepted": 1}
