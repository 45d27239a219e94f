"""What a person asks of a sync: written down with who and when, then started as an execution that points to it."""

from __future__ import annotations

import getpass
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from rowcast.models import Mode, Replay, Request, Run, Selection, from_json, to_json
from rowcast.plan import plan_key
from rowcast.replay import replayable
from rowcast.snapshot import MOST_RUNS
from workbench.deployment import Place
from workbench.keys import FIRST, LAST, key_hash, matches
from workbench.running import Execution
from workbench.sent import key_columns


def who(place: Place) -> str:
    """As AWS knows them; the embedded AWS knows nobody, so there it is the machine's user."""
    if place.aws.local:
        return f"{getpass.getuser()} (local)"
    return str(place.aws.client("sts").get_caller_identity()["Arn"])


def ask(place: Place, sync: str, mode: Mode, **wish: Any) -> Execution:
    """Starts an execution in that mode. `wish`: what the request says more."""
    now = time.time()
    request = Request(sync=sync, mode=mode, by=who(place), at=now, **wish)
    key = f"requests/{sync}/{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}-{uuid.uuid4().hex[:12]}.json"
    place.aws.client("s3").put_object(Bucket=place.output("Bucket"), Key=key, Body=to_json(request))
    return Execution(place, sync, mode=mode, request=key)


def owed(place: Place, sync: str, keys: Sequence[str], reason: str) -> tuple[Selection | None, int, int]:
    """Which debts these are (None: all), how many, and the generation of the baseline they were seen with."""
    generation = place.states.head(sync).generation
    if not keys and not reason:
        return None, sum(1 for _ in place.debts.key_hashes(sync, FIRST, LAST)), generation
    fitting: list[str] = []
    count = 0
    for debt in place.debts.debts(sync, FIRST, LAST):
        if any(matches(debt.key, key) for key in keys):
            fitting.append(debt.key_hash)
        elif keys:
            continue
        count += Selection(reason=reason).has(debt)
    return Selection(key_hashes=tuple(fitting), reason=reason), count, generation


def held(place: Place, syncs: Iterable[str], run: str) -> Run | None:
    """The run of this name that waits for an approval."""
    waiting = (sync for sync in syncs if place.states.head(sync).held == run)
    return next((place.states.run(sync, run) for sync in waiting), None)


def past(place: Place, sync: str, *, run: str | None, since: float | None) -> tuple[Replay | None, int]:
    """The runs that sent something, that one or all since then; and how many of these are kept no more."""
    sending = [one for one in place.states.runs(sync, MOST_RUNS) if one.phase == "committed" and one.chunks]
    wanted = [one for one in sending if one.run == run or (since is not None and one.started_at >= since)]
    kept = [one.generation for one in wanted if replayable(one, time.time())]
    return (Replay(first=min(kept), last=max(kept)) if kept else None), len(wanted) - len(kept)


def keys_of(place: Place, sync: str, wanted: Sequence[str]) -> Selection | None:
    """The rows of these keys; None when one of them is no key of the sync's."""
    columns = key_columns(place, sync, place.states.runs(sync, 5))
    hashes = [key_hash(columns, key) if columns else None for key in wanted]
    return Selection(key_hashes=tuple(found for found in hashes if found)) if all(hashes) else None


def plan(place: Place, sync: str, run: str) -> dict[str, Any]:
    """The document that a plan's run wrote."""
    found = place.aws.client("s3").get_object(Bucket=place.output("Bucket"), Key=plan_key(sync, run))
    document: dict[str, Any] = from_json(found["Body"].read())
    return document
