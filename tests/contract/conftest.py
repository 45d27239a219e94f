"""The two sides of each contract: the in-memory fake, and the AWS adapter on moto behind the limits of AWS."""

from __future__ import annotations

import itertools
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rowcast import definition as definitions
from rowcast import in_flight, ports
from rowcast.definition import Definition, EventBridgeDestination, FilesSource, Trigger, Triggers
from rowcast.destinations.wire import Connect
from rowcast.models import Deployment, Notice
from tests import fakes
from tests.aws_limits import enforce
from tests.certificate import certificate

REGION = "eu-west-1"
TABLES = ("state", "changes", "debts")
BUCKET = "rowcast-bucket"


@dataclass
class Stores:
    """All stores of one deployment. `clients`: of AWS, by service; empty for the fakes."""

    snapshots: ports.SnapshotStore
    definitions: ports.DefinitionStore
    state: ports.StateStore
    changes: ports.ChangeStore
    debts: ports.DebtStore
    queue: ports.RetryQueue
    calls: ports.CallStore
    clock: fakes.FakeClock
    clients: dict[str, Any] = field(default_factory=dict)

    def deploy(self, definition: Definition) -> None:
        """What `cdk deploy` does for a sync."""
        if isinstance(self.definitions, fakes.FakeDefinitionStore):
            self.definitions.deploy(definition)
            return
        key = f"assets/{definition.sync}.json"
        bucket = self.snapshots.bucket_name()
        self.clients["s3"].put_object(Bucket=bucket, Key=key, Body=definitions.encode(definition))
        value = msgspec.json.encode(deployment(bucket, key)).decode()
        self.clients["ssm"].put_parameter(Name=f"/stack/syncs/{definition.sync}", Value=value, Type="String")

    def put_foreign_message(self) -> None:
        """A body on the retry queue that is no notice."""
        if isinstance(self.queue, fakes.FakeRetryQueue):
            self.queue.put(None)
        else:
            self.clients["sqs"].send_message(QueueUrl=self.clients["queue_url"], MessageBody='{"hello": 1}')

    def quarantined(self) -> list[Notice | None]:
        if isinstance(self.queue, fakes.FakeRetryQueue):
            return self.queue.quarantined
        reply = self.clients["sqs"].receive_message(QueueUrl=self.clients["quarantine_url"], MaxNumberOfMessages=10)
        return [notice_or_none(message["Body"]) for message in reply.get("Messages", [])]


@pytest.fixture(params=["fake", "aws", pytest.param("emulator", marks=pytest.mark.emulator)])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "emulator":
        yield build_aws_stores(request.getfixturevalue("emulator"))
        return
    with fake_stores() if request.param == "fake" else aws_stores() as made:
        yield made


@pytest.fixture
def aws() -> Iterator[Stores]:
    with aws_stores() as made:
        yield made


@contextmanager
def fake_stores() -> Iterator[Stores]:
    state = fakes.FakeStateStore()
    yield Stores(
        snapshots=fakes.FakeSnapshotStore(),
        definitions=fakes.FakeDefinitionStore(),
        state=state,
        changes=fakes.FakeChangeStore(),
        debts=fakes.FakeDebtStore(state),
        queue=fakes.FakeRetryQueue(),
        calls=fakes.FakeCallStore(),
        clock=fakes.FakeClock(),
    )


@contextmanager
def aws_stores() -> Iterator[Stores]:
    from moto import mock_aws

    with mock_aws():
        yield build_aws_stores()


