"""The stack that `cdk deploy` makes of a project."""

from __future__ import annotations

from aws_cdk import CfnOutput, Duration, Stack
from constructs import Construct

from infra.constructs.layers import Platform
from infra.quotas import Quotas
from infra.rowcast import Rowcast
from project.model import Project


class RowcastStack(Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        project: Project,
        platform: Platform = "lambda",
        event_bus: str = "default",
        permissions_boundary: str | None = None,
        encryption_key: str | None = None,
        debts_may_wait: Duration | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        super().__init__(scope, construct_id, description="Rowcast: from SQL queries to EventBridge and Lambda")
        self.rowcast = Rowcast(
            self,
            "Rowcast",
            project=project,
            platform=platform,
            event_bus=event_bus,
            permissions_boundary=permissions_boundary,
            encryption_key=encryption_key,
            debts_may_wait=debts_may_wait,
            quotas=quotas,
        )
        storage = self.rowcast.storage
        outputs = {
            "Bucket": storage.bucket.bucket_name,
            "StateTable": storage.state.table_name,
            "ChangesTable": storage.changes.table_name,
            "DebtsTable": storage.debts.table_name,
            "QuarantineUrl": storage.quarantine.queue_url,
            "StateMachine": self.rowcast.workflow.state_machine.state_machine_arn,
            "AlarmTopic": self.rowcast.alarms.topic.topic_arn,
            "EventBus": event_bus,
            "ParameterPrefix": f"/{self.rowcast.name}/syncs/",
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
