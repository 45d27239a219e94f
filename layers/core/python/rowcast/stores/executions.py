from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from rowcast import clienterror

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class StepFunctionsExecutions:
    def __init__(self, *, client: SFNClient) -> None:
        self._client = client

    def is_running(self, execution: str) -> bool:
        try:
            return self._client.describe_execution(executionArn=execution)["status"] == "RUNNING"
        except ClientError as error:
            if clienterror.code(error) == "ExecutionDoesNotExist":
                return False
            raise
