"""The only place that ties ports to adapters. Everything is built when it is first used, and kept for the process."""

from __future__ import annotations

import os
import random
import resource
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from rowcast import clienterror
from rowcast.definition import Alerts, Definition, FilesSource, SecretRef
from rowcast.errors import RowcastError, Throttled
from rowcast.metrics import Metric, of_calls
from rowcast.models import Deployment, FirstSend, Run
from rowcast.ports import CallRecord, CallStore, Destination, Pace, Render, RetryQueue, Source

if TYPE_CHECKING:
    from rowcast.alert import Alerting
    from rowcast.alerting import Book
    from rowcast.stores.calls import S3Calls
    from rowcast.stores.changes import DynamoChanges
    from rowcast.stores.clock import SystemClock
    from rowcast.stores.debts import DynamoDebts
    from rowcast.stores.definitions import AwsDefinitions
    from rowcast.stores.executions import StepFunctionsExecutions
    from rowcast.stores.objects import Objects
    from rowcast.stores.secrets import AwsSecrets
    from rowcast.stores.snapshots import S3Snapshots
    from rowcast.stores.state import DynamoState

T = TypeVar("T")
ENGINE_SHARE = 0.6
"""Of a function's memory, what the engine may take; the rest is Python's and the drivers'."""


class UnexpectedError(RowcastError):
    """A defect. Names the kind and the place, since an unknown error's own text may hold row values (I11)."""


class LambdaBudget:
    """The time that Lambda leaves this invocation."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def seconds_left(self) -> float:
        return float(self._context.get_remaining_time_in_millis()) / 1000


class Services:
    """The adapters of one deployment, as its environment names them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def client(self, service: str) -> Any:
        import boto3

        from rowcast.stores import aws

        return boto3.client(service, config=aws.control_config())  # type: ignore[call-overload]

    @cached_property
    def clock(self) -> SystemClock:
        from rowcast.stores.clock import SystemClock

        return SystemClock()

    @cached_property
    def objects(self) -> Objects:
        from rowcast.stores.objects import Objects

        return Objects(client=self.client("s3"), bucket=self._environment["ROWCAST_BUCKET"])

    @cached_property
    def snapshots(self) -> S3Snapshots:
        from rowcast.stores.snapshots import S3Snapshots

        return S3Snapshots(objects=self.objects)

    @cached_property
    def definitions(self) -> AwsDefinitions:
        from rowcast.stores.definitions import AwsDefinitions

        prefix = self._environment["ROWCAST_PARAMETER_PREFIX"]
        return AwsDefinitions(ssm=self.client("ssm"), objects=self.objects, prefix=prefix)

    @cached_property
    def dynamodb(self) -> Any:
        return self.client("dynamodb")

    @cached_property
    def states(self) -> DynamoState:
        from rowcast.stores.state import DynamoState

        return DynamoState(client=self.dynamodb, table=self._environment["ROWCAST_STATE_TABLE"])

    @cached_property
    def changes(self) -> DynamoChanges:
        from rowcast.stores.bodies import Bodies
        from rowcast.stores.changes import DynamoChanges

        table = self._environment["ROWCAST_CHANGES_TABLE"]
        return DynamoChanges(client=self.dynamodb, table=table, bodies=Bodies(objects=self.objects))

    @cached_property
    def debts(self) -> DynamoDebts:
        from rowcast.stores.bodies import Bodies
        from rowcast.stores.debts import DynamoDebts

        return DynamoDebts(
            client=self.dynamodb,
            table=self._environment["ROWCAST_DEBTS_TABLE"],
            state_table=self._environment["ROWCAST_STATE_TABLE"],
            bodies=Bodies(objects=self.objects),
        )

    @cached_property
    def calls(self) -> S3Calls:
        from rowcast.stores.calls import S3Calls

        return S3Calls(objects=self.objects)

    @cached_property
    def executions(self) -> StepFunctionsExecutions:
        from rowcast.stores.executions import StepFunctionsExecutions

        return StepFunctionsExecutions(client=self.client("stepfunctions"))

    @cached_property
    def secrets(self) -> AwsSecrets:
        from rowcast.stores.secrets import AwsSecrets

        return AwsSecrets(secretsmanager=self.client("secretsmanager"), ssm=self.client("ssm"))

    @cached_property
    def sqs(self) -> Any:
        return self.client("sqs")

    def queue(self, deployment: Deployment) -> RetryQueue:
        from rowcast.stores.retry_queue import SqsRetryQueue

        return SqsRetryQueue(
            client=self.sqs,
            queue_url=deployment.retry_queue_url,
            quarantine_url=self._environment.get("ROWCAST_QUARANTINE_URL", ""),
        )

    def source(self, definition: Definition, scratch: Path) -> Source:
        source = definition.source
        if isinstance(source, FilesSource):
            from rowcast.sources.files import S3FilesSource

            bucket = source.bucket or self._environment["ROWCAST_BUCKET"]
            owner = "" if source.bucket else source.name
            client = self.client("s3")
            return S3FilesSource(client=client, bucket=bucket, prefix=source.prefix, scratch=scratch, owner=owner)
        from rowcast.sources.postgres import PostgresQuerySource

        password = self.secrets.resolve(source.password) if source.password else None
        return PostgresQuerySource(
            source, password, tell=lambda text: _logger().info(text, extra={"sync": definition.sync})
        )

    def destination(self, definition: Definition, deployment: Deployment) -> Destination:
        from rowcast.destinations import destination
        from rowcast.message import compile_address
        from rowcast.replay import addressed_as_first_sent
        from rowcast.stores.oversize import S3Oversize

        return destination(
            definition,
            deployment,
            secrets=_secrets_of,
            address=lambda triggers: addressed_as_first_sent(
                compile_address(triggers), lambda first: compile_address(self._first(definition, first).triggers)
            ),
            oversize=S3Oversize(definition=definition, objects=self.objects),
        )

    def pace(self, definition: Definition) -> Pace:
        from rowcast.stores.pace import pace

        return pace(definition, client=self.dynamodb, table=self._environment["ROWCAST_STATE_TABLE"], clock=self.clock)

    def render(self, definition: Definition, run: Run) -> Render:
        from rowcast.message import RunInfo, compile_message
        from rowcast.replay import as_first_sent

        return as_first_sent(
            compile_message(definition, RunInfo(id=run.run, started_at=run.started_at)),
            lambda first: compile_message(
                self._first(definition, first), RunInfo(id=first.run, started_at=first.started_at)
            ),
        )

    def _first(self, definition: Definition, first: FirstSend) -> Definition:
        """The definition by which a change that is sent again was sent first."""
        return self.definitions.pinned(definition.sync, first.definition)

    @cached_property
    def alerting(self) -> Alerting:
        from rowcast.alert import Alerting
        from rowcast.stores.alerts import DynamoAlerts, EventBridgeAnnouncer

        bus = self._environment.get("ROWCAST_EVENT_BUS", "default")
        return Alerting(
            alerts=DynamoAlerts(client=self.dynamodb, table=self._environment["ROWCAST_STATE_TABLE"]),
            announcer=EventBridgeAnnouncer(client=self.client("events"), bus=bus, deployment=self.deployment),
            clock=self.clock,
            deployment=self.deployment,
        )

    @property
    def deployment(self) -> str:
        """The deployment's name, which its parameters' prefix holds."""
        return self._environment["ROWCAST_PARAMETER_PREFIX"].split("/")[1]

    @property
    def engine_mb(self) -> int:
        return int(int(self._environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "2048")) * ENGINE_SHARE)


