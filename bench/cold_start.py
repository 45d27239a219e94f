"""What a function loads before its first work: import times, and the sizes of the layers that it carries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.case import Case, Goal, Side, Size, Topic
from bench.side import timed

ROOT = Path(__file__).resolve().parents[1]
HANDLERS = ("open", "snapshot", "diff", "seal", "publish", "invoke", "commit", "fail", "watch")
HEAVY = (
    *("duckdb", "numpy", "adbc_driver_manager", "adbc_driver_postgresql", "pyarrow", "pandas", "polars"),
    *("liquid", "babel", "jsonschema", "pydantic", "aiohttp", "cryptography"),
    *("aws_lambda_powertools", "aws_xray_sdk", "opentelemetry", "rich", "click", "yaml", "sqlglot", "aws_cdk"),
)
"""Libraries that cost tens of milliseconds, or that belong to the workbench."""
GOAL = Goal(at_most=1.27)
"""400 ms where boto3 takes 315."""
ENVIRONMENT = {
    "ROWCAST_BUCKET": "bucket",
    "ROWCAST_STATE_TABLE": "state",
    "ROWCAST_CHANGES_TABLE": "changes",
    "ROWCAST_DEBTS_TABLE": "debts",
    "ROWCAST_PARAMETER_PREFIX": "/shop/syncs/",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}

TOPIC = Topic(
    title="Cold start",
    about="""What a handler imports, over a bare Python that has imported boto3: its module, and all that its first
event loads besides (the logger, and the adapters and libraries that it uses: DuckDB, the driver, Liquid). Clients of
boto3 are not counted: they load their service's model whoever makes them. Sizes are unzipped, for arm64.""",
)


def cases(size: Size) -> list[Case]:
    if size == "full":
        return []
    sides = [Side(name="boto3 alone", call="bench.cold_start:boto3_alone", role="limit")]
    sides += [
        Side(name=handler, call="bench.cold_start:first_use", role="ours", goal=GOAL, arguments={"handler": handler})
        for handler in HANDLERS
    ]
    tables = (("slowest", "Where imports spend their time"), ("sizes", "Layers, unzipped, for arm64"))
    return [
        Case(
            name="import",
            title="Import of each handler and of what it uses, beyond boto3's own, ÷ boto3's",
            sides=tuple(sides),
            reference="boto3 alone",
            rounds=7,
        ),
        *(
            Case(
                name=name,
                title=title,
                sides=(Side(name=name, call=f"bench.cold_start:{name}", role="ours"),),
                reference=name,
                rounds=1,
            )
            for name, title in tables
        ),
    ]


def boto3_alone(**_: Any) -> None:
    with timed():
        import boto3  # noqa: F401


def first_use(handler: str, **_: Any) -> dict[str, Any]:
    import boto3  # noqa: F401

    with timed():
        load(handler)
    return {}


def load(handler: str) -> None:
    """Imports the handler, and what its first event makes it import: it builds each adapter that its code names."""
    import importlib
    import inspect
    import re
    import tempfile
    from types import SimpleNamespace
    from unittest.mock import patch

    os.environ.update(ENVIRONMENT)
    module = importlib.import_module(f"handlers.{'publish' if handler == 'invoke' else handler}")
    from rowcast import wiring

    code = inspect.getsource(module)
    with (
        patch("boto3.client", lambda *_, **__: SimpleNamespace()),
        patch("boto3.session.Session.client", lambda *_, **__: SimpleNamespace()),
        tempfile.TemporaryDirectory() as folder,
    ):
        wiring._logger()
        services = wiring.services()
        for name in sorted(set(re.findall(r"services\.(\w+)", code))):
            _use(services, name, Path(folder))
        if "step.alert(" in code or "step.watch(" in code:
            _use(services, "alerting", Path(folder))
        if "step.measure(" in code or "step.calls" in code:
            from rowcast.metrics import Metric

            wiring.write_metrics("shop", "orders", [Metric("Rows", "Count", 1)])


