"""replay: what past runs sent, to be sent again as it was sent then.

A change is sent again only while it is the last one of its row (I4), and only if it was accepted: what was not is owed
or was given up. It keeps its id, so its message must keep its bytes (I5): it is rendered by the definition, the name
and the time of the run that sent it first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from rowcast.definition import Definition
from rowcast.errors import RunFailed
from rowcast.models import (
    REPLAYABLE_SECONDS,
    Change,
    Chunk,
    Counts,
    FirstSend,
    Outcome,
    PartitionResult,
    Run,
)
from rowcast.ports import Address, ChangeStore, DebtStore, MessageToSend, Render

NEWER = "the row changed again since"
TAKEN = "a rebaseline took the source for accepted since"
OWED = "the row is owed: a run or a retry sends it"
NOT_ACCEPTED = "it was not accepted, and nothing is owed of it any more"
NOT_ASKED = "the sync sends no such changes any more"
ELSEWHERE = "it went to a destination that the sync does not have any more"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A committed run that is sent again (`again`), or that came later and may hold newer changes of the same rows.

    `results`: how many partitions it diffed. `partitions`: how many its keys were spread over; 0 is not known. `taken`:
    a later rebaseline put the source in place of what it sent. `elsewhere`: it sent to another destination.
    """

    run: str
    definition: str
    started_at: float
    results: int
    partitions: int
    again: bool
    taken: bool
    elsewhere: bool


class Replaying(msgspec.Struct, frozen=True, kw_only=True):
    """What replaying one partition needs. `partitions`: how many the keys are spread over now."""

    definition: Definition
    run: Run
    past: Sequence[Past]
    partitions: int
    changes: ChangeStore
    debts: DebtStore


def past_runs(run: Run, runs: Sequence[Run], now: float, identity: Callable[[str], str]) -> list[Past]:
    """The runs that `run` sends again and all that were committed after them, oldest first.

    `identity`: of the destination of a definition's digest. Raises RunFailed when the changes of one are gone.
    """
    assert run.replays is not None
    first, last = run.replays.first, run.replays.last
    committed = sorted(
        (one for one in runs if one.phase == "committed" and not one.came_to_nothing and one.generation >= first),
        key=lambda one: one.generation,
    )
    taken = max((one.generation for one in committed if one.mode == "rebaseline"), default=-1)
    sending = [one for one in committed if one.chunks]
    again = {one.run for one in sending if one.generation <= last}
    if not again:
        raise RunFailed("No run that is to be sent again has sent anything.")
    old = next((one for one in sending if one.run in again and not replayable(one, now)), None)
    if old is not None:
        raise RunFailed(f"The changes of run {old.run} are gone: they are kept for 30 days. Nothing was sent.")
    here = identity(run.definition)
    return [
        Past(
            run=one.run,
            definition=one.definition,
            started_at=one.started_at,
            results=one.partitions_to_diff,
            partitions=one.partitions,
            again=one.run in again,
            taken=one.generation < taken,
            elsewhere=one.run in again and identity(one.definition) != here,
        )
        for one in sending
    ]


def replayable(run: Run, now: float) -> bool:
    """Whether a run's changes, and so those of all later ones, are surely still there.

    It goes by time: the table drops what has expired in no order, so a newer change might be gone before an older one.
    """
    return run.sealed_at is not None and now - run.sealed_at < REPLAYABLE_SECONDS