def build_aws_stores(endpoint: str | None = None) -> Stores:
    """With their tables, bucket and queues made; in moto, or in an account of its own at an emulator's `endpoint`.

    The emulator takes an access key of 12 digits for the account.
    """
    account = f"{next(_accounts):012d}" if endpoint else None
    bucket = f"rowcast-{account}" if account else BUCKET
    from rowcast.stores import aws
    from rowcast.stores.bodies import Bodies
    from rowcast.stores.calls import S3Calls
    from rowcast.stores.changes import DynamoChanges
    from rowcast.stores.debts import DynamoDebts
    from rowcast.stores.definitions import AwsDefinitions
    from rowcast.stores.objects import Objects
    from rowcast.stores.retry_queue import SqsRetryQueue
    from rowcast.stores.snapshots import S3Snapshots
    from rowcast.stores.state import DynamoState

    clients: dict[str, Any] = {
        service: enforce(
            _session().client(
                service,
                config=aws.control_config(),
                endpoint_url=endpoint,
                aws_access_key_id=account,
                aws_secret_access_key=account,
            )
        )
        for service in ("s3", "dynamodb", "sqs", "ssm")
    }
    _make(clients, bucket)
    clock = fakes.FakeClock()
    objects = Objects(client=clients["s3"], bucket=bucket, clock=clock)
    bodies = Bodies(objects=objects)
    return Stores(
        snapshots=S3Snapshots(objects=objects, clock=clock),
        definitions=AwsDefinitions(ssm=clients["ssm"], objects=objects, prefix="/stack/syncs/"),
        state=DynamoState(client=clients["dynamodb"], table="state", clock=clock),
        changes=DynamoChanges(client=clients["dynamodb"], table="changes", bodies=bodies, clock=clock),
        debts=DynamoDebts(client=clients["dynamodb"], table="debts", state_table="state", bodies=bodies, clock=clock),
        queue=SqsRetryQueue(
            client=clients["sqs"],
            queue_url=clients["queue_url"],
            quarantine_url=clients["quarantine_url"],
            clock=clock,
        ),
        calls=S3Calls(objects=objects),
        clock=clock,
        clients=clients,
    )


@cache
def _session() -> Any:
    """One for all tests: reading botocore's models is most of what a client costs."""
    import boto3

    return boto3.Session(region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The embedded AWS as it comes; answers its endpoint. One process serves all tests, an account each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1"}
    quiet = {"SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR", "PERSIST_STATE": "0"}
    command = [sys.executable, "-c", "from ministack.app import main; main()"]
    process = subprocess.Popen(command, env={**os.environ, **settings, **quiet}, stdout=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _await_health(endpoint, process)
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The file of an authority, and what a server on 127.0.0.1 needs to show what it signed."""
    folder = tmp_path_factory.mktemp("tls")
    authority, context = certificate(folder)
    (folder / "ca.pem").write_text(authority)
    return folder / "ca.pem", context


def _await_health(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1).close()
        except OSError:
            assert process.poll() is None, "the emulator ended at its start"
            assert time.monotonic() < deadline, "the emulator does not answer"
            time.sleep(0.05)
        else:
            return


_accounts = itertools.count(100_000_000_000)


def client_of(service: str) -> Any:
    """A client that makes one attempt, as destinations do."""
    from rowcast.destinations.session import delivery_config

    return _session().client(service, config=delivery_config())


def through_sdk(client: Any) -> Connect:
    """The way into moto: the SDK's client with all its hooks carries what a destination sends."""
    from rowcast.destinations.sdk import SdkWire

    return lambda operation: SdkWire(client, operation)


def send(
    destination: ports.Destination, batch: Sequence[ports.MessageToSend], batch_id: str = "b1", attempt: int = 1
) -> ports.CallResult:
    return in_flight.finish(destination.send(batch, batch_id, attempt))


def _make(clients: dict[str, Any], bucket: str) -> None:
    clients["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for table in TABLES:
        clients["dynamodb"].create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
    clients["queue_url"] = clients["sqs"].create_queue(QueueName="retry")["QueueUrl"]
    clients["quarantine_url"] = clients["sqs"].create_queue(QueueName="quarantine")["QueueUrl"]


def deployment(bucket: str, key: str) -> Deployment:
    return Deployment(
        definition_bucket=bucket,
        definition_key=key,
        delivery_role_arn="arn:aws:iam::123456789012:role/delivery",
        retry_queue_url="https://queue",
        snapshot_function="snapshot",
        fan_out_function="publish",
    )


def notice_or_none(body: str) -> Notice | None:
    try:
        return msgspec.json.decode(body, type=Notice)
    except msgspec.MsgspecError:
        return None


def definition(sync: str = "orders", query: str = "SELECT 1 AS id") -> Definition:
    return Definition(
        sync=sync,
        source=FilesSource(name="shop", prefix="sources/shop/"),
        query=query,
        primary_key=("id",),
        destination=EventBridgeDestination(),
        triggers=Triggers(added=Trigger(bus="orders", source="shop", detail_type="Added")),
    )
