"""Whether the syncs' limits, taken together, ask for more than a region gives: told at synth, where it is cheap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from project.model import Project
from rowcast.definition import Definition, EventBridgeDestination

TABLE = Path(__file__).with_name("quotas.yaml")


@dataclass(frozen=True)
class Quotas:
    """Of an account in a region. `region` None: it is not known before the deployment, and no rate is judged there."""

    region: str | None
    concurrent_executions: int
    events_per_second: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def read(region: str | None, *, executions: Any = None, events: Any = None) -> Quotas:
        """`executions`, `events`: what the account has in `region`, where it is not what the table says."""
        table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
        rates = dict(table["events_per_second"])
        if events is not None and region is not None:
            rates[region] = int(events)
        return Quotas(region, int(executions or table["concurrent_executions"]), rates)

    def events(self, region: str) -> int:
        return self.events_per_second.get(region, self.events_per_second["elsewhere"])


def warnings(project: Project, quotas: Quotas) -> Iterator[tuple[str, str]]:
    """(id, text). Only this account is judged: whoever owns another knows its quotas."""
    here = [one.definition for one in project.syncs.values() if one.definition.destination.account is None]
    yield from _of_events(here, quotas)
    yield from _of_executions([one.definition for one in project.syncs.values()], quotas)


def _of_events(definitions: list[Definition], quotas: Quotas) -> Iterator[tuple[str, str]]:
    """Rates that are stated. Without one, a run takes what it is given, and slows down where it is throttled."""
    rates: dict[str, dict[str, float]] = defaultdict(dict)
    for one in definitions:
        region = one.destination.region or quotas.region
        if isinstance(one.destination, EventBridgeDestination) and one.limits.rate and region:
            name = f"pool {one.limits.pool}" if one.limits.pool else one.sync
            rates[region][name] = one.limits.rate.count / one.limits.rate.seconds
    for region, asked in sorted(rates.items()):
        if sum(asked.values()) > quotas.events(region):
            text = (
                f"{', '.join(sorted(asked))} may send {sum(asked.values()):g} events a second to {region}, whose quota"
                f" of PutEvents is {quotas.events(region)}. Lower limits.rate, or have the quota raised and give it as"
                " the context rowcast:events_per_second."
            )
            yield f"rowcast:events-{region}", text


def _of_executions(definitions: list[Definition], quotas: Quotas) -> Iterator[tuple[str, str]]:
    asked = sum(_at_once(one, quotas.region) for one in definitions)
    if asked > quotas.concurrent_executions:
        text = (
            f"If all syncs run at once they may take {asked} concurrent executions of functions, of"
            f" {quotas.concurrent_executions} that there are. Lower limits.concurrency, or have the quota raised and"
            " give it as the context rowcast:concurrent_executions."
        )
        yield "rowcast:executions", text


def _at_once(definition: Definition, region: str | None) -> int:
    """The workers of fan out, and what they invoke where that counts against the same quota."""
    limits, destination = definition.limits, definition.destination
    elsewhere = destination.account is not None or destination.region not in (None, region)
    invoked = 0 if isinstance(destination, EventBridgeDestination) or elsewhere else limits.concurrency
    return limits.workers + invoked
