"""More of what AWS refuses: keys, parameters, executions, deletions and the form of a role's session."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from rowcast.destinations.session import delivery_config
from tests.aws_limits import PAYLOAD_BYTES, enforce
from tests.contract.conftest import BUCKET, Stores, client_of

ROLE = "arn:aws:iam::123456789012:role/delivery"


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize(("pk", "sk"), [("p" * 2049, "s"), ("p", "s" * 1025)])
def test_dynamodb_refuses_long_keys(aws: Stores, pk: str, sk: str) -> None:
    with pytest.raises(ClientError) as caught:
        aws.clients["dynamodb"].put_item(TableName="state", Item={"pk": {"S": pk}, "sk": {"S": sk}})
    assert code_of(caught) == "ValidationException"


def test_s3_refuses_long_keys_and_large_deletions(aws: Stores) -> None:
    with pytest.raises(ClientError) as caught:
        aws.clients["s3"].put_object(Bucket=BUCKET, Key="k" * 1025, Body=b"")
    assert code_of(caught) == "KeyTooLongError"
    with pytest.raises(ClientError) as caught:
        objects: Any = [{"Key": str(number)} for number in range(1001)]
        aws.clients["s3"].delete_objects(Bucket=BUCKET, Delete={"Objects": objects})
    assert code_of(caught) == "MalformedXML"


def test_parameter_store_refuses_long_values(aws: Stores) -> None:
    with pytest.raises(ClientError) as caught:
        aws.clients["ssm"].put_parameter(Name="/a", Value="x" * 4097, Type="String")
    assert code_of(caught) == "ValidationException"


def test_step_functions_refuses_large_inputs() -> None:
    client = enforce(client_of("stepfunctions"))
    with pytest.raises(ClientError) as caught:
        client.start_execution(
            stateMachineArn="arn:aws:states:eu-west-1:123456789012:stateMachine:run", input="x" * (PAYLOAD_BYTES + 1)
        )
    assert code_of(caught) == "ValidationException"


@pytest.mark.parametrize(
    "changes",
    [{"RoleSessionName": "a b"}, {"RoleSessionName": "x" * 65}, {"ExternalId": "x"}, {"DurationSeconds": 3601}],
)
def test_sts_refuses_a_session_of_another_form(changes: dict[str, Any]) -> None:
    asked = {"RoleArn": ROLE, "RoleSessionName": "rowcast-orders", "DurationSeconds": 3600, **changes}
    with pytest.raises(ClientError) as caught:
        enforce(_sts()).assume_role(**asked)
    assert code_of(caught) == "ValidationError"


def _sts() -> Any:
    import boto3

    session = boto3.Session(region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing")
    return session.client("sts", config=delivery_config())
