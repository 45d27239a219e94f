"""Which rows of a partition differ from what was before, and how: told by keys and fingerprints alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rowcast import fingerprints, pairing
from rowcast.compare import Sides, both_fingerprints
from rowcast.pairing import Pairs, Side
from rowcast.picking import key_hashes, other_keys

if TYPE_CHECKING:
    import duckdb

    from rowcast.pairing import Flags, Indexes, Places


@dataclass(frozen=True, kw_only=True)
class Found:
    """`differing`: rows that are not owed and have no equal on the other side. `equal`: the others, as if they had
    changed; none unless the whole partition was asked for. `owed`: by key hash, the places of owed rows that are there
    now. `assumed`: of rows that changed only the leading 8 bytes of their keys' hashes were compared."""

    differing: Pairs
    equal: Pairs
    owed: dict[str, int]
    assumed: bool


def find(
    number: int,
    sides: Sides,
    owed: Collection[str],
    connection: duckdb.DuckDBPyConnection,
    *,
    whole: bool = False,
    assumes: int = 0,
) -> Found:
    """`owed`: key hashes of debts. `assumes`: for up to so many rows in all, who reads them is to compare the keys of
    those that changed. A file of rows is fetched only if a row of it is wanted."""
    import numpy as np

    before, after = both_fingerprints(number, sides, connection)
    some, others = (before, after) if whole else fingerprints.differing(before, after)
    if owed and not whole:
        heads = list(owed)
        some = fingerprints.united(some, fingerprints.having(before, heads))
        others = fingerprints.united(others, fingerprints.having(after, heads))
    del before, after
    old, new = pairing.side(some), pairing.side(others)
    del some, others
    doubts = pairing.doubtful(old, new, (int(each[:16], 16) for each in owed))
    removed, earlier, later, added = pairing.paired(old, new, doubts)
    equal = pairing.same(old, new, earlier, later)
    assumed = len(old.keys) + len(new.keys) <= assumes
    strange = np.zeros(len(equal), bool)
    if not assumed:
        strange = _strange(old.places[earlier], new.places[later], ~equal, sides, connection)
    changed = ~equal & ~strange
    exact = _by_whole_keys(
        old,
        new,
        np.concatenate([np.flatnonzero(doubts[0]), earlier[strange]]),
        np.concatenate([np.flatnonzero(doubts[1]), later[strange]]),
        owed,
        sides,
        connection,
    )
    return Found(
        differing=pairing.pairs(
            old,
            new,
            removed=[removed, exact.removed],
            changed=[(earlier[changed], later[changed]), exact.changed],
            added=[added, exact.added],
        ),
        equal=pairing.pairs(old, new, changed=[(earlier[equal], later[equal]), exact.equal]),
        owed=exact.owed,
        assumed=assumed,
    )


def _strange(
    before: Places, after: Places, unequal: Flags, sides: Sides, connection: duckdb.DuckDBPyConnection
) -> Flags:
    """Which of the pairs are none: their key hashes begin alike and their keys differ, by chance or by intent."""
    import numpy as np

    found = np.zeros(len(unequal), bool)
    found[unequal] = other_keys(before[unequal], after[unequal], sides, connection)
    return found


@dataclass(frozen=True, kw_only=True)
class _Exact:
    removed: Indexes
    changed: tuple[Indexes, Indexes]
    equal: tuple[Indexes, Indexes]
    added: Indexes
    owed: dict[str, int]


def _by_whole_keys(
    old: Side,
    new: Side,
    some: Indexes,
    others: Indexes,
    owed: Collection[str],
    sides: Sides,
    connection: duckdb.DuckDBPyConnection,
) -> _Exact:
    """Of some rows of either side, by the whole hashes of their keys; and the places of those that are owed."""
    import numpy as np

    debts = set(owed)
    hashes = key_hashes(sides.old, old.places[some], sides, connection)
    before = {key: at for key, at in zip(hashes, some.tolist(), strict=True) if key not in debts}
    hashes = key_hashes(sides.manifest, new.places[others], sides, connection)
    after = dict(zip(hashes, others.tolist(), strict=True))
    places = {key: int(new.places[after.pop(key)]) for key in debts & after.keys()}
    met = before.keys() & after.keys()
    earlier, later = (np.array([side[key] for key in met], np.intp) for side in (before, after))
    equal = pairing.same(old, new, earlier, later)
    return _Exact(
        removed=np.array([at for key, at in before.items() if key not in met], np.intp),
        changed=(earlier[~equal], later[~equal]),
        equal=(earlier[equal], later[equal]),
        added=np.array([at for key, at in after.items() if key not in met], np.intp),
        owed=places,
    )