def replay_partition(number: int, needs: Replaying) -> PartitionResult:
    """Writes the partition's chunks, then its result. The same inputs give the same chunks, so a repeat is harmless."""
    run, only = needs.run, needs.run.only
    width = 128 - (needs.partitions.bit_length() - 1)
    first, last = f"{number << width:032x}", f"{((number + 1) << width) - 1:032x}"
    debts = needs.debts.debts(run.sync, first, last) if run.owed_before else ()
    owed = {debt.key_hash: debt.first_run for debt in debts}
    newest: dict[str, str] = {}
    for past in needs.past:
        for chunk, _ in _chunks(past, number, needs):
            newest |= {change.key_hash: change.id for change in chunk.changes if first <= change.key_hash <= last}
    counts, left, ids, seen = Counts(), dict[str, int](), list[str](), set[str]()
    for past in (one for one in needs.past if one.again):
        for chunk, outcomes in _chunks(past, number, needs):
            chosen: list[Change] = []
            for change, outcome in zip(chunk.changes, outcomes, strict=True):
                wanted = only is None or not only.key_hashes or change.key_hash in only.key_hashes
                if not wanted or change.id in seen or not first <= change.key_hash <= last:
                    continue
                seen.add(change.id)
                reason = _against(change, outcome, past, newest, owed, needs.definition)
                if reason:
                    left[reason] = left.get(reason, 0) + 1
                else:
                    chosen.append(_again(change, past))
            if chosen:
                ids.append(_put(number, len(ids), chosen, needs))
                operation = chosen[0].operation
                setattr(counts, operation, getattr(counts, operation) + len(chosen))
    result = PartitionResult(
        partition=number, chunks=ids, counts=counts, left_out=left, left_since=min(owed.values(), default="")
    )
    needs.changes.put_result(run.sync, run.run, result)
    return result


def _against(
    change: Change,
    outcome: Outcome | None,
    past: Past,
    newest: dict[str, str],
    owed: dict[str, str],
    definition: Definition,
) -> str:
    """Why a change is not sent again; empty when it is. Anything newer of the row counts, whatever became of it."""
    if past.taken:
        return TAKEN
    if past.elsewhere:
        return ELSEWHERE
    if newest[change.key_hash] != change.id:
        return NEWER
    if change.key_hash in owed:
        return OWED
    if outcome is None or outcome.outcome != "accepted":
        return NOT_ACCEPTED
    return NOT_ASKED if definition.triggers.of(change.operation) is None else ""


def _again(change: Change, past: Past) -> Change:
    first = change.first or FirstSend(run=past.run, started_at=past.started_at, definition=past.definition)
    return msgspec.structs.replace(change, first=first, debt=None)


def _put(number: int, count: int, changes: list[Change], needs: Replaying) -> str:
    chunk = Chunk(sync=needs.run.sync, run=needs.run.run, id=f"{number:05d}-{count:06d}", changes=changes)
    needs.changes.put_chunk(chunk)
    return chunk.id


def _chunks(past: Past, number: int, needs: Replaying) -> Iterator[tuple[Chunk, list[Outcome | None]]]:
    """The run's chunks that may hold keys of the partition, with the outcomes of their changes.

    Raises RunFailed when one is not there: without it nobody knows which change is the newest.
    """
    sync = needs.run.sync
    results = needs.changes.results(sync, past.run)
    if len(results) != past.results:
        raise RunFailed(f"The changes of run {past.run} are gone. Nothing was sent.")
    for result in results:
        if not result.chunks or not _overlap(result.partition, past.partitions, number, needs.partitions):
            continue
        states = {one.chunk: one for one in needs.changes.states(sync, past.run, f"{result.partition:05d}-")}
        for name in result.chunks:
            chunk = needs.changes.chunk(sync, past.run, name)
            known = states[name].outcomes if name in states else []
            yield chunk, known or [None] * len(chunk.changes)


def _overlap(a: int, of: int, b: int, parts: int) -> bool:
    """Whether partition `a` of so many and `b` of so many may share a key: both counts are powers of two."""
    if not of:
        return True
    return b * of // parts == a if parts >= of else a * parts // of == b


# --- as it was sent at first ------------------------------------------------------------------------------------------


def as_first_sent(render: Render, of: Callable[[FirstSend], Render]) -> Render:
    """`render`, but for changes that are sent again: they get the message that they had. `of`: what rendered then."""
    renders: dict[str, Render] = {}

    def rendered(change: Change) -> bytes:
        if change.first is None:
            return render(change)
        if change.first.run not in renders:
            renders[change.first.run] = of(change.first)
        return renders[change.first.run](change)

    return rendered


def addressed_as_first_sent(address: Address, of: Callable[[FirstSend], Address]) -> Address:
    """The same for the source and detail type of an event."""
    addresses: dict[str, Address] = {}

    def addressed(message: MessageToSend) -> tuple[str, str]:
        first = message.change.first
        if first is None:
            return address(message)
        if first.run not in addresses:
            addresses[first.run] = of(first)
        return addresses[first.run](message)

    return addressed
