"""The state machine that every sync runs on: `infra/sync.asl.json` with this deployment's functions filled in."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.functions import Functions, Handler
from infra.constructs.grants import TRACES, Grant, acknowledge, acknowledge_patterns, document, give
from infra.constructs.storage import Storage

VENDED_LOGS = "/aws/vendedlogs/states/"
"""Of groups that are called otherwise Step Functions names each in one policy of the account's, which holds 5,120
characters. https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html"""
DEFINITION = Path(__file__).resolve().parents[1] / "sync.asl.json"


class Workflow(Construct):
    """Logs errors without data: the execution history already holds what happened, and pointers only.

    `rights`: without which an execution fails, though it can be started.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        storage: Storage,
        functions: Functions,
        event_bus: str,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self._functions = functions
        self._event_bus = event_bus
        self.rights: list[iam.Policy] = []
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"{VENDED_LOGS}{name}",
            retention=log_retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        here = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com", conditions=here))
        give(self.role, self._grants(storage))
        acknowledge(self.role, "AwsSolutions-IAM5[Resource::*]", f"{TRACES} Nor do those of log delivery.")
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=sfn.DefinitionBody.from_string(_of_any_partition(DEFINITION.read_text())),
            definition_substitutions=self._substitutions(storage),
            role=self.role,
            tracing_enabled=True,
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ERROR, include_execution_data=False),
        )
        acknowledge(self.state_machine, "AwsSolutions-SF1", "The history holds each step; logs tell of errors alone.")
        self._attach_what_names_the_state_machine()

    def let_invoke(self, handler: Handler) -> None:
        give(self.role, [Grant(("lambda:InvokeFunction",), (handler.function.function_arn,))])

    def _grants(self, storage: Storage) -> list[Grant]:
        lists = storage.bucket.arn_for_objects("worklists/*")
        results = storage.bucket.arn_for_objects("maps/*")
        writing = ("s3:GetObject", "s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload")
        bus = Stack.of(self).format_arn(service="events", resource="event-bus", resource_name=self._event_bus)
        shared = ("open", "diff", "seal", "publish", "invoke", "commit", "fail")
        arns = [getattr(self._functions, name).function.function_arn for name in shared]
        return [
            Grant(("lambda:InvokeFunction",), tuple(arns)),
            Grant(("s3:GetObject",), (lists,), why="Every run has its own lists of work."),
            Grant(writing, (results,), why="Every map run writes its own results."),
            Grant(("events:PutEvents",), (bus,)),
        ]

    def _substitutions(self, storage: Storage) -> dict[str, str]:
        functions = self._functions
        return {
            "Partition": Stack.of(self).partition,
            "OpenFunction": functions.open.function.function_arn,
            "DiffFunction": functions.diff.function.function_arn,
            "SealFunction": functions.seal.function.function_arn,
            "CommitFunction": functions.commit.function.function_arn,
            "FailFunction": functions.fail.function.function_arn,
            "Bucket": storage.bucket.bucket_name,
            "EventBus": self._event_bus,
        }

    def _attach_what_names_the_state_machine(self) -> None:
        """In policies of their own: the roles' first policies come before the state machine, which needs them."""
        arn, name = self.state_machine.state_machine_arn, self.state_machine.state_machine_name
        executions = self._states_arn("execution", f"{name}:*")
        children = self._states_arn("execution", f"{name}/*")
        following = ("states:DescribeExecution", "states:StopExecution")
        maps = [
            Grant(("states:StartExecution",), (arn,)),
            Grant(following, (executions, children), why="Its own executions, and the children of their maps."),
        ]
        lock = [Grant(("states:DescribeExecution",), (executions,), why="Any execution may hold a sync's lock.")]
        for construct_id, role, grants in (("Maps", self.role, maps), ("Lock", self._functions.open.role, lock)):
            policy = iam.Policy(self, construct_id, roles=[role], document=document(grants))
            acknowledge_patterns(policy, grants)
            self.rights.append(policy)

    def _states_arn(self, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(
            service="states", resource=resource, resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )


def _of_any_partition(definition: str) -> str:
    """The file names AWS's own partition, so that it is whole as it stands."""
    return definition.replace("arn:aws:states:::", "arn:${Partition}:states:::")
