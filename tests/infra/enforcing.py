"""An embedded AWS that enforces IAM, with a project deployed in it: what a role may not do, fails."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.infra.template import Template, listed
from workbench.local.template import for_emulator

ACCOUNT, REGION = "000000000000", "us-east-1"
ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
POLICIES = ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy")


@contextmanager
def emulator(folder: Path) -> Iterator[Aws]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "AUTH": "true",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "SFN_WAIT_SCALE": "0",
        "LOG_LEVEL": "WARNING",
    }
    with (folder / "emulator.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "ministack"], env=environment, stdout=log, stderr=log)
        try:
            aws = Aws(f"http://127.0.0.1:{port}")
            aws.wait()
            yield aws
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Aws:
    """Acts as the account's root; the functions act in their own roles."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def client(self, service: str, *, account: str = "test", region: str = REGION) -> Any:
        """`account`: another one than the deployment's, by its 12 digits."""
        return boto3.Session(region_name=region).client(  # type: ignore[call-overload]
            service, endpoint_url=self._endpoint, aws_access_key_id=account, aws_secret_access_key="test"
        )

    def partner_role(self, name: str, *, account: str, trusted: str, external_id: str, allowed: list[str]) -> None:
        """A role of another account that asks for an external id, and may do this to everything there."""
        iam = self.client("iam", account=account)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_trust(trusted, external_id))
        may = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
        iam.put_role_policy(RoleName=name, PolicyName="targets", PolicyDocument=_policy(may))

    def trust(self, name: str, *, account: str, trusted: str, external_id: str) -> None:
        iam = self.client("iam", account=account)
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=_trust(trusted, external_id))

    def wait(self) -> None:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{self._endpoint}/_ministack/health", timeout=1).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("the emulator did not start")

    def deploy(self, template: Template) -> dict[str, str]:
        """Answers the stack's outputs."""
        s3, cloudformation = self.client("s3"), self.client("cloudformation")
        s3.create_bucket(Bucket=ASSETS)
        self.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
        for asset in json.loads((template.folder / "Rowcast.assets.json").read_text())["files"].values():
            body = _content(template.folder / asset["source"]["path"], asset["source"]["packaging"])
            if asset["source"]["path"] in template.nested:
                body = json.dumps(as_the_emulator_reads(json.loads(body))).encode()
            for destination in asset["destinations"].values():
                s3.put_object(Bucket=ASSETS, Key=destination["objectKey"], Body=body)
        s3.put_object(
            Bucket=ASSETS, Key="deployed.json", Body=json.dumps(as_the_emulator_reads(template.deployed)).encode()
        )
        cloudformation.create_stack(
            StackName="Rowcast",
            TemplateURL=f"{self._endpoint}/{ASSETS}/deployed.json",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )
        while True:
            stack = cloudformation.describe_stacks(StackName="Rowcast")["Stacks"][0]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                break
            time.sleep(0.1)
        events = cloudformation.describe_stack_events(StackName="Rowcast")["StackEvents"]
        failed = {
            one["LogicalResourceId"]: one.get("ResourceStatusReason")
            for one in events
            if "FAILED" in one["ResourceStatus"]
        }
        assert stack["StackStatus"] == "CREATE_COMPLETE", failed
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def function(self, name: str, code: str) -> None:
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            archive.writestr("target.py", code)
        client = self.client("lambda")
        if any(one["FunctionName"] == name for one in client.list_functions()["Functions"]):
            client.update_function_code(FunctionName=name, ZipFile=body.getvalue())
            return
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = self.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        client.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="target.handler",
            Role=role,
            Code={"ZipFile": body.getvalue()},
        )

    def run(self, state_machine: str, sync: str, scheduled_at: str, **steer: str) -> dict[str, Any]:
        """Answers the run's summary as it was announced, or what the last state gave."""
        states = self.client("stepfunctions")
        execution = states.start_execution(
            stateMachineArn=state_machine, input=json.dumps({"sync": sync, "scheduled_at": scheduled_at, **steer})
        )["executionArn"]
        while (done := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            time.sleep(0.05)
        for event in reversed(states.get_execution_history(executionArn=execution, maxResults=1000)["events"]):
            details = event.get("stateExitedEventDetails", {})
            if details.get("name") == "HowItEnded":
                summary: dict[str, Any] = json.loads(details["output"])["end"]["summary"]
                return summary
        return {"status": done["status"], **json.loads(done.get("output", "{}")).get("summary", {})}


def as_the_emulator_reads(body: dict[str, Any]) -> dict[str, Any]:
    """The template with what makes up for three ways in which the emulator judges otherwise than AWS.

    It has no TLS, which queues, topic and bucket insist on; it takes a batch call of SQS for an action of its own; and
    it looks for the bus of DescribeEventBus among rules.
    """
    copy: dict[str, Any] = json.loads(json.dumps(for_emulator(body)))
    for name, resource in list(copy["Resources"].items()):
        if resource["Type"] in POLICIES:
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [one for one in document["Statement"] if one["Effect"] == "Allow"]
            for statement in document["Statement"]:
                if resource["Type"] == "AWS::SQS::QueuePolicy":
                    statement["Action"] = [
                        f"{one}{end}" for one in listed(statement["Action"]) for end in ("", "Batch")
                    ]
            if not document["Statement"]:
                del copy["Resources"][name]
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                _describe_buses_as_rules(policy["PolicyDocument"]["Statement"])
    return copy


def _describe_buses_as_rules(statements: list[dict[str, Any]]) -> None:
    if any("events:DescribeEventBus" in listed(one["Action"]) for one in statements):
        rules = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*"
        statements.append({"Effect": "Allow", "Action": "events:DescribeEventBus", "Resource": rules})


def _trust(principal: str, external_id: str) -> str:
    asked = {"StringEquals": {"sts:ExternalId": external_id}}
    return _policy({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole", "Condition": asked})


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _content(source: Path, packaging: str) -> bytes:
    if packaging == "file":
        return source.read_bytes()
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for path in sorted(source.rglob("*")):
            archive.write(path, path.relative_to(source))
    return body.getvalue()