def _secrets_of(session: Any) -> Callable[[SecretRef], dict[str, str]]:
    """Secrets as this session's role may read them, in its region."""
    from rowcast.stores import aws
    from rowcast.stores.secrets import AwsSecrets

    clients = {name: session.client(name, config=aws.control_config()) for name in ("secretsmanager", "ssm")}
    return AwsSecrets(**clients).fields


class Step:
    """One invocation of a step: the services, its own claim on what it works at, and its time."""

    def __init__(self, services: Services, context: Any) -> None:
        self.services = services
        self.claim = uuid.uuid4().hex[:12]
        self.budget = LambdaBudget(context)
        self.jitter = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self.measured: list[Metric] = []

    def measure(self, metrics: Iterable[Metric]) -> None:
        """Metrics are written when the step has done its work, those of one name as one."""
        self.measured += metrics

    def alert(self, summary: dict[str, Any], *, committed: bool = False) -> None:
        """Tells people what the run's end changed. No run fails for want of an alert: the next look tells it.

        `committed`: the outcomes of its changes are all there.
        """
        from rowcast.alert import alert_run
        from rowcast.alerting import first_reasons

        def tell() -> None:
            run = self.services.states.run(summary["sync"], summary["run"])
            begun = run if run is not None and run.definition else None
            pinned = self.services.definitions.pinned(begun.sync, begun.definition) if begun is not None else None
            rules = pinned.alerts if pinned is not None else Alerts()
            wanted = rules.reasons and committed and summary["rejected"] + summary["in_doubt"] > 0
            states = self.services.changes.states(summary["sync"], summary["run"]) if wanted else ()
            alert_run(rules, summary, self.services.alerting, first_reasons(states))

        self._attempt(summary["sync"], tell)

    def watch(self, sync: str) -> Book | None:
        """What is known of one sync's alerts; None when the look failed, on which another sync's does not depend."""
        from rowcast.alert import alert_time

        def look() -> Book:
            definitions = self.services.definitions
            rules = definitions.deployed_definition(definitions.deployment(sync)).alerts
            return alert_time(rules, sync, self.services.alerting)

        return self._attempt(sync, look)

    def _attempt(self, sync: str, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except Exception as error:
            _logger().error(f"No alert could be judged: {_place(error)}", extra={"sync": sync})
            return None

    @property
    def calls(self) -> CallStore:
        """The store of call records, which measures what is put into it."""
        return _MeasuredCalls(self)


class _MeasuredCalls:
    def __init__(self, step: Step) -> None:
        self._step = step

    def put(self, sync: str, run: str, chunk: str, claim: str, records: Sequence[CallRecord]) -> None:
        self._step.services.calls.put(sync, run, chunk, claim, records)
        self._step.measure(of_calls(records))

    def calls(self, sync: str, run: str) -> Iterator[CallRecord]:
        return self._step.services.calls.calls(sync, run)


Handler = Callable[[dict[str, Any], Any], Any]


def step(work: Callable[[dict[str, Any], Step], Any]) -> Handler:
    """Makes a step's work a Lambda handler: the answer is plain JSON, and an error's text is safe to keep.

    Logs one line for each invocation: what it worked at, how long, with how much memory.
    """

    @wraps(work)
    def handler(event: dict[str, Any], context: Any) -> Any:
        ids: dict[str, Any] = {name: event[name] for name in ("sync", "run", "partition", "chunks") if name in event}
        log = _logger()
        started = time.monotonic()
        try:
            this = Step(services(), context)
            answer = msgspec.to_builtins(work(event, this))
        except RowcastError as error:
            log.error(str(error), extra={**ids, "error": type(error).__name__})
            raise error from None  # what caused it may hold row values
        except Exception as error:
            place = _place(error)
            log.error(place, extra={**ids, "error": type(error).__name__})
            if _aws_code(error) in clienterror.THROTTLED:
                raise Throttled(f"AWS takes calls no faster at {place}.") from None
            raise UnexpectedError(f"Unexpected {type(error).__name__} at {place}.") from None
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        seconds = round(time.monotonic() - started, 3)
        log.info(work.__module__.rpartition(".")[2], extra={**ids, "seconds": seconds, "peak_mb": peak_mb})
        if this.measured:
            write_metrics(this.services.deployment, event.get("sync"), this.measured)
        return answer

    return handler


@cache
def _logger() -> Any:
    from aws_lambda_powertools import Logger

    # Powertools would also heed a bare LOG_LEVEL, which may be meant for another program.
    return Logger(service="rowcast", level=os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))