def _use(services: Any, name: str, folder: Path) -> None:
    """Has the services make the adapter, with a sync on PostgreSQL that renders a template."""
    from rowcast.definition import Definition, EventBridgeDestination, Message, PostgresSource, Trigger, Triggers
    from rowcast.errors import SourceFailed
    from rowcast.models import Deployment, Run

    if name in ("source", "engine_mb"):
        from rowcast.engine import engine
    sync = Definition(
        sync="orders",
        source=PostgresSource(name="shop", host="127.0.0.1", port=1, database="d", user="u", tls="off"),
        query="SELECT 1 AS id",
        primary_key=("id",),
        destination=EventBridgeDestination(),
        triggers=Triggers(added=Trigger(bus="orders", source="shop", detail_type="Added")),
        message=Message(template='{"id": {{ row.id }}}'),
    )
    deployment = Deployment(
        definition_bucket="bucket",
        definition_key="key",
        delivery_role_arn="",
        retry_queue_url="",
        snapshot_function="snapshot",
        fan_out_function="publish",
    )
    if name == "engine_mb":
        with engine(folder, 64):
            pass
    elif name == "source":
        source = services.source(sync, folder)
        try:
            with engine(folder, 64) as connection, source.query(sync.query, connection):
                pass
        except SourceFailed:
            pass  # nobody listens there, but the driver is loaded
    elif name == "render":
        services.render(sync, Run(sync="orders", run="r", generation=1, execution="e", definition="d", started_at=0.0))
    elif name == "destination":
        services.destination(sync, deployment)
    elif name == "queue":
        services.queue(deployment)
    elif name == "pace":
        services.pace(sync)
    else:
        getattr(services, name)


def heavy(handler: str, *, used: bool) -> list[str]:
    """The heavy libraries that a fresh Python holds after the handler's import, or after its first use."""
    what = f"bench.cold_start.load({handler!r})" if used else f"import handlers.{handler}"
    code = f"import sys, bench.cold_start; {what}; print(*(m for m in bench.cold_start.HEAVY if m in sys.modules))"
    done = _python("-c", code)
    return done.stdout.splitlines()[-1].split()


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "layers/core/python")])
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )


def slowest(**_: Any) -> dict[str, Any]:
    """By `-X importtime`, the packages in which a handler's imports spend most, in ms of their own code."""
    rows: list[list[Any]] = []
    for handler in HANDLERS:
        done = _python("-X", "importtime", "-c", f"import boto3, bench.cold_start; bench.cold_start.load({handler!r})")
        spent: dict[str, float] = {}
        for line in done.stderr.rpartition("bench.cold_start")[2].splitlines()[1:]:
            took, _cumulative, name = (part.strip() for part in line.removeprefix("import time:").split("|"))
            package = name.partition(".")[0]
            spent[package] = spent.get(package, 0.0) + int(took) / 1000
        most = sorted(spent.items(), key=lambda item: -item[1])[:4]
        rows.append([handler, round(sum(spent.values())), ", ".join(f"{name} {ms:.0f}" for name, ms in most)])
    return {"table": {"columns": ["handler", "ms in all", "most in"], "rows": rows}}


def sizes(**_: Any) -> dict[str, Any]:
    """What each layer takes unzipped, as it is bundled for Lambda."""
    from infra.constructs.layers import bundle, digest_of

    carried = {"core": "every function", "engine": "snapshot, diff", "postgres": "snapshot of a PostgreSQL source"}
    rows: list[list[Any]] = [["code (layers/core/python)", _megabytes(ROOT / "layers/core/python"), "every function"]]
    for folder, by in carried.items():
        lock = ROOT / "layers" / folder / "requirements.txt"
        path = bundle(lock, "lambda", digest_of(lock, "lambda"))
        rows.append([folder, _megabytes(path), by])
    rows.append(["all", round(sum(row[1] for row in rows), 1), "at most 250 are allowed"])
    return {"table": {"columns": ["layer", "MB", "carried by"], "rows": rows}}


def _megabytes(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return round(sum(path.stat().st_size for path in files) / 1e6, 1)
