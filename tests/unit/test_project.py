"""What a user's folder means once it is read."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import project
from project.publish import REFERENCE
from project.schema import files, schemas
from rowcast import definition
from rowcast.definition import SecretRef, Trigger

REPOSITORY = Path(__file__).parents[2]
MAIN = "sources: {shop: {type: files, path: data}}"
SYNC = """
    model: {source: shop, query: SELECT * FROM 'orders.csv', primary_key: order_id}
    destination: {type: lambda, function: welcome}
    triggers: {added: on}
"""

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    def make(main: str = MAIN, **syncs: str) -> Path:
        (tmp_path / "data").mkdir()
        (tmp_path / "syncs").mkdir()
        (tmp_path / "rowcast.yaml").write_text(textwrap.dedent(main), encoding="utf-8")
        for name, text in (syncs or {"orders": SYNC}).items():
            (tmp_path / "syncs" / f"{name}.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        return tmp_path

    return make


def only(root: Path) -> project.Sync:
    (sync,) = project.load(root).syncs.values()
    return sync


def test_the_example_loads() -> None:
    shop = project.load(REPOSITORY / "examples" / "shop")
    assert set(shop.syncs) == {"new-orders", "welcome-customers"}
    assert [(function.name, function.handler) for function in shop.functions] == [("welcome", "handler")]
    assert shop.folders == {"shop": REPOSITORY / "examples" / "shop" / "data"}


DESIGN = """
# rowcast.yaml
sources:
  shop:      {type: files, path: data}              # a folder of the project, or s3://bucket/prefix
  warehouse: {type: postgres, host: db.internal, database: dwh, user: rowcast, password: {secret: rowcast/warehouse}}
alerts:
  data-team: {type: slack, webhook: {secret: rowcast/slack}}
defaults: {retry: {immediate: 3}}
"""
DESIGN_SYNC = """
model:
  source: shop                          # from rowcast.yaml
  query: SELECT * FROM orders           # or query_file: orders.sql
  primary_key: order_id                 # or a list
schedule: {every: 15 minutes}           # or {cron: "0 7 * * ? *", timezone: Europe/Berlin}, or manual
destination:
  type: eventbridge
  region: eu-west-1
  account: {role_arn: arn:aws:iam::111122223333:role/rowcast, external_id: ...}
triggers:                               # only those named are sent; each may have its own bus, source and detail type
  added:   {bus: orders, source: com.shop.orders, detail_type: Order placed}
  changed: {bus: orders, source: com.shop.orders, detail_type: Order updated, columns: [status, total]}
  removed: {bus: audit,  source: com.shop.orders, detail_type: Order deleted}
message:                                # exactly one of the three; none = all columns
  template: |                           # Liquid, must render to JSON
    {"id": {{ row.order_id }}, "customer": {"email": "{{ row.email }}"}}
  # column: payload                     # this column already holds the JSON
  # columns: {customer_email: email}    # output name: column
