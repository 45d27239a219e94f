from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import ClientError

from rowcast import clienterror
from rowcast import definition as definitions
from rowcast.definition import Definition
from rowcast.errors import DefinitionInvalid
from rowcast.models import Deployment
from rowcast.stores.objects import Objects

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class AwsDefinitions:
    """Deployed syncs: an SSM parameter `<prefix><sync>` each, which points at the definition's asset in S3."""

    def __init__(self, *, ssm: SSMClient, objects: Objects, prefix: str) -> None:
        self._ssm = ssm
        self._objects = objects
        self._prefix = prefix
        self._pinned: dict[tuple[str, str], Definition] = {}

    def deployment(self, sync: str) -> Deployment:
        try:
            value = self._ssm.get_parameter(Name=f"{self._prefix}{sync}")["Parameter"]["Value"]
            return msgspec.json.decode(value, type=Deployment)
        except ClientError as error:
            if clienterror.code(error) in ("ParameterNotFound", "ValidationException"):
                raise DefinitionInvalid(f"No sync named {sync} is deployed.") from error
            raise
        except msgspec.MsgspecError as error:
            raise DefinitionInvalid(
                f"The deployment of {sync} cannot be read ({error}): deploy again with this release."
            ) from error

    def deployed_definition(self, deployment: Deployment) -> Definition:
        asset = Objects(client=self._objects.client, bucket=deployment.definition_bucket)
        return _decode(asset.get(deployment.definition_key), f"The definition asset {deployment.definition_key}")

    def pin(self, definition: Definition) -> str:
        data = definitions.encode(definition)
        digest = hashlib.sha256(data).hexdigest()
        self._objects.put_if_absent(_pin_key(definition.sync, digest), data)
        self._pinned[definition.sync, digest] = definition
        return digest

    def pinned(self, sync: str, digest: str) -> Definition:
        if (sync, digest) not in self._pinned:
            key = _pin_key(sync, digest)
            self._pinned[sync, digest] = _decode(self._objects.get(key), f"The pinned definition {key}")
        return self._pinned[sync, digest]


def _pin_key(sync: str, digest: str) -> str:
    return f"definitions/{sync}/{digest}.json"


def _decode(data: bytes | None, what: str) -> Definition:
    if data is None:
        raise DefinitionInvalid(f"{what} is gone: deploy again.")
    return definitions.decode(data)
