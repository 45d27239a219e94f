"""A sync as it is deployed: the validated, complete form of one `syncs/*.yaml`, stored as JSON.

The workbench compiles the user's YAML to this form; every handler reads only this form. A run keeps the
definition that it opened with, so that a deployment in mid-run changes no message.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rowcast.errors import DefinitionInvalid


class SecretRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names a secret in Secrets Manager or a SecureString parameter; never holds the secret.

    A secret that is a JSON object is read at `key`; one that is plain text is taken whole.
    """

    store: Literal["secretsmanager", "parameter"] = "secretsmanager"
    name: str
    key: str = "password"


class FilesSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="files", forbid_unknown_fields=True):
    """Files under an S3 prefix. `bucket` None is the deployment's own, where the workbench puts project folders."""

    name: str
    bucket: str | None = None
    prefix: str


class PostgresSource(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="postgres", forbid_unknown_fields=True
):
    """A server that speaks PostgreSQL's protocol. `tls` "verify" checks the certificate chain and the host name.

    `readers`: the most connections that read one query's result at once, from one snapshot of the database.
    """

    name: str
    host: str
    port: int = 5432
    database: str
    user: str
    password: SecretRef | None = None
    tls: Literal["verify", "require", "off"] = "verify"
    tls_ca: str | None = None  # PEM text of the authority to trust in place of the system's
    statement_timeout_seconds: int = 840
    readers: int = 1


Source = FilesSource | PostgresSource


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose account the destination lies in, when it is not the deployment's own: exactly one of the two ways."""

    role_arn: str | None = None
    external_id: str | None = None
    access_key_secret: SecretRef | None = None


class EventBridgeDestination(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="eventbridge", forbid_unknown_fields=True
):
    region: str | None = None
    account: Account | None = None

    @property
    def identity(self) -> str:
        """What makes two destinations the same for change ids."""
        return "eventbridge"


class LambdaDestination(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="lambda", forbid_unknown_fields=True
):
    """`function` is an ARN, qualified or not, or the name of a function in the deployment's own account and region."""

    function: str
    region: str | None = None
    batch_size: int = 1
    account: Account | None = None

    @property
    def identity(self) -> str:
        """What makes two destinations the same for change ids."""
        return f"lambda:{self.function}"


Destination = EventBridgeDestination | LambdaDestination


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a message made of columns: a column's value, or with `column` None the constant `value`.

    `when_null` "omit" leaves the part out of the message of a row in which it is null.
    """

    column: str | None = None
    value: Any = None
    when_null: Literal["send", "omit"] = "send"


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most one of `template`, `column`, `columns` is set; none means all columns.

    `columns` maps an output name to a column or a field. `metadata`: the message lies in an envelope beside where it
    comes from and the row before. `oversize` "s3": a message that the destination cannot carry is put into the bucket.
    """

    template: str | None = None
    column: str | None = None
    columns: dict[str, str | Field] | None = None
    metadata: bool = False
    oversize: Literal["reject", "s3"] = "reject"


class Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of change that is sent. `bus`, `source`, `detail_type` are set for EventBridge only; the latter two may
    be Liquid templates.

    `columns` (for changed rows): send only when one of these changed; None means any column. `message`: in place of
    the sync's.
    """

    bus: str | None = None
    source: str | None = None
    detail_type: str | None = None
    columns: tuple[str, ...] | None = None
    message: Message | None = None


class Triggers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trigger that is None is off: such changes advance the baseline without being sent."""

    added: Trigger | None = None
    changed: Trigger | None = None
    removed: Trigger | None = None

    def of(self, operation: str) -> Trigger | None:
        return getattr(self, operation)  # type: ignore[no-any-return]


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`immediate` further attempts inside the run, full-jitter backoff from `backoff_seconds`; then the next run."""

    immediate: int = 3
    backoff_seconds: float = 1.0


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `count` changes sent in any window of `seconds`."""

    count: int
    seconds: int


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`concurrency`: calls to the destination in flight at once, over all workers of a run. `pool`: syncs that name the
    same one share one `rate`."""

    rate: Rate | None = None
    pool: str | None = None
    concurrency: int = 10
    rows_per_partition: int = 500_000

    @property
    def calls_per_worker(self) -> int:
        """How many calls one fan-out worker keeps in flight, so that workers × calls is `concurrency` exactly.

        Up to 150, which keep a whole processor busy at a destination that answers after 20 ms: a call takes it a fifth
        of a millisecond, so that 100 would do if they came evenly. Not so many that one worker is left; under a rate,
        which more calls would only wait for, up to 8.
        """
        most = 8 if self.rate is not None else max(8, min(150, self.concurrency // 2))
        return next(n for n in range(min(self.concurrency, most), 0, -1) if self.concurrency % n == 0)

    @property
    def workers(self) -> int:
        """How many fan-out workers run at once."""
        return self.concurrency // self.calls_per_worker


class Guard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fractions of 1. A run beyond `max_removed`, `max_changed` or with an unexpected empty result is held, as is one
    that would send rows because a column is of another type now; one in which more than `max_rejected` of the changes
    are rejected for one same reason stops sending."""

    max_removed: float = 0.15
    max_changed: float = 0.5
    max_rejected: float = 0.2
    allow_empty: bool = False
    allow_retyped: bool = False


class Alerts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When people are told, and through which channels. A limit that is None is not watched; failed and held runs are.

    `rejected_rows`, `rejected_share`: of a run's changes, those that were not accepted; `reasons`: say why, in the
    destination's words, which may hold values. `late_after`: no run completed for so long. Times are seconds,
    `muted_until` since the epoch.
    """

    channels: tuple[str, ...] = ()
    severity: Literal["critical", "error", "warning", "info"] = "error"
    reasons: bool = False
    rejected_rows: int | None = None
    rejected_share: float | None = None
    slower_than: float | None = None
    late_after: float | None = None
    min_rows: int | None = None
    max_rows: int | None = None
    rows_change: float | None = None
    unchanged_for: float | None = None
    debt_older_than: float | None = None
    muted_until: float | None = None


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a run of one sync needs to know, apart from where it is deployed.

    `mask`: columns of which no value appears but in the message itself; none is of the primary key.
    """

    version: Literal[1] = 1
    sync: str
    source: Source
    query: str
    primary_key: tuple[str, ...]
    destination: Destination
    triggers: Triggers
    message: Message = Message()
    mask: tuple[str, ...] = ()
    initial_sync: Literal["skip", "backfill"] = "skip"
    retry: Retry = Retry()
    limits: Limits = Limits()
    guard: Guard = Guard()
    alerts: Alerts = Alerts()

    def message_of(self, operation: str) -> Message:
        """What is sent for such a change: its trigger's own message, or the sync's."""
        trigger = self.triggers.of(operation)
        return trigger.message if trigger is not None and trigger.message is not None else self.message


def decode(data: bytes) -> Definition:
    """Raises DefinitionInvalid for what this version of the code cannot read."""
    try:
        return msgspec.json.decode(data, type=Definition)
    except msgspec.MsgspecError as error:
        raise DefinitionInvalid(
            f"The deployed definition cannot be read ({error}): deploy again with this release."
        ) from error


def encode(definition: Definition) -> bytes:
    """Deterministic: equal definitions give equal bytes, so that their digest names them."""
    return msgspec.json.encode(definition, order="deterministic")
