"""What a debt still asks for, once the source has moved on."""

from __future__ import annotations

from collections.abc import Sequence

from rowcast.equality import differing_columns, row_hash
from rowcast.models import Change, Debt, DebtOrigin, Operation, Outcome, Row, change_id


def owed_change(debt: Debt, now: Row | None, common: Sequence[str], destination: str, generation: int) -> Change | None:
    """The change from what the destination accepted to what the source holds now; None when nothing is owed any more.

    `common`: the columns over which rows are compared. A row in doubt is owed even when both sides are equal, since the
    destination may hold what was sent in between.

    A column that joined the query after the row was accepted counts as accepted with the value that it had in the first
    send since, as a row without a debt takes it into the baseline unsent. So the change's `before` has it, and the next
    debt's accepted row. Where no send has told it, as of a row that was absent meanwhile, it differs. Columns that left
    the query are not compared; a row that was never accepted is sent whole.
    """
    accepted = _accepted(debt)
    operation = _operation(accepted, now)
    names = _columns(debt, accepted, now, common) if accepted is not None and now is not None else []
    if not debt.in_doubt and (operation is None or (operation == "changed" and not names)):
        return None
    before = row_hash(accepted) if accepted is not None else ""
    after = row_hash(now) if now is not None else ""
    return Change(
        operation=operation or "removed",
        key=debt.key,
        key_hash=debt.key_hash,
        id=change_id(debt.sync, destination, debt.key_hash, before, after, generation),
        columns=names,
        before=accepted,
        after=now,
        last_sent=debt.sent if operation is None else None,
        debt=DebtOrigin(in_doubt=debt.in_doubt, attempts=debt.attempts, first_run=debt.first_run),
    )


def owed_since(changes: Sequence[Change], outcomes: Sequence[Outcome | None], run: str) -> str:
    """The run in which the oldest change that is not accepted was first owed; empty when all are. Runs sort by time."""
    return min(
        (
            change.debt.first_run if change.debt is not None else run
            for change, outcome in zip(changes, outcomes, strict=True)
            if outcome is not None and outcome.outcome != "accepted"
        ),
        default="",
    )


def _operation(accepted: Row | None, now: Row | None) -> Operation | None:
    """None: absent on both sides."""
    if accepted is None:
        return None if now is None else "added"
    return "removed" if now is None else "changed"


def _accepted(debt: Debt) -> Row | None:
    return None if debt.accepted is None else {**(debt.sent or {}), **debt.accepted}


def _columns(debt: Debt, accepted: Row, now: Row, common: Sequence[str]) -> list[str]:
    """The columns in which the source differs from what was accepted; failing that, from what may have arrived."""
    differing = differing_columns(accepted, now, common)
    names = [name for name in common if name not in accepted or name in differing]
    if names or not debt.in_doubt:
        return names
    if debt.sent is None:
        return list(common)
    return differing_columns(debt.sent, now, [name for name in common if name in debt.sent])
