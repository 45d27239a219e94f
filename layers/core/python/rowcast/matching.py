"""Which rows of a partition differ from what was before, and how: told by keys and fingerprints alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rowcast import fingerprints, pairing
from rowcast.compare import Sides, new_fingerprints, old_fingerprints
from rowcast.pairing import Pairs, Side
from rowcast.picking import key_hashes, other_keys

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, kw_only=True)
class Found:
    """`differing`: rows that are not owed and have no equal on the other side. `equal`: the others, as if they had
    changed; none unless the whole partition was asked for. `owed`: by key hash, the places of owed rows that are there
    now."""

    differing: Pairs
    equal: Pairs
    owed: dict[str, int]


def find(
    number: int, sides: Sides, owed: Collection[str], connection: duckdb.DuckDBPyConnection, *, whole: bool = False
) -> Found:
    """`owed`: key hashes of debts. A file of rows is fetched only if a row of it is wanted."""
    before, after = old_fingerprints(number, sides, connection), new_fingerprints(number, sides, connection)
    some, others = (before, after) if whole else fingerprints.differing(before, after)
    if owed and not whole:
        heads = list(owed)
        some = fingerprints.united(some, fingerprints.having(before, heads))
        others = fingerprints.united(others, fingerprints.having(after, heads))
    del before, after
    (old, new), suspects = pairing.apart(
        pairing.side(some), pairing.side(others), (int(each[:16], 16) for each in owed)
    )
    removed, earlier, later, added = pairing.paired(old, new)
    equal = pairing.same(earlier, later)
    strange = _strange(earlier, later, ~equal, sides, connection)
    suspects = (pairing.both(suspects[0], earlier.at(strange)), pairing.both(suspects[1], later.at(strange)))
    changed = ~equal & ~strange
    exact, exactly_equal, places = _by_whole_keys(*suspects, owed, sides, connection)
    return Found(
        differing=pairing.united(
            [
                pairing.pairs("removed", removed, None),
                pairing.pairs("changed", earlier.at(changed), later.at(changed)),
                pairing.pairs("added", None, added),
                *exact,
            ]
        ),
        equal=pairing.united([pairing.pairs("changed", earlier.at(equal), later.at(equal)), exactly_equal]),
        owed=places,
    )


def _strange(
    before: Side, after: Side, unequal: pairing.Flags, sides: Sides, connection: duckdb.DuckDBPyConnection
) -> pairing.Flags:
    """Which of the pairs are none: their key hashes begin alike and their keys differ, by chance or by intent."""
    import numpy as np

    found = np.zeros(len(unequal), bool)
    found[unequal] = other_keys(before.at(unequal), after.at(unequal), sides, connection)
    return found


def _by_whole_keys(
    old: Side, new: Side, owed: Collection[str], sides: Sides, connection: duckdb.DuckDBPyConnection
) -> tuple[list[Pairs], Pairs, dict[str, int]]:
    """What differs and what is equal among rows that need their whole keys' hashes to be told apart; what is owed."""
    import numpy as np

    before = {key: at for at, key in enumerate(key_hashes(sides.old, old.places, sides, connection))}
    after = {key: at for at, key in enumerate(key_hashes(sides.manifest, new.places, sides, connection))}
    debts = set(owed)
    removed = [at for key, at in before.items() if key not in after and key not in debts]
    added = [at for key, at in after.items() if key not in before and key not in debts]
    met = [(before[key], at) for key, at in after.items() if key in before and key not in debts]
    earlier, later = old.at(np.array([a for a, _ in met], np.intp)), new.at(np.array([b for _, b in met], np.intp))
    equal = pairing.same(earlier, later)
    differing = [
        pairing.pairs("removed", old.at(np.array(removed, np.intp)), None),
        pairing.pairs("changed", earlier.at(~equal), later.at(~equal)),
        pairing.pairs("added", None, new.at(np.array(added, np.intp))),
    ]
    places = {key: int(new.places[at]) for key, at in after.items() if key in debts}
    return differing, pairing.pairs("changed", earlier.at(equal), later.at(equal)), places
