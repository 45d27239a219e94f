"""What those need who send messages by a sync's definition: a chunk of a run, or one row as a test."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from rowcast.definition import Definition
from rowcast.models import Deployment, Run
from rowcast.ports import (
    Budget,
    CallStore,
    ChangeStore,
    Clock,
    DefinitionStore,
    Destination,
    Pace,
    Render,
    StateStore,
)
from rowcast.under_way import UnderWay


class Delivering(msgspec.Struct, kw_only=True):
    """`claim` names this worker's attempt, never used before."""

    definitions: DefinitionStore
    changes: ChangeStore
    calls: CallStore
    destination: Callable[[Definition, Deployment], Destination]
    render: Callable[[Definition, Run], Render]
    pace: Callable[[Definition], Pace]
    clock: Clock
    claim: str


class FanningOut(Delivering, kw_only=True):
    states: StateStore
    budget: Budget
    jitter: random.Random


class Sending(msgspec.Struct, kw_only=True):
    """What sending a share of chunks needs, by the definition of their run. `resumed`: by a later start, so that
    workers of an earlier one may still be sending."""

    definition: Definition
    states: StateStore
    changes: ChangeStore
    calls: CallStore
    destination: Destination
    render: Render
    pace: Pace
    clock: Clock
    budget: Budget
    claim: str
    jitter: random.Random
    under_way: UnderWay
    resumed: bool = False
