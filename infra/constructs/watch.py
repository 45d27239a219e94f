"""What looks at every sync by the clock, since a run that never starts tells nobody."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alarms import LOOK_EVERY
from infra.constructs.functions import Handler
from infra.constructs.grants import Grant, document

SYNCS_PER_LOOK = 200


class Watch(Construct):
    """Schedules that call the watch function, in a role that may do no more. A call that cannot be delivered ends in
    `undelivered`, whose alarm tells of it; then nobody looks."""

    def __init__(
        self, scope: Construct, construct_id: str, *, function: Handler, syncs: Sequence[str], undelivered: sqs.Queue
    ) -> None:
        super().__init__(scope, construct_id)
        arn = function.function.function_arn
        conditions = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        grants = [
            Grant(("lambda:InvokeFunction",), (arn,)),
            Grant(("sqs:SendMessage",), (undelivered.queue_arn,)),
        ]
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com", conditions=conditions),
            inline_policies={"Watch": document(grants)},
        )
        for start in range(0, len(syncs), SYNCS_PER_LOOK):
            scheduler.CfnSchedule(
                self,
                f"Schedule{start // SYNCS_PER_LOOK}",
                description="Looks whether a sync is late",
                schedule_expression=f"rate({LOOK_EVERY.to_minutes():.0f} minutes)",
                flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
                target=scheduler.CfnSchedule.TargetProperty(
                    arn=arn,
                    role_arn=role.role_arn,
                    input=json.dumps({"syncs": list(syncs[start : start + SYNCS_PER_LOOK])}),
                    dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=undelivered.queue_arn),
                    retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                        maximum_event_age_in_seconds=600, maximum_retry_attempts=3
                    ),
                ),
            )
