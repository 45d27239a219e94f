from __future__ import annotations

from typing import Any

import pytest

from tests import aws_faults, fakes


@pytest.mark.usefixtures("aws")
def test_an_execution_runs_until_it_has_ended() -> None:
    import boto3

    from rowcast.stores.executions import StepFunctionsExecutions

    client: Any = boto3.client("stepfunctions", region_name="eu-west-1")
    machine = client.create_state_machine(
        name="sync",
        definition='{"StartAt": "Wait", "States": {"Wait": {"Type": "Pass", "End": true}}}',
        roleArn="arn:aws:iam::123456789012:role/machine",
    )
    execution = client.start_execution(stateMachineArn=machine["stateMachineArn"], name="e1")["executionArn"]
    executions = StepFunctionsExecutions(client=client)
    assert executions.is_running(execution)
    client.stop_execution(executionArn=execution)
    assert not executions.is_running(execution)
    assert not executions.is_running(execution + "-never-started")
    aws_faults.answer_error(client, "DescribeExecution", "ThrottlingException")
    with pytest.raises(Exception, match="Throttling"):
        executions.is_running(execution)


def test_the_fake_executions_run_until_they_are_taken_out() -> None:
    executions = fakes.FakeExecutions("e1")
    assert executions.is_running("e1")
    executions.running.clear()
    assert not executions.is_running("e1")
