"""The known name that a mistyped one most likely meant."""

from __future__ import annotations

from collections.abc import Iterable

LIKE_ENOUGH = 55.0


def nearest(name: str, known: Iterable[str]) -> str | None:
    from rapidfuzz import process, utils
    from rapidfuzz.distance import DamerauLevenshtein

    choices = list(known)
    found = process.extractOne(
        name,
        choices,
        scorer=lambda a, b, **_: 100 * DamerauLevenshtein.normalized_similarity(a, b) + _contained(a, b),
        processor=utils.default_process,
        score_cutoff=LIKE_ENOUGH,
    )
    return found[0] if found else None


def _contained(a: str, b: str) -> float:
    """`removed` for `max_removed`: one name inside the other counts as half alike."""
    return 40.0 if len(a) >= 3 and len(b) >= 3 and (a in b or b in a) else 0.0


def one_of(names: Iterable[str]) -> str:
    listed = ", ".join(sorted(names))
    return f"one of {listed}" if listed else "none: there is none yet"
