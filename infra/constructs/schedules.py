"""The schedules that start syncs, in a group of their own, whose role may start the state machine and no more."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IConstruct

from infra.constructs.grants import Grant, document
from project.model import Schedule

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


class Schedules(Construct):
    """A start that cannot be delivered ends in `undelivered`."""

    def __init__(
        self, scope: Construct, construct_id: str, *, state_machine: sfn.StateMachine, undelivered: sqs.Queue
    ) -> None:
        super().__init__(scope, construct_id)
        self._target, self._undelivered = state_machine.state_machine_arn, undelivered.queue_arn
        self._group = scheduler.CfnScheduleGroup(self, "Group")
        account = Stack.of(self).account
        principal = iam.ServicePrincipal(
            "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": account}}
        )
        grants = [
            Grant(("states:StartExecution",), (self._target,)),
            Grant(("sqs:SendMessage",), (self._undelivered,)),
        ]
        self._role = iam.Role(
            self,
            "Role",
            assumed_by=principal,
            inline_policies={"Start": document(grants)},
        )

    def add(
        self, scope: Construct, construct_id: str, *, sync: str, schedule: Schedule, after: Sequence[IConstruct]
    ) -> None:
        """At-least-once, as EventBridge Scheduler is: the scheduled time makes two starts one run.

        `after`: what a run of the sync needs, since a rate starts the first one as soon as there is a schedule.
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
        """
        assert schedule.expression is not None, "a manual sync has no schedule"
        made = scheduler.CfnSchedule(
            scope,
            construct_id,
            description=f"Starts the sync {sync}",
            group_name=self._group.ref,
            schedule_expression=schedule.expression,
            schedule_expression_timezone=schedule.timezone,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self._target,
                role_arn=self._role.role_arn,
                input=json.dumps({"sync": sync, "scheduled_at": SCHEDULED_TIME}),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=self._undelivered),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=3600, maximum_retry_attempts=20
                ),
            ),
        )
        made.node.add_dependency(*after)
