"""What one sync deploys, in a stack of its own: its definition and the parameter that names it, its delivery role,
schedule, retry queue and alarm."""

from __future__ import annotations

from pathlib import Path

import msgspec
from aws_cdk import CfnOutput, Duration, Fn, NestedStack, Stack, Stage
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.constructs.delivery import DeliveryRole
from infra.constructs.functions import Functions, Handler
from infra.constructs.grants import Grant
from infra.constructs.schedules import Schedules
from infra.constructs.storage import Storage
from project.model import Sync
from rowcast import definition as definitions
from rowcast.models import Deployment

OPEN_GIVES_UP_AFTER = 20
MOST_OUTPUTS = 180
"""Of syncs. A stack takes 200, and some are the deployment's own."""


class SyncResources(NestedStack):
    """A nested stack, since CloudFormation takes 500 resources a stack. Nothing of the whole deployment waits for it.

    The parameter's value is a `Deployment`: all that a run needs to know of where its sync is deployed.
    `debts_may_wait`: for another try.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        sync: Sync,
        name: str,
        storage: Storage,
        functions: Functions,
        schedules: Schedules,
        alarms: Alarms,
        debts_may_wait: Duration,
    ) -> None:
        super().__init__(scope, construct_id, description=f"Rowcast: the sync {sync.name}")
        self._show_in_diffs()
        self._whole = scope
        definition = sync.definition
        self.snapshot = functions.snapshot(definition.source)
        fan_out = functions.fan_out(definition.destination)
        self.retry_queue = self._retry_queue(storage, functions)
        self.definition = self._asset(definition)
        role = DeliveryRole(
            self,
            "Delivery",
            name=name,
            definition=definition,
            trusted=[fan_out.role, functions.open.role],
        )
        parameter = self._parameter(
            sync,
            name,
            asset=self.definition,
            delivery_role=role.role,
            snapshot=self.snapshot,
            fan_out=fan_out,
        )
        if sync.schedule.expression is not None:
            needed = [parameter, role, self.retry_queue]
            schedules.add(self, "Schedule", sync=sync.name, schedule=sync.schedule, after=needed)
        alarms.on_old_debts(self, sync=sync.name, queue=self.retry_queue, age=debts_may_wait)

    def _show_in_diffs(self) -> None:
        """`cdk diff` finds the template of a nested stack by this alone."""
        assert self.nested_stack_resource is not None, "a nested stack is a resource of another"
        self.nested_stack_resource.add_metadata("aws:asset:path", self.template_file)
        self.nested_stack_resource.add_metadata("aws:asset:property", "TemplateURL")

    def _retry_queue(self, storage: Storage, functions: Functions) -> sqs.Queue:
        """Its own policy says who uses it, so that no role's policy grows with the number of syncs.

        A notice on which open keeps failing ends in quarantine instead of stopping the sync for ever.
        """
        queue = storage.queue(
            self,
            "RetryQueue",
            visibility_timeout=Duration.minutes(3),
            dead_letter_queue=sqs.DeadLetterQueue(queue=storage.quarantine, max_receive_count=OPEN_GIVES_UP_AFTER),
        )
        for sid, role, actions in (
            ("OpenDrains", functions.open.role, ("sqs:ReceiveMessage", "sqs:DeleteMessage")),
            ("CommitSends", functions.commit.role, ("sqs:SendMessage",)),
        ):
            statement = Grant(actions, (queue.queue_arn,)).statement()
            statement.sid = sid
            statement.add_arn_principal(role.role_arn)
            queue.add_to_resource_policy(statement)
        return queue

    def _asset(self, definition: definitions.Definition) -> s3_assets.Asset:
        stage = Stage.of(self)
        assert stage is not None, "a construct of an app is in a stage"
        file = Path(stage.outdir) / "definitions" / f"{definition.sync}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(definitions.encode(definition))
        return s3_assets.Asset(self, "Definition", path=str(file))

    def _parameter(
        self,
        sync: Sync,
        name: str,
        *,
        asset: s3_assets.Asset,
        delivery_role: iam.Role,
        snapshot: Handler,
        fan_out: Handler,
    ) -> ssm.StringParameter:
        external_id = _external_id(sync, Stack.of(self._whole))
        deployment = Deployment(
            definition_bucket=asset.s3_bucket_name,
            definition_key=asset.s3_object_key,
            delivery_role_arn=delivery_role.role_arn,
            retry_queue_url=self.retry_queue.queue_url,
            snapshot_function=snapshot.function.function_arn,
            fan_out_function=fan_out.function.function_arn,
            external_id=external_id,
        )
        parameter = ssm.StringParameter(
            self,
            "Parameter",
            parameter_name=f"/{name}/syncs/{sync.name}",
            description=f"Where the sync {sync.name} is deployed",
            string_value=Stack.of(self).to_json_string(
                {name: value for name, value in msgspec.structs.asdict(deployment).items() if value is not None}
            ),
        )
        if external_id is not None:
            self._tell_partner(sync, external_id, delivery_role)
        return parameter

    def _tell_partner(self, sync: Sync, external_id: str, delivery_role: iam.Role) -> None:
        """What the other account is to know, as outputs of the whole; of more syncs than it can have, `rowcast doctor`
        tells it alone."""
        account = sync.definition.destination.account
        assert account is not None, "an external id is made for a role of another account"
        outputs = sum(isinstance(one, CfnOutput) for one in self._whole.node.children)
        if outputs + 2 <= MOST_OUTPUTS:
            CfnOutput(
                self._whole,
                f"{self.node.id}-ExternalId",
                value=external_id,
                description=f"What the trust policy of {account.role_arn} must ask for as sts:ExternalId",
            )
            CfnOutput(
                self._whole,
                f"{self.node.id}-DeliveryRoleArn",
                value=delivery_role.role_arn,
                description=f"Whom the trust policy of {account.role_arn} must name as principal",
            )


def _external_id(sync: Sync, stack: Stack) -> str | None:
    """For a role of another account that is given no id: the sync's own, which nobody else can guess, since
    CloudFormation makes the last part of a stack's ARN at random. It stays the same as long as `stack`, the whole
    deployment's."""
    account = sync.definition.destination.account
    if account is None or account.role_arn is None or account.external_id is not None:
        return None
    return f"rowcast-{sync.name}-{Fn.select(2, Fn.split('/', stack.stack_id))}"
