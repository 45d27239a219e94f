from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import ClientError

from rowcast import clienterror
from rowcast.definition import SecretRef
from rowcast.errors import RunFailed, Throttled

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient


class AwsSecrets:
    """Reads secrets at the moment of use; nothing is kept, so that a rotated secret is taken up by itself."""

    def __init__(self, *, secretsmanager: SecretsManagerClient, ssm: SSMClient) -> None:
        self._secretsmanager = secretsmanager
        self._ssm = ssm

    def resolve(self, ref: SecretRef) -> str:
        """The secret's text. Raises RunFailed or Throttled that names the secret and what is wrong, never its value."""
        text = self._text(ref)
        try:
            fields = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
        if not isinstance(fields, dict):
            return text
        value = fields.get(ref.key)
        if not isinstance(value, str | int):
            raise RunFailed(f"The secret {ref.name} is a JSON object that has no text at {ref.key!r}: name its field.")
        return str(value)

    def fields(self, ref: SecretRef) -> dict[str, str]:
        """All fields of a secret that is a JSON object of texts."""
        try:
            return msgspec.json.decode(self._text(ref), type=dict[str, str])
        except msgspec.MsgspecError:
            raise RunFailed(f"The secret {ref.name} is not a JSON object of texts.") from None

    def _text(self, ref: SecretRef) -> str:
        where = "Parameter Store" if ref.store == "parameter" else "Secrets Manager"
        try:
            if ref.store == "parameter":
                return self._ssm.get_parameter(Name=ref.name, WithDecryption=True)["Parameter"]["Value"]
            reply = self._secretsmanager.get_secret_value(SecretId=ref.name)
        except ClientError as error:
            code = clienterror.code(error)
            if code in clienterror.THROTTLED or clienterror.status(error) >= 500:
                raise Throttled(f"The secret {ref.name} could not be read from {where} just now ({code}).") from error
            reason = "does not exist" if code in _MISSING else f"cannot be read ({code})"
            raise RunFailed(f"The secret {ref.name} {reason} in {where} of this account and region.") from error
        if "SecretString" not in reply:
            raise RunFailed(f"The secret {ref.name} in {where} holds bytes, not text.")
        return reply["SecretString"]


_MISSING = ("ResourceNotFoundException", "ParameterNotFound")
