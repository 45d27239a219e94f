"""The alarms that matter from the first day, and the encrypted topic they speak through."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

PERIOD = Duration.minutes(5)


class Alarms(Construct):
    """CloudWatch cannot publish to a topic under AWS's own SNS key, hence the topic's key."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        cloudwatch_here = iam.ServicePrincipal(
            "cloudwatch.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        )
        self.key = kms.Key(self, "Key", description="Encrypts Rowcast's alarms", enable_key_rotation=True)
        self.key.add_to_resource_policy(_by(cloudwatch_here, ["kms:Decrypt", "kms:GenerateDataKey*"], "*"))
        self.topic = sns.Topic(self, "Topic", display_name="Rowcast", master_key=self.key, enforce_ssl=True)
        self.topic.add_to_resource_policy(_by(cloudwatch_here, ["sns:Publish"], self.topic.topic_arn))

    def on_failed_runs(self, state_machine: sfn.StateMachine) -> None:
        for construct_id, metric in (
            ("RunFailed", state_machine.metric_failed(period=PERIOD)),
            ("RunTimedOut", state_machine.metric_timed_out(period=PERIOD)),
            ("RunAborted", state_machine.metric_aborted(period=PERIOD)),
        ):
            self._alarm(construct_id, metric, 1, "A run failed. Its record says why; what it owes stays owed.")

    def on_undelivered_schedules(self, queue: sqs.Queue) -> None:
        metric = queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum")
        self._alarm("ScheduleNotDelivered", metric, 1, "EventBridge Scheduler could not start a run.")

    def on_undelivered_alerts(self, queue: sqs.Queue) -> None:
        metric = queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum")
        self._alarm("AlertNotDelivered", metric, 1, "A channel did not take an alert: its address or secret is wrong.")

    def on_old_debts(self, sync: str, queue: sqs.Queue, *, age: Duration) -> None:
        metric = queue.metric_approximate_age_of_oldest_message(period=PERIOD, statistic="Maximum")
        text = f"Rows of the sync {sync} have waited too long for another try: rowcast rejects {sync}"
        self._alarm(f"OldDebts-{sync}", metric, age.to_seconds(), text)

    def _alarm(self, construct_id: str, metric: cloudwatch.Metric, threshold: float, description: str) -> None:
        alarm = metric.create_alarm(
            self,
            construct_id,
            alarm_description=description,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))


def _by(principal: iam.IPrincipal, what: list[str], resource: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(principals=[principal], actions=what, resources=[resource])
