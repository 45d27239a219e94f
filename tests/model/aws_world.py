"""The real handlers with the real adapters on moto, behind the limits of AWS, in one process and on one clock.

The state machine is driven as `infra/sync.asl.json` says: an invocation that dies is made again twice, what it raises
is caught, and an execution that is gone leaves its lock behind.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from botocore.exceptions import ReadTimeoutError

from rowcast import definition as definitions
from rowcast import destinations, wiring
from rowcast.definition import Definition, LambdaDestination, Message
from rowcast.destinations.sdk import SdkWire
from rowcast.errors import RowcastError
from rowcast.models import Debt, Deployment, Mode, Request, Row, from_json, to_json
from rowcast.stores.clock import SystemClock
from tests.aws_limits import enforce
from tests.fakes import FakeClock
from tests.model.inline import inline
from tests.model.noting import NotingSource
from tests.model.oracle import Arrival, Oracle, carry
from tests.model.short_way import shorten
from tests.world import sync_definition

REGION = "eu-west-1"
ACCOUNT = "123456789012"
BUCKET = "rowcast-bucket"
ENVIRONMENT = {
    "ROWCAST_BUCKET": BUCKET,
    "ROWCAST_PARAMETER_PREFIX": "/stack/syncs/",
    "ROWCAST_STATE_TABLE": "state",
    "ROWCAST_CHANGES_TABLE": "changes",
    "ROWCAST_DEBTS_TABLE": "debts",
}
MESSAGE = Message(template='{"row": {{ row | to_json }}, "previous": {{ previous | to_json }}}')
SECONDS = 900.0
TRIES = 3
Answer = Callable[[Any, int], str]


class Died(BaseException):
    """The worker is gone: no `except Exception` hides it."""


class Gone(BaseException):
    """The whole execution is gone, and nobody noted why."""


class Caught(Exception):
    """What the state machine catches from a state."""


def taken(key: Any, attempt: int) -> str:
    """A target that takes everything. Others answer "rejected", "throttled", "lost" (taken, reply lost), "unsent"."""
    return "accepted"


class AwsWorld:
    """One sync. `hook(side, name)` is called before each AWS call of a handler leaves and after its effect. `short`:
    the calls of DynamoDB take the short way, past HTTP."""

    def __init__(self, definition: Definition | None = None, *, short: bool = False) -> None:
        self._short = short
        self.clock = FakeClock()
        self.source = NotingSource(on_query=self._read)
        self.answer: Answer = taken
        self.hook: Callable[[str, str], None] = lambda side, name: None
        self.on_invoke: Callable[[str, dict[str, Any]], None] = lambda handler, event: None
        self.handler = self.reading = ""
        self.dead = False
        self.gone_with_worker = False
        self.invocations = 0
        self.starts = 0
        self.deaths = 0
        self.sends: Counter[str] = Counter()
        self.arrivals: list[Arrival] = []
        self.running: set[str] = set()
        self.snapshots: dict[str, list[Row]] = {}
        self.clients: dict[str, Any] = {}
        self.watched: dict[str, Any] = {}
        self._quiet = False
        self._make()
        self.services: wiring.Services = Services(self)
        self.deploy(definition or sync_definition(message=MESSAGE))
        self.oracle = Oracle(self.source)

    # --- AWS ---

    def client(self, service: str) -> Any:
        if service not in self.clients:
            import boto3

            from rowcast.stores import aws

            self.clients[service] = enforce(boto3.client(service, config=aws.control_config(), region_name=REGION))
        return self.clients[service]

    def watch(self, client: Any) -> None:
        """Puts the hooks around each call of a client, and stands in for what moto can't do."""
        service = client.meta.service_model.service_name
        events = client.meta.events
        self.watched[service] = client
        events.register_first("before-call.*.*", self._before)
        events.register_last("after-call.*.*", self._after)
        if service == "dynamodb" and self._short:
            shorten(client, ACCOUNT)
        if service == "events":
            enforce(client)
            events.register_first("provide-client-params.eventbridge.PutEvents", self._hush)
            events.register_last("before-call.eventbridge.PutEvents", self._put_events)
        if service == "lambda":
            enforce(client)
            events.register_last("before-call.lambda.Invoke", self._invoke)
            events.register_last("before-call.lambda.GetFunctionConfiguration", lambda **_: _ok({}))
        if service == "stepfunctions":
            events.register_last("before-call.sfn.DescribeExecution", self._describe_execution)

    def _hush(self, **_: Any) -> None:
        """Until the call itself: the limits look up buses with the same client."""
        self._quiet = True

    def _before(self, model: Any, **_: Any) -> None:
        if model.name == "PutEvents":
            self._quiet = False
        if self.handler and not self._quiet:
            self.hook("before", model.name)

    def _after(self, model: Any, **_: Any) -> None:
        if self.handler and not self._quiet:
            self.hook("after", model.name)

    def _describe_execution(self, params: Any, **_: Any) -> Any:
        arn = json.loads(params["body"])["executionArn"]
        return _ok({"status": "RUNNING" if arn in self.running else "ABORTED"})

    def _put_events(self, params: Any, **_: Any) -> Any:
        entries = json.loads(params["body"])["Entries"]
        names = [dict(text.removeprefix("rowcast:").split("/", 1) for text in entry["Resources"]) for entry in entries]
        bodies = [entry["Detail"].encode() for entry in entries]
        verdicts = self._arrive([(n["change"], n["operation"], n["run"]) for n in names], bodies)
        answers = [{"EventId": "1"} if v == "accepted" else {"ErrorCode": _CODES[v]} for v in verdicts]
        return _ok({"Entries": answers, "FailedEntryCount": sum("ErrorCode" in answer for answer in answers)})

    def _invoke(self, params: Any, **_: Any) -> Any:
        payload = json.loads(params["body"])
        metadata = payload["metadata"]
        bodies = [json.dumps(row).encode() for row in payload["rows"]]
        named = [(change, metadata["operation"], metadata["run"]) for change in metadata["change_ids"]]
        verdicts = self._arrive(named, bodies)
        errors = [
            {"primary_key_value": key, "reason": "Not today"}
            for key, verdict in zip(metadata["primary_key_values"], verdicts, strict=True)
            if verdict != "accepted"
        ]
        return _ok({"StatusCode": 200, "Payload": io.BytesIO(json.dumps({"errors": errors}).encode())})

    def _arrive(self, named: Sequence[tuple[str, str, str]], bodies: Sequence[bytes]) -> list[str]:
        """Notes what came and answers what is said to each; raises when the reply is lost, after the effect."""
        details = [from_json(body) for body in bodies]
        keys = [(detail["row"] or detail["previous"])["id"] for detail in details]
        self.sends.update(change for change, _, _ in named)
        verdicts = [self.answer(key, self.sends[change]) for key, (change, _, _) in zip(keys, named, strict=True)]
        lost = "lost" in verdicts
        for key, detail, body, verdict, (change, operation, run) in zip(
            keys, details, bodies, verdicts, named, strict=True
        ):
            self.arrivals.append(
                Arrival(
                    key=key,
                    id=change,
                    row=None if operation == "removed" else detail["row"],
                    previous=detail["previous"],
                    body=body,
                    run=run,
                    replay=self.reading if run != self.reading else "",
                    took_effect=verdict in ("accepted", "lost"),
                    said=verdict == "accepted" and not lost,
                )
            )
        if lost:
            raise ReadTimeoutError(endpoint_url="https://aws")
        return verdicts

    def _make(self) -> None:
        s3, dynamodb, sqs = self.client("s3"), self.client("dynamodb"), self.client("sqs")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        for table in ("state", "changes", "debts"):
            dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
                BillingMode="PAY_PER_REQUEST",
            )
        self.queue_url = sqs.create_queue(QueueName="retry")["QueueUrl"]
        self.quarantine_url = sqs.create_queue(QueueName="quarantine")["QueueUrl"]
        self.client("events").create_event_bus(Name="bus")
        for service in ("ssm", "secretsmanager", "stepfunctions"):
            self.client(service)

    def deploy(self, definition: Definition) -> None:
        self.definition = definition
        data = definitions.encode(definition)
        key = f"assets/{hashlib.sha256(data).hexdigest()}.json"
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=data)
        function = "invoke" if isinstance(definition.destination, LambdaDestination) else "publish"
        deployment = Deployment(
            definition_bucket=BUCKET,
            definition_key=key,
            delivery_role_arn=f"arn:aws:iam::{ACCOUNT}:role/delivery",
            retry_queue_url=self.queue_url,
            snapshot_function="snapshot",
            fan_out_function=function,
        )
        value = msgspec.json.encode(deployment).decode()
        name = f"/stack/syncs/{definition.sync}"
        self.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)

    def digest(self) -> bytes:
        """Of everything outside the workers' memory that what happens next depends on."""
        from moto.dynamodb.models import dynamodb_backends
        from moto.s3.models import s3_backends
        from moto.sqs.models import sqs_backends

        tables = dynamodb_backends[ACCOUNT][REGION].tables
        items = [
            (name, repr([(k, v.type, v.value) for k, v in sorted(item.attrs.items())]))
            for name, table in sorted(tables.items())
            for ranges in table.items.values()
            for item in ranges.values()
        ]
        keys = [(key.name, key.etag) for key in s3_backends[ACCOUNT]["aws"].buckets[BUCKET].keys.values()]
        queues = [
            (name, [message.body for message in queue._messages], len(queue.messages))
            for name, queue in sqs_backends[ACCOUNT][REGION].queues.items()
        ]
        said = (sorted(items), sorted(keys), queues, len(self.arrivals), self.clock.time)
        return hashlib.sha256(repr(said).encode()).digest()

    # --- the state machine ---

    def ask(self, mode: Mode, **asked: Any) -> dict[str, Any]:
        """Writes a person's request down; answers what the execution's input says of it."""
        request = Request(sync=self.definition.sync, mode=mode, by="ann", at=self.clock.now(), **asked)
        key = f"requests/{self.definition.sync}/{self.starts}-{mode}.json"
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=to_json(request))
        return {"mode": mode, "request": key}

    def owed(self) -> dict[Any, Debt]:
        """Debts by the first key value."""
        debts = Services(self).debts.debts(self.definition.sync, "0" * 32, "f" * 32)
        return {debt.key[0]: debt for debt in debts}

    def run(self, scheduled_at: str | None = None, **steer: Any) -> dict[str, Any]:
        """One execution, to its end or its disappearance; the oracle looks at what it left. `steer`: what more its
        input holds."""
        scheduled_at = scheduled_at or self.next_time()
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:sync:{self.starts}"
        self.running.add(arn)
        try:
            try:
                summary = self._machine(scheduled_at, arn, steer)
            except Caught as error:
                summary = self._fail(scheduled_at, arn, steer, error)
        except Gone:
            summary = {"status": "gone"}
        finally:
            self.running.discard(arn)
            self.handler = ""
        self.look()
        return summary

    def settle(self) -> None:
        """The target takes everything; one run must bring it to what the source holds."""
        self.answer = taken
        summary = self.run()
        assert summary["status"] == "completed", f"I8: the next start ended {summary}"
        debts = list(self.services.debts.debts(self.definition.sync, "0" * 32, "f" * 32))
        self.oracle.converged(self.services.states.head(self.definition.sync), debts)
        self.oracle.repeats(self.deaths)

    def is_quiet(self) -> None:
        before = len(self.arrivals)
        self.run()
        assert len(self.arrivals) == before, "I10: something was sent though nothing changed"

    def look(self) -> None:
        services = Services(self)
        sync = self.definition.sync
        debts = list(services.debts.debts(sync, "0" * 32, "f" * 32))
        runs = services.states.runs(sync, 1000)
        carry(runs, self.snapshots)
        self.oracle.look(services.states.head(sync), runs, debts, self.arrivals, self.snapshots, self.definition)

    def _read(self) -> None:
        self.snapshots.setdefault(self.reading, [dict(row) for row in self.source.rows])

    def next_time(self) -> str:
        self.starts += 1
        self.clock.time += 3600
        return datetime.fromtimestamp(self.clock.time, UTC).isoformat()

    def _machine(self, scheduled_at: str, arn: str, steer: dict[str, Any]) -> dict[str, Any]:
        sync = self.definition.sync
        while True:
            opened = self._state("open", {"sync": sync, "scheduled_at": scheduled_at, "execution": arn, "input": steer})
            if opened["next"] in ("busy", "duplicate", "ended"):
                return dict(opened["summary"])
            self.reading = opened["run"]
            event = {"sync": sync, "run": opened["run"], "token": opened["token"]}
            step, work = opened["next"], opened["work_key"]
            if step == "snapshot":
                taken = self._state("snapshot", event)
                for partition in self._work(taken["work_key"]) if taken["partitions"] else []:
                    self._state("diff", {**event, "partition": partition})
                sealed = self._state("seal", event)
                if sealed["next"] in ("held", "planned"):
                    return dict(sealed["summary"])
                step, work = sealed["next"], sealed["work_key"]
            for chunks in self._work(work) if step == "fan_out" else []:
                self._send_chunks(opened["fan_out_function"], {**event, "chunks": chunks})
            committed = self._state("commit", event)
            while not committed["done"]:
                committed = self._state("commit", event)
            if not committed["again"]:
                return dict(committed["summary"])
            self.look()

    def _send_chunks(self, function: str, event: dict[str, Any]) -> None:
        try:
            while not self._state(function, event, again=RowcastError)["done"]:
                pass
        except Caught:
            return  # commit books what is not known to be accepted

    def _fail(self, scheduled_at: str, arn: str, steer: dict[str, Any], error: Caught) -> dict[str, Any]:
        event = {
            "sync": self.definition.sync,
            "scheduled_at": scheduled_at,
            "execution": arn,
            "input": steer,
            "error": error.args[0],
        }
        try:
            return dict(self._state("fail", event)["summary"])
        except Caught:
            return {"status": "failed"}

    def _state(self, handler: str, event: dict[str, Any], again: type[Exception] = Died) -> Any:  # type: ignore[assignment]
        for attempt in range(1, TRIES + 1):
            try:
                return self.invoke(handler, event)
            except Died:
                if self.gone_with_worker:
                    raise Gone from None
                self.clock.time += 2.0 * attempt
            except RowcastError as error:
                if attempt == TRIES or not isinstance(error, again):
                    cause = json.dumps({"errorMessage": str(error)})
                    raise Caught({"Error": type(error).__name__, "Cause": cause}) from None
        raise Caught({"Error": "Runtime.ExitError", "Cause": ""})

    def invoke(self, handler: str, event: dict[str, Any]) -> Any:
        """One invocation, in a new worker: nothing but credentials is warm. `on_invoke` comes before each."""
        self.on_invoke(handler, event)
        self.handler, self.dead, self._quiet = handler, False, False
        self.invocations += 1
        self.services = Services(self)
        deadline = self.clock.time + SECONDS
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: (deadline - self.clock.time) * 1000)
        try:
            return importlib.import_module(f"handlers.{handler}").handler(event, context)
        finally:
            self.handler = ""

    def _work(self, key: str) -> list[Any]:
        return list(from_json(self.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()))


