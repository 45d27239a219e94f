from __future__ import annotations

from typing import Any

import pytest

from rowcast.definition import SecretRef
from rowcast.errors import RunFailed, Throttled
from tests import aws_faults
from tests.contract.conftest import Stores


@pytest.fixture
def secrets(aws: Stores) -> Any:
    import boto3

    from rowcast.stores.secrets import AwsSecrets

    client: Any = boto3.client("secretsmanager", region_name="eu-west-1")
    for name, value in (
        ("plain", "hunter2"),
        ("json", '{"password": "hunter3", "port": 5432, "user": "me"}'),
        ("list", "[1]"),
        ("digits", "0123"),
        ("keys", '{"access_key_id": "AK", "secret_access_key": "SK"}'),
    ):
        client.create_secret(Name=name, SecretString=value)
    client.create_secret(Name="binary", SecretBinary=b"\xff")
    aws.clients["ssm"].put_parameter(Name="/db/password", Value="hunter4", Type="SecureString")
    return AwsSecrets(secretsmanager=client, ssm=aws.clients["ssm"])


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (SecretRef(name="plain"), "hunter2"),
        (SecretRef(name="json"), "hunter3"),
        (SecretRef(name="json", key="user"), "me"),
        (SecretRef(name="json", key="port"), "5432"),
        (SecretRef(name="digits"), "0123"),
        (SecretRef(name="list"), "[1]"),
        (SecretRef(store="parameter", name="/db/password"), "hunter4"),
    ],
)
def test_a_secret_is_read_from_where_it_is(secrets: Any, ref: SecretRef, expected: str) -> None:
    assert secrets.resolve(ref) == expected


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        (SecretRef(name="missing"), "missing does not exist in Secrets Manager"),
        (SecretRef(store="parameter", name="/missing"), "/missing does not exist in Parameter Store"),
        (SecretRef(name="json", key="pass"), "json .* 'pass'"),
        (SecretRef(name="binary"), "binary .* bytes"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_without_its_value(secrets: Any, ref: SecretRef, reason: str) -> None:
    with pytest.raises(RunFailed, match=reason) as caught:
        secrets.resolve(ref)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("InternalServiceError", 500)])
def test_a_secret_that_could_not_be_asked_for_is_not_taken_for_one_that_cannot_be_read(
    secrets: Any, code: str, status: int
) -> None:
    aws_faults.answer_error(secrets._secretsmanager, "GetSecretValue", code, status)
    with pytest.raises(Throttled, match=f"plain .*{code}"):
        secrets.resolve(SecretRef(name="plain"))


def test_a_secrets_fields_are_read_together(secrets: Any) -> None:
    assert secrets.fields(SecretRef(name="keys")) == {"access_key_id": "AK", "secret_access_key": "SK"}
    with pytest.raises(RunFailed, match="plain is not a JSON object"):
        secrets.fields(SecretRef(name="plain"))
