"""Credentials and clients for one sync's deliveries: its delivery role, then, if asked, the destination's account."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rowcast.definition import Account, SecretRef
from rowcast.destinations import faults
from rowcast.errors import DestinationRefused, RunFailed

if TYPE_CHECKING:
    import boto3

READ_TIMEOUT_SECONDS = 910  # above the 900 s that a function may take, so that no call is given up before its target
_SESSION_SECONDS = 3600  # the most that STS gives to a chained session; keys from a secret are read anew as often
Metadata = dict[str, str | None]
SecretFields = Callable[[SecretRef], dict[str, str]]
ReadSecrets = Callable[["boto3.Session"], SecretFields]


def delivery_session(
    *, sync: str, delivery_role_arn: str, account: Account | None, region: str | None, secrets: ReadSecrets
) -> boto3.Session:
    """A session whose credentials are fetched at first use and renewed before they end.

    Calls that need credentials raise DestinationRefused, naming the role, when it cannot be assumed, and Throttled when
    that could not be asked. The secret of an account that is reached by access key, `access_key_id` and
    `secret_access_key`, is read by the delivery role: what one sync may use, no other sync's role can read.
    """
    import boto3

    own = boto3.Session()
    delivery = _assuming(own, role_arn=delivery_role_arn, name=sync, external_id=None, region=region)
    if account is None:
        return delivery
    if account.access_key_secret is not None:
        secret = account.access_key_secret
        at_home = _assuming(own, role_arn=delivery_role_arn, name=sync, external_id=None, region=None)
        return _refreshing(lambda: _access_key(secret, secrets(at_home)), region or own.region_name)
    if account.role_arn is not None:
        return _assuming(delivery, role_arn=account.role_arn, name=sync, external_id=account.external_id, region=region)
    return delivery


def delivery_config(*, read_timeout: float = READ_TIMEOUT_SECONDS) -> Config:
    """One attempt per call: retries are the run's own, which knows what may be sent again."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=read_timeout,
        max_pool_connections=32,
        tcp_keepalive=True,
    )


def looking_config() -> Config:
    """For calls that only ask: the SDK repeats them, within the time of a step."""
    return Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=10)


def _assuming(
    parent: boto3.Session, *, role_arn: str, name: str, external_id: str | None, region: str | None
) -> boto3.Session:
    def fetch() -> Metadata:
        return _assume(parent, role_arn=role_arn, name=name, external_id=external_id)

    return _refreshing(fetch, region or parent.region_name)


def _refreshing(fetch: Callable[[], Metadata], region: str | None) -> boto3.Session:
    import boto3
    import botocore.session
    from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

    class Fetched(CredentialProvider):
        METHOD = "rowcast"

        def load(self) -> DeferredRefreshableCredentials:
            return DeferredRefreshableCredentials(fetch, self.METHOD)

    session = botocore.session.get_session()
    session.register_component("credential_provider", CredentialResolver([Fetched()]))
    return boto3.Session(botocore_session=session, region_name=region)


def _assume(parent: boto3.Session, *, role_arn: str, name: str, external_id: str | None) -> Metadata:
    arguments: dict[str, Any] = {
        "RoleArn": role_arn,
        "RoleSessionName": f"rowcast-{name}"[:64],
        "DurationSeconds": _SESSION_SECONDS,
    }
    if external_id is not None:
        arguments["ExternalId"] = external_id
    client = parent.client("sts", config=looking_config())
    try:
        credentials = client.assume_role(**arguments)["Credentials"]
    except (ClientError, BotoCoreError) as error:
        raise faults.of_look(f"The role {role_arn}", error, "cannot be assumed") from error
    return {
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
        "expiry_time": credentials["Expiration"].isoformat(),
    }


def _access_key(secret: SecretRef, secret_fields: SecretFields) -> Metadata:
    try:
        fields = secret_fields(secret)
        return {
            "access_key": fields["access_key_id"],
            "secret_key": fields["secret_access_key"],
            "token": fields.get("session_token"),
            "expiry_time": (datetime.now(UTC) + timedelta(seconds=_SESSION_SECONDS)).isoformat(),
        }
    except RunFailed as error:
        raise DestinationRefused(str(error)) from error
    except KeyError as missing:
        raise DestinationRefused(f"The secret {secret.name} has no field {missing}.") from None
