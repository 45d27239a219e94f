"""Who may do what, as one table per function: what a function does not do in the code, it may not do here."""

from __future__ import annotations

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra.constructs.grants import Conditions, Grant
from infra.constructs.storage import Storage
from rowcast.definition import FilesSource, SecretRef, Source

GET = ("s3:GetObject",)
PUT = ("s3:PutObject",)
ONCE = (*GET, *PUT)
"""Writing once: who finds a key taken looks whose object it is."""
DELETE = ("s3:DeleteObject",)

READ_ITEM = ("dynamodb:GetItem",)
READ_ITEMS = ("dynamodb:BatchGetItem",)
QUERY = ("dynamodb:Query",)
CHECK = ("dynamodb:ConditionCheckItem",)
PUT_ITEM = ("dynamodb:PutItem",)
UPDATE = ("dynamodb:UpdateItem",)
DELETE_ITEM = ("dynamodb:DeleteItem",)


class Permissions:
    """Statements over one deployment's storage. `name` is the deployment's: it scopes parameters and delivery roles."""

    def __init__(self, scope: Construct, *, name: str, storage: Storage, event_bus: str) -> None:
        self._stack = Stack.of(scope)
        self._name = name
        self._storage = storage
        self._event_bus = event_bus

    def open(self) -> list[Grant]:
        return [
            self._parameters(),
            self._objects("definitions/", *ONCE),
            self._objects("requests/", *GET),
            *self._abandoned_runs(),
            self._table(self._storage.state, *READ_ITEM, *UPDATE),
            self._table(self._storage.debts, *READ_ITEMS),
            Grant(("sqs:SendMessage",), (self._storage.quarantine.queue_arn,)),
            self._delivery_roles("*"),
        ]

    def snapshot(self, source: Source) -> list[Grant]:
        return [
            *self._source(source),
            self._objects("definitions/", *GET),
            self._objects("snapshots/", *ONCE),
            self._objects("worklists/", *PUT),
            self._listing(),
            self._table(self._storage.state, *READ_ITEM, *QUERY, *CHECK, *UPDATE),
            self._table(self._storage.debts, *QUERY),
            self._objects("debts/", *GET),
        ]

    def diff(self) -> list[Grant]:
        return [
            self._objects("definitions/", *GET),
            self._objects("snapshots/", *GET),
            self._objects("worklists/", *GET),
            self._listing(),
            self._table(self._storage.state, *READ_ITEM),
            self._table(self._storage.debts, *QUERY),
            self._objects("debts/", *GET),
            self._table(self._storage.changes, *READ_ITEM, *QUERY, *PUT_ITEM),
            self._objects("overflow/", *ONCE),
        ]

    def seal(self) -> list[Grant]:
        return [
            self._objects("definitions/", *GET),
            self._objects("snapshots/", *GET),
            self._objects("worklists/", *PUT),
            *self._abandoned_runs(),
            self._table(self._storage.state, *READ_ITEM, *CHECK, *UPDATE),
            self._table(self._storage.changes, *READ_ITEM, *QUERY),
            self._objects("overflow/", *GET),
            self._objects("plans/", *PUT),
            self._announcing(),
        ]

    def deliver(self, kind: str) -> list[Grant]:
        """For publish (`eventbridge`) and invoke (`lambda`). The item put into the state table holds the pace."""
        return [
            self._parameters(),
            self._objects("definitions/", *GET),
            self._listing(),
            self._table(self._storage.state, *READ_ITEM, *PUT_ITEM, *UPDATE),
            self._table(self._storage.changes, *READ_ITEM, *UPDATE),
            self._objects("overflow/", *ONCE),
            self._objects("oversize/", *ONCE),
            self._objects("calls/", *PUT),
            self._delivery_roles(kind),
        ]

    def commit(self) -> list[Grant]:
        return [
            self._parameters(),
            self._objects("definitions/", *GET),
            self._announcing(),
            self._objects("snapshots/", *GET),
            *self._abandoned_runs(),
            self._table(self._storage.state, *READ_ITEM, *CHECK, *UPDATE),
            self._table(self._storage.changes, *READ_ITEM, *QUERY, *UPDATE),
            self._objects("overflow/", *ONCE),
            self._table(self._storage.debts, *READ_ITEMS, *PUT_ITEM, *DELETE_ITEM),
            self._objects("debts/", *ONCE, *DELETE),
        ]

    def fail(self) -> list[Grant]:
        return [
            *self._abandoned_runs(),
            self._objects("requests/", *GET),
            self._objects("definitions/", *GET),
            self._announcing(),
            self._table(self._storage.state, *READ_ITEM, *CHECK, *UPDATE),
            self._table(self._storage.changes, *QUERY),
            self._objects("overflow/", *GET),
        ]

    def watch(self) -> list[Grant]:
        """Reads the deployed definitions too, which each sync grants."""
        return [self._parameters(), self._table(self._storage.state, *READ_ITEM, *UPDATE), self._announcing()]

    def _announcing(self) -> Grant:
        """Alerts go to the bus on which the state machine announces runs."""
        bus = self._stack.format_arn(service="events", resource="event-bus", resource_name=self._event_bus)
        return Grant(("events:PutEvents",), (bus,))

    def _abandoned_runs(self) -> list[Grant]:
        """Ending a run that sent nothing deletes what it stored."""
        return [self._objects("snapshots/", *DELETE), self._objects("worklists/", *DELETE), self._listing()]

    def _objects(self, prefix: str, *actions: str) -> Grant:
        return Grant(
            actions, (self._storage.bucket.arn_for_objects(f"{prefix}*"),), why=f"Every object under {prefix}."
        )

    def _listing(self) -> Grant:
        """Without it S3 answers 403 instead of 404 for an object that is not there."""
        return Grant(("s3:ListBucket",), (self._storage.bucket.bucket_arn,))

    def _table(self, table: dynamodb.Table, *actions: str) -> Grant:
        return Grant(tuple(sorted(set(actions))), (table.table_arn,))

    def _parameters(self) -> Grant:
        arn = self._stack.format_arn(service="ssm", resource="parameter", resource_name=f"{self._name}/syncs/*")
        return Grant(("ssm:GetParameter",), (arn,), why="The parameters of this deployment's syncs.")

    def _delivery_roles(self, kind: str) -> Grant:
        """By path, so that the policy stays as short with a hundred syncs as with one."""
        path = delivery_path(self._name, kind).removeprefix("/")
        arn = self._stack.format_arn(service="iam", region="", resource="role", resource_name=f"{path}*")
        return Grant(("sts:AssumeRole",), (arn,), why="The delivery roles of this deployment's syncs, by their path.")

    def _source(self, source: Source) -> list[Grant]:
        if isinstance(source, FilesSource):
            return self._files(source)
        return secret(self._stack, source.password) if source.password else []

    def _files(self, source: FilesSource) -> list[Grant]:
        prefix = f"{source.prefix.strip('/')}/" if source.prefix.strip("/") else ""
        if source.bucket is None:
            return [self._objects(prefix, *GET)]
        bucket = self._stack.format_arn(service="s3", region="", account="", resource=source.bucket)
        objects = f"{bucket}/{prefix}*"
        return [
            Grant(GET, (objects,), why="Every file of the source."),
            Grant(("s3:ListBucket",), (bucket,), conditions={"StringLike": {"s3:prefix": f"{prefix}*"}}),
            _decrypt(self._stack, "s3", "aws:s3:arn", bucket, objects),
        ]