initial_sync: skip                      # or backfill
retry: {immediate: 3, backoff: 1s}      # then the next run; or {immediate: 0}
limits: {rate: 600 per minute, concurrency: 5}
guard: {max_removed: 15%, max_changed: 50%, allow_empty: false}
alerts: [data-team]
"""


def test_the_designs_eventbridge_sample_means_what_it_says(folder: Folder) -> None:
    sync = only(folder(DESIGN, **{"new-orders": DESIGN_SYNC}))
    events = {"bus": "orders", "source": "com.shop.orders"}
    assert sync.definition == definition.Definition(
        sync="new-orders",
        source=definition.FilesSource(name="shop", prefix="sources/shop/"),
        query="SELECT * FROM orders",
        primary_key=("order_id",),
        destination=definition.EventBridgeDestination(
            region="eu-west-1",
            account=definition.Account(role_arn="arn:aws:iam::111122223333:role/rowcast", external_id="..."),
        ),
        triggers=definition.Triggers(
            added=Trigger(**events, detail_type="Order placed"),
            changed=Trigger(**events, detail_type="Order updated", columns=("status", "total")),
            removed=Trigger(bus="audit", source="com.shop.orders", detail_type="Order deleted"),
        ),
        message=definition.Message(template='{"id": {{ row.order_id }}, "customer": {"email": "{{ row.email }}"}}\n'),
        initial_sync="skip",
        retry=definition.Retry(immediate=3, backoff_seconds=1.0),
        limits=definition.Limits(rate=definition.Rate(count=600, seconds=60), concurrency=5),
        guard=definition.Guard(max_removed=0.15, max_changed=0.5, allow_empty=False),
        alerts=definition.Alerts(channels=("data-team",), late_after=3600),
    )
    assert sync.schedule == project.Schedule("rate(15 minutes)", None)
    assert sync.alerts == ("data-team",)


def test_columns_constants_and_own_messages_mean_what_they_say(folder: Folder) -> None:
    sync = only(
        folder(
            orders="""
            model: {source: shop, query: SELECT 1 AS id, primary_key: id}
            destination: {type: lambda, function: welcome}
            triggers:
              added: {message: {column: payload, oversize: s3}}
              changed: {message: }
              removed: on
            message:
              metadata: true
              columns:
                id: id
                customer.email: {column: mail, when_null: omit}
                kind: {value: {name: order, tags: [1, yes]}}
            """
        )
    )
    assert sync.definition.triggers == definition.Triggers(
        added=Trigger(message=definition.Message(column="payload", oversize="s3")),
        changed=Trigger(message=definition.Message()),
        removed=Trigger(),
    )
    assert sync.definition.message == definition.Message(
        metadata=True,
        columns={
            "id": "id",
            "customer.email": definition.Field(column="mail", when_null="omit"),
            "kind": definition.Field(value={"name": "order", "tags": [1, "yes"]}),
        },
    )


POOLED = """
sources: {shop: {type: files, path: data}}
pools: {crm: {rate: 100 per second}}
defaults: {limits: {%s, concurrency: 4}}
"""


@pytest.mark.parametrize(
    ("default", "own", "limits"),
    [
        ("pool: crm", "{}", {"rate": (100, 1), "pool": "crm"}),
        ("pool: crm", "{rate: 5 per hour}", {"rate": (5, 3600)}),
        ("rate: 5 per hour", "{pool: crm}", {"rate": (100, 1), "pool": "crm"}),
        ("rate: 5 per hour", "{}", {"rate": (5, 3600)}),
    ],
)
def test_a_pool_gives_its_rate_to_the_syncs_that_name_it(
    folder: Folder, default: str, own: str, limits: dict[str, Any]
) -> None:
    sync = only(folder(POOLED % default, orders=SYNC + f"    limits: {own}\n"))
    count, seconds = limits.pop("rate")
    assert sync.definition.limits == definition.Limits(
        rate=definition.Rate(count=count, seconds=seconds), concurrency=4, **limits
    )


def test_the_designs_lambda_sample_means_what_it_says(folder: Folder) -> None:
    arn = "arn:aws:lambda:eu-west-1:111122223333:function:welcome:live"
    destination = f"destination:\n  type: lambda\n  function: {arn}    # qualified or not\n  batch_size: 1\n"
    text = re.sub(r"destination:\n(  .*\n)+", destination, DESIGN_SYNC)
    text = re.sub(r"triggers:.*\n(  .*\n)+", "triggers: {added: , changed: {columns: [total]}, removed: false}\n", text)
    sync = only(folder(DESIGN, welcome=text)).definition
    assert sync.destination == definition.LambdaDestination(function=arn, batch_size=1)
    assert sync.triggers == definition.Triggers(added=Trigger(), changed=Trigger(columns=("total",)))


def test_the_designs_sources_and_alert_channels_mean_what_they_say(folder: Folder) -> None:
    loaded = project.load(folder(DESIGN, **{"new-orders": DESIGN_SYNC}))
    warehouse = SecretRef(name="rowcast/warehouse")
    assert loaded.sources["warehouse"] == definition.PostgresSource(
        name="warehouse", host="db.internal", database="dwh", user="rowcast", password=warehouse
    )
    assert loaded.alerts["data-team"] == project.AlertChannel(
        "data-team", "slack", {"webhook": SecretRef(name="rowcast/slack", key="")}
    )
    assert loaded.secrets == (warehouse, SecretRef(name="rowcast/slack", key=""))
    assert loaded.folders == {"shop": loaded.root / "data"}


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("{secret: a/b, key: token}", SecretRef(name="a/b", key="token")),
        ("{parameter: /a/b}", SecretRef(store="parameter", name="/a/b")),
        ("{env: PGPASSWORD}", SecretRef(name="rowcast/env/PGPASSWORD")),
    ],
)
def test_a_secret_is_referred_to_in_three_ways(folder: Folder, reference: str, meant: SecretRef) -> None:
    main = f"sources: {{shop: {{type: postgres, host: h, database: d, user: u, password: {reference}}}}}"
    assert project.load(folder(main)).secrets == (meant,)


@pytest.mark.parametrize(
    ("reference", "meant"),
    [("rowcast/key", SecretRef(name="rowcast/key")), ("{env: KEY}", SecretRef(name="rowcast/env/KEY"))],
)
def test_an_access_key_is_a_secrets_name_or_a_reference(folder: Folder, reference: str, meant: SecretRef) -> None:
    text = SYNC.replace("function: welcome", f"function: welcome, account: {{access_key_secret: {reference}}}")
    loaded = project.load(folder(orders=text))
    assert loaded.secrets == (meant,)
    assert loaded.syncs["orders"].definition.destination.account == definition.Account(access_key_secret=meant)


def test_postgres_takes_a_port_tls_an_authority_a_timeout_and_readers(folder: Folder) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"
    root = folder(
        "sources: {shop: {type: postgres, host: h, port: 5433, database: d, user: u, tls: off, "
        "tls_ca_file: ca.pem, statement_timeout: 5 minutes, readers: 4}}"
    )
    (root / "ca.pem").write_text(pem)
    assert project.load(root).sources["shop"] == definition.PostgresSource(
        name="shop",
        host="h",
        port=5433,
        database="d",
        user="u",
        tls="off",
        tls_ca=pem,
        statement_timeout_seconds=300,
        readers=4,
    )


def test_a_files_source_may_be_a_prefix_of_a_bucket(folder: Folder) -> None:
    loaded = project.load(folder("sources: {shop: {type: files, path: s3://my-bucket/a/b}}"))
    assert loaded.sources["shop"] == definition.FilesSource(name="shop", bucket="my-bucket", prefix="a/b/")
    assert loaded.folders == {}


@pytest.mark.parametrize(
    ("schedule", "meant"),
    [
        ("{every: 1 hour}", project.Schedule("rate(1 hour)")),
        ("{every: 2 days}", project.Schedule("rate(2 days)")),
        ("{every: 1 minutes}", project.Schedule("rate(1 minute)")),
        ('{cron: "0  7 * * ? *"}', project.Schedule("cron(0 7 * * ? *)", "UTC")),
        (
            '{cron: "0/15 8-18 ? JAN,mar MON-FRI 2026-2030", timezone: Europe/Berlin}',
            project.Schedule("cron(0/15 8-18 ? JAN,mar MON-FRI 2026-2030)", "Europe/Berlin"),
        ),
        ('{cron: "0 7 L * ? *"}', project.Schedule("cron(0 7 L * ? *)", "UTC")),
        ('{cron: "0 7 ? * 6#3 *"}', project.Schedule("cron(0 7 ? * 6#3 *)", "UTC")),
        ('{cron: "*/5 * 3W * ? *"}', project.Schedule("cron(*/5 * 3W * ? *)", "UTC")),
        ("manual", project.Schedule(None, None)),
    ],
)
def test_a_schedule_becomes_what_eventbridge_scheduler_takes(
    folder: Folder, schedule: str, meant: project.Schedule
) -> None:
    assert only(folder(orders=f"{textwrap.dedent(SYNC)}schedule: {schedule}\n")).schedule == meant


def test_a_sync_without_schedule_is_started_by_hand(folder: Folder) -> None:
    assert only(folder()).schedule == project.Schedule(None, None)


def test_defaults_hold_where_a_sync_says_nothing_else(folder: Folder) -> None:
    main = """
        sources: {shop: {type: files, path: data}}
        alerts: {team: {type: email, address: team@example.com}, boss: {type: sms, number: "+4930123456"}}
        defaults:
          retry: {immediate: 5, backoff: 500ms}
          limits: {rate: 10 per second, concurrency: 2}
          guard: {max_removed: 0.5}
          alerts: [team]
          schedule: {every: 1 day}
    """
    own = textwrap.dedent(SYNC) + "retry: {immediate: 0}\nlimits: {concurrency: 7}\nschedule: manual\nalerts: [boss]\n"
    syncs = project.load(folder(main, plain=SYNC, own=own)).syncs
    rate = definition.Rate(count=10, seconds=1)
    assert syncs["plain"].definition.retry == definition.Retry(immediate=5, backoff_seconds=0.5)
    assert syncs["plain"].definition.guard.max_removed == 0.5
    assert syncs["plain"].alerts == ("team",)
    assert syncs["plain"].schedule.expression == "rate(1 day)"
    assert syncs["own"].definition.retry == definition.Retry(immediate=0, backoff_seconds=0.5)
    assert syncs["own"].definition.limits == definition.Limits(rate=rate, concurrency=7)
    assert syncs["own"].alerts == ("boss",)
    assert syncs["own"].schedule.expression is None


@pytest.mark.parametrize("handler", ["handler", "welcome_all"])
def test_a_function_of_the_project_is_named_by_its_file(folder: Folder, handler: str) -> None:
    root = folder(orders=SYNC.replace("function: welcome", f'function: "./targets/greet.py:{handler}"'))
    (root / "targets").mkdir()
    (root / "targets" / "greet.py").write_text(f"def {handler}(event, context): ...\n")
    name = "greet" if handler == "handler" else f"greet-{handler}"
    loaded = project.load(root)
    assert loaded.functions == (project.LocalFunction(name, root / "targets" / "greet.py", handler),)
    assert loaded.syncs["orders"].definition.destination == definition.LambdaDestination(function=name)


@pytest.mark.parametrize("place", ["orders.sql", "syncs/orders.sql"])
def test_a_query_file_lies_in_the_folder_or_beside_the_sync(folder: Folder, place: str) -> None:
    root = folder(orders=SYNC.replace("query: SELECT * FROM 'orders.csv'", "query_file: orders.sql"))
    (root / place).write_text("-- all of them\nSELECT 1 AS order_id;\n")
    assert only(root).definition.query == "-- all of them\nSELECT 1 AS order_id"


def test_words_that_older_yaml_took_for_booleans_and_dates_are_names(folder: Folder) -> None:
    text = """
        model: {source: shop, query: SELECT 1, primary_key: [on, 'y']}
        destination: {type: lambda, function: "yes"}
        triggers: {changed: {columns: [no, off]}, added: yes, removed: off}
        message: {columns: {on: no, 2026-11-20: y, 1: null_}}
    """
    sync = only(folder(orders=text)).definition
    assert sync.primary_key == ("on", "y")
    assert sync.triggers == definition.Triggers(added=Trigger(), changed=Trigger(columns=("no", "off")))
    assert sync.message.columns == {"on": "no", "2026-11-20": "y", "1": "null_"}


def test_anchors_and_merges_are_understood(folder: Folder) -> None:
    event = "{bus: b, source: s, detail_type: t}"
    text = f"""
        model: {{source: shop, query: SELECT 1, primary_key: id}}
        destination: {{type: eventbridge}}
        triggers:
          added: &event {event}
          removed: {{<<: *event, detail_type: gone}}
    """
    removed = only(folder(orders=text)).definition.triggers.removed
    assert removed == Trigger(bus="b", source="s", detail_type="gone")


def test_the_projects_name_is_rowcast_wherever_it_lies(folder: Folder) -> None:
    assert project.load(folder()).name == "Rowcast"


def test_a_project_may_be_named(folder: Folder) -> None:
    assert project.load(folder(f"name: shop-two\n{MAIN}")).name == "shop-two"


def test_the_published_schemas_are_current() -> None:
    for name, content in files().items():
        published = (REFERENCE / name).read_text(encoding="utf-8")
        assert published == content, "run: python -m project.publish"


def test_the_published_schemas_are_schemas_and_accept_the_designs_samples() -> None:
    for name, text in (("rowcast.schema.json", DESIGN), ("sync.schema.json", DESIGN_SYNC)):
        schema = json.loads((REFERENCE / name).read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(yaml.safe_load(text), schema)
    assert set(schemas()) == {"rowcast.schema.json", "sync.schema.json"}


def test_every_field_is_in_the_reference() -> None:
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    fields = {name for schema in schemas().values() for name in _fields(schema)}
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []


def _fields(schema: object) -> set[str]:
    if isinstance(schema, list):
        return {name for item in schema for name in _fields(item)}
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties", {})
    return set(own) | {name for item in schema.values() for name in _fields(item)}


def test_the_names_of_the_syncs_are_known_though_one_of_them_is_wrong(folder: Folder) -> None:
    root = folder(DESIGN, **{"new-orders": DESIGN_SYNC, "bad": "nonsense: true"})
    assert project.sync_names(root) == ["bad", "new-orders"]
    (root / "rowcast.yaml").unlink()
    with pytest.raises(project.ProjectInvalid):
        project.sync_names(root)
