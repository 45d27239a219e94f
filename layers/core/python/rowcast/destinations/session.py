"""Credentials and clients for one sync's deliveries: its delivery role, then, if asked, the destination's account."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rowcast.definition import Account, SecretRef
from rowcast.destinations.faults import code
from rowcast.errors import DestinationRefused

if TYPE_CHECKING:
    import boto3

READ_TIMEOUT_SECONDS = 910  # above the 900 s that a function may take, so that no call is given up before its target
_SESSION_SECONDS = 3600  # the most that STS gives to a chained session
Metadata = dict[str, str]
SecretFields = Callable[[SecretRef], dict[str, str]]


def delivery_session(
    *, sync: str, delivery_role_arn: str, account: Account | None, region: str | None, secret_fields: SecretFields
) -> boto3.Session:
    """A session whose credentials are fetched at first use and renewed before they end.

    Calls that need credentials raise DestinationRefused, naming the role, when it cannot be assumed. `secret_fields`
    reads the secret of an account that is reached by access key: `access_key_id` and `secret_access_key`.
    """
    import boto3

    own = boto3.Session(region_name=region)
    if account is not None and account.access_key_secret is not None:
        return _with_access_key(account.access_key_secret, region, secret_fields)
    delivery = _assuming(own, role_arn=delivery_role_arn, name=sync, external_id=None)
    if account is not None and account.role_arn is not None:
        return _assuming(delivery, role_arn=account.role_arn, name=sync, external_id=account.external_id)
    return delivery


def delivery_config(*, connections: int = 10, read_timeout: float = READ_TIMEOUT_SECONDS) -> Config:
    """One attempt per call: retries are the run's own, which knows what may be sent again."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=read_timeout,
        max_pool_connections=connections,
        tcp_keepalive=True,
    )


def _assuming(parent: boto3.Session, *, role_arn: str, name: str, external_id: str | None) -> boto3.Session:
    import boto3
    import botocore.session
    from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

    class AssumedRole(CredentialProvider):
        METHOD = "rowcast-assume-role"

        def load(self) -> DeferredRefreshableCredentials:
            return DeferredRefreshableCredentials(
                lambda: _assume(parent, role_arn=role_arn, name=name, external_id=external_id), self.METHOD
            )

    session = botocore.session.get_session()
    session.register_component("credential_provider", CredentialResolver([AssumedRole()]))
    return boto3.Session(botocore_session=session, region_name=parent.region_name)


def _assume(parent: boto3.Session, *, role_arn: str, name: str, external_id: str | None) -> Metadata:
    arguments: dict[str, Any] = {
        "RoleArn": role_arn,
        "RoleSessionName": f"rowcast-{name}"[:64],
        "DurationSeconds": _SESSION_SECONDS,
    }
    if external_id is not None:
        arguments["ExternalId"] = external_id
    client = parent.client("sts", config=Config(retries={"mode": "standard", "max_attempts": 5}))
    try:
        credentials = client.assume_role(**arguments)["Credentials"]
    except ClientError as error:
        raise DestinationRefused(f"The role {role_arn} cannot be assumed ({code(error)}).") from error
    except BotoCoreError as error:
        raise DestinationRefused(f"The role {role_arn} cannot be assumed ({type(error).__name__}).") from error
    return {
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
        "expiry_time": credentials["Expiration"].isoformat(),
    }


def _with_access_key(secret: SecretRef, region: str | None, secret_fields: SecretFields) -> boto3.Session:
    import boto3

    fields = secret_fields(secret)
    try:
        return boto3.Session(
            aws_access_key_id=fields["access_key_id"],
            aws_secret_access_key=fields["secret_access_key"],
            region_name=region,
        )
    except KeyError as missing:
        raise DestinationRefused(f"The secret {secret.name} has no field {missing}.") from None