def delivery_path(name: str, kind: str) -> str:
    """The IAM path of delivery roles that send by `kind`, the definition's tag of the destination."""
    return f"/rowcast/{name}/{kind}/"


def secret(stack: Stack, ref: SecretRef) -> list[Grant]:
    """Reading exactly this secret, also when a key of the account's own encrypts it."""
    if ref.store == "parameter":
        name = ref.name.removeprefix("/")
        arn = _given(ref.name) or stack.format_arn(service="ssm", resource="parameter", resource_name=name)
        return [Grant(("ssm:GetParameter",), (arn,)), _decrypt(stack, "ssm", "PARAMETER_ARN", arn)]
    arn = _given(ref.name) or stack.format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{ref.name}-??????",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return [Grant(("secretsmanager:GetSecretValue",), (arn,)), _decrypt(stack, "secretsmanager", "SecretARN", arn)]


def _given(name: str) -> str | None:
    return name if name.startswith("arn:") else None


def _decrypt(stack: Stack, service: str, context: str, *arns: str) -> Grant:
    conditions: Conditions = {
        "StringEquals": {"kms:ViaService": f"{service}.{stack.region}.{stack.url_suffix}"},
        "StringLike": {f"kms:EncryptionContext:{context}": list(arns)},
    }
    keys = stack.format_arn(service="kms", resource="key", resource_name="*")
    return Grant(("kms:Decrypt",), (keys,), conditions, why="The key is not known; the conditions name what it opens.")
