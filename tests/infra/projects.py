"""A project in code: two destinations, two kinds of source, one sync that only people start."""

from __future__ import annotations

from pathlib import Path

from project.model import AlertChannel, Endpoints, Network, Project, Schedule, Sync
from rowcast.definition import (
    Account,
    Definition,
    Destination,
    EventBridgeDestination,
    FilesSource,
    LambdaDestination,
    PostgresSource,
    SecretRef,
    Source,
    Trigger,
    Triggers,
)

SHOP = FilesSource(name="shop", prefix="sources/shop/")
LAKE = FilesSource(name="lake", bucket="company-lake", prefix="exports/")
WAREHOUSE = PostgresSource(
    name="warehouse", host="db.internal", database="dwh", user="rowcast", password=SecretRef(name="rowcast/warehouse")
)
OFTEN = Schedule(expression="rate(15 minutes)")
DAILY = Schedule(expression="cron(0 7 * * ? *)", timezone="Europe/Berlin")
CHANNELS = (
    AlertChannel("mail", "email", {"address": "team@example.com"}),
    AlertChannel("phone", "sms", {"number": "+4930123456"}),
    AlertChannel("chat", "slack", {"webhook": SecretRef(name="rowcast/slack", key="")}),
    AlertChannel("pager", "pagerduty", {"routing_key": SecretRef(name="rowcast/pagerduty", key="routing")}),
    AlertChannel("hook", "webhook", {"url": "https://ops.example.com/alerts", "token": SecretRef(name="t", key="")}),
    AlertChannel("bus", "eventbridge", {"bus": "operations"}),
)
ENDPOINTS = Endpoints("vpc-0123456789abcdef0", ("rtb-0123456789abcdef0",))
PARTNER = "arn:aws:iam::222233334444:role/partner"


def project() -> Project:
    syncs = (
        sync(
            "new-orders",
            SHOP,
            EventBridgeDestination(),
            buses(added="orders", removed="audit"),
            schedule=OFTEN,
        ),
        sync("welcome", WAREHOUSE, LambdaDestination(function="welcome:live"), schedule=DAILY),
        sync("manual-prices", LAKE, EventBridgeDestination(region="eu-west-1"), buses(changed="prices")),
        sync(
            "partner-orders",
            SHOP,
            EventBridgeDestination(account=Account(role_arn=PARTNER, external_id="rowcast")),
            buses(added="orders"),
        ),
        sync(
            "keyed",
            WAREHOUSE,
            LambdaDestination(function="keyed", account=Account(access_key_secret=SecretRef(name="rowcast/keys"))),
        ),
    )
    return Project(
        root=Path("/project"),
        name="project",
        sources={source.name: source for source in (SHOP, LAKE, WAREHOUSE)},
        syncs={one.name: one for one in syncs},
        alerts={one.name: one for one in CHANNELS},
        alarms=tuple(one.name for one in CHANNELS),
        functions=(),
        folders={},
        secrets=(),
        networks={"warehouse": Network(("subnet-0123456789abcdef0",), ("sg-0123456789abcdef0",), ENDPOINTS)},
    )


def sync(
    name: str,
    source: Source,
    destination: Destination,
    triggers: Triggers | None = None,
    *,
    schedule: Schedule | None = None,
) -> Sync:
    definition = Definition(
        sync=name,
        source=source,
        query="SELECT * FROM orders",
        primary_key=("order_id",),
        destination=destination,
        triggers=triggers if triggers is not None else Triggers(added=Trigger(), changed=Trigger(columns=("email",))),
    )
    return Sync(name=name, file=f"syncs/{name}.yaml", definition=definition, schedule=schedule or Schedule(), alerts=())


def buses(**by_operation: str) -> Triggers:
    return Triggers(
        **{
            operation: Trigger(bus=bus, source="com.shop.orders", detail_type=f"Order {operation}")
            for operation, bus in by_operation.items()
        }
    )