class Services(wiring.Services):
    """The deployment's wiring, but for its clients, which are kept, its clock and its source."""

    def __init__(self, world: AwsWorld) -> None:
        super().__init__({**ENVIRONMENT, "ROWCAST_QUARANTINE_URL": world.quarantine_url})
        self._world = world
        self.__dict__["clock"] = world.clock

    def client(self, service: str) -> Any:
        return self._world.client(service)

    def source(self, definition: Definition, scratch: Path) -> Any:
        return self._world.source


@contextmanager
def aws_world(definition: Definition | None = None, *, short: bool = False) -> Iterator[AwsWorld]:
    """A world in moto, with all clocks its own and no log lines."""
    import botocore.session
    from moto import mock_aws

    create = botocore.session.Session.create_client
    saved = wiring.services, wiring._logger, SystemClock.now, SystemClock.sleep
    connect = destinations.connect
    region = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = REGION
    found: list[AwsWorld] = []
    waiting: list[Any] = []

    def create_client(session: Any, *arguments: Any, **named: Any) -> Any:
        client = create(session, *arguments, **named)
        (found[0].watch if found else waiting.append)(client)
        return client

    def connected(client: Any, session: Any, operation: Any) -> SdkWire:
        """A service that sends has two clients: the one that looks is not the one whose calls tests make fail."""
        found[0].watched[client.meta.service_model.service_name] = client
        return SdkWire(client, operation)

    with mock_aws(), inline(), Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        destinations.connect = connected
        botocore.session.Session.create_client = create_client
        try:
            destinations._sending.cache_clear()
            world = AwsWorld.__new__(AwsWorld)
            found.append(world)
            world.__init__(definition, short=short)  # type: ignore[misc]
            wiring.services = lambda: world.services  # type: ignore[assignment]
            wiring._logger = lambda: SimpleNamespace(info=_silent, error=_silent)  # type: ignore[assignment]
            SystemClock.now = lambda self: world.clock.now()  # type: ignore[method-assign]
            SystemClock.sleep = lambda self, seconds: world.clock.sleep(seconds)  # type: ignore[method-assign]
            yield world
        finally:
            botocore.session.Session.create_client = create
            wiring.services, wiring._logger = saved[:2]  # type: ignore[assignment]
            SystemClock.now, SystemClock.sleep = saved[2:]  # type: ignore[method-assign]
            destinations._sending.cache_clear()
            destinations.connect = connect
            del os.environ["AWS_DEFAULT_REGION"]
            if region is not None:
                os.environ["AWS_DEFAULT_REGION"] = region


_CODES = {
    "rejected": "SomethingElse",
    "throttled": "ThrottlingException",
    "refused": "InvalidArgument",
    "unusable": "AccessDeniedException",
}


def _silent(*arguments: Any, **named: Any) -> None:
    pass


def _ok(reply: dict[str, Any]) -> Any:
    return SimpleNamespace(status_code=200), {"ResponseMetadata": {"HTTPStatusCode": 200}, **reply}