def write_metrics(deployment: str, sync: str | None, metrics: Sequence[Metric]) -> None:
    """As one line of CloudWatch's embedded metric format; Powertools' `service` is the deployment. Without a sync they
    are the deployment's."""
    from aws_lambda_powertools.metrics import EphemeralMetrics

    line = EphemeralMetrics(namespace="Rowcast", service=deployment)
    if sync is not None:
        line.add_dimension("sync", sync)
    for metric in metrics:
        line.add_metric(metric.name, metric.unit, metric.value)
    line.flush_metrics()


@cache
def services() -> Services:
    """The services of this process, as its own environment names them."""
    return Services(os.environ)


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder of this invocation alone: warm and neighbouring invocations share /tmp. It lies in one of this process,
    where an engine may be kept for the next."""
    home = Path(_home().name)
    home.mkdir(mode=0o700, exist_ok=True)  # who tidies /tmp may have removed it
    return tempfile.TemporaryDirectory(dir=home, ignore_cleanup_errors=True)


@cache
def _home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="rowcast-", ignore_cleanup_errors=True)


def _place(error: Exception) -> str:
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    code = _aws_code(error)  # it and the operation name no row
    told = f" ({getattr(error, 'operation_name', '')}: {code})" if code is not None else ""
    return " < ".join(reversed(frames[-4:])) + told


def _aws_code(error: Exception) -> str | None:
    """None where it is no answer of AWS."""
    response = getattr(error, "response", None)
    return response.get("Error", {}).get("Code", "") if isinstance(response, dict) else None
