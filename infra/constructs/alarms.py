"""The alarms that matter from the first day, and the encrypted topic they speak through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.functions import Handler
from infra.constructs.storage import refusing_others

T = TypeVar("T")
PERIOD = Duration.minutes(5)
NEAR = 0.9
"""Of a function's time limit: whoever needs more will soon run out of it."""
THROTTLED = 50
LOOK_EVERY = Duration.minutes(15)
SHOWN = 100
"""Alarms that a widget of a dashboard takes."""
LOOKS = 2
"""That must agree: between a deployment's steps a sync is listed which cannot be looked at yet."""
TOLD_BY_ALERTS = ("RunFailed", "SyncsLate", "FunctionErrors")
FAILED = (
    "A step failed; where that is safe, Step Functions has repeated it. If the run ended by it, its record says why."
)
UNTOLD = (
    "The watch, or the step that records failures, failed: of a run that failed or is late nobody may have been told."
)


class Alarms(Construct):
    """`name`: the deployment's. Every alarm speaks through the topic; those whose names begin with `prefix` tell the
    channels too. What a sync's own alert tells, which knows more, is not among them: nobody is told twice.

    CloudWatch cannot publish to a topic under AWS's own SNS key, hence the topic's key.
    """

    def __init__(self, scope: Construct, construct_id: str, *, name: str) -> None:
        super().__init__(scope, construct_id)
        self._own: list[cloudwatch.IAlarm] = []
        self._of_syncs: list[cloudwatch.IAlarm] = []
        self._name, self.prefix = name, f"{name}/platform/"
        cloudwatch_here = iam.ServicePrincipal(
            "cloudwatch.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        )
        self.key = kms.Key(
            self,
            "Key",
            description="Encrypts Rowcast's alarms",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,  # it opens nothing but messages on their way
        )
        self.key.add_to_resource_policy(_by(cloudwatch_here, ["kms:Decrypt", "kms:GenerateDataKey*"], "*"))
        self.topic = sns.Topic(self, "Topic", display_name="Rowcast", master_key=self.key, enforce_ssl=True)
        self.topic.add_to_resource_policy(refusing_others(self, "sns:Publish", self.topic.topic_arn))
        self.topic.add_to_resource_policy(_by(cloudwatch_here, ["sns:Publish"], self.topic.topic_arn))

    @property
    def shown(self) -> list[cloudwatch.IAlarm]:
        """As many as a dashboard can, the deployment's own first: one of those watches all syncs' debts together."""
        return [*self._own, *self._of_syncs][:SHOWN]

    def on_failed_runs(self, state_machine: sfn.StateMachine) -> None:
        for construct_id, metric in (
            ("RunFailed", state_machine.metric_failed(period=PERIOD)),
            ("RunTimedOut", state_machine.metric_timed_out(period=PERIOD)),
            ("RunAborted", state_machine.metric_aborted(period=PERIOD)),
        ):
            self._alarm(construct_id, metric, 1, "A run failed. Its record says why; what it owes stays owed.")

    def on_undelivered_schedules(self, queue: sqs.Queue) -> None:
        self._on_messages("ScheduleNotDelivered", queue, "EventBridge Scheduler could not start a run, or the watch.")

    def on_undelivered_alerts(self, queue: sqs.Queue) -> None:
        text = "A channel did not take an alert: its address or secret is wrong."
        self._on_messages("AlertNotDelivered", queue, text)

    def on_quarantine(self, queue: sqs.Queue) -> None:
        text = "A retry queue held a message that names no debt, or that open cannot take."
        self._on_messages("Quarantined", queue, text)

    def _on_messages(self, construct_id: str, queue: sqs.Queue, text: str) -> None:
        metric = queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum")
        self._alarm(construct_id, metric, 1, text)

    def on_functions(self, handlers: Sequence[Handler], tellers: Sequence[Handler]) -> None:
        """Functions share alarms by tens: an alarm takes ten metrics at most. `tellers`: those of them without which a
        failure is told by no alert."""
        errors = [one.function.metric_errors(period=PERIOD) for one in tellers]
        self._together("UntoldErrors", 0, errors, 1, UNTOLD)
        others = [one.function.metric_errors(period=PERIOD) for one in handlers if one not in tellers]
        for number, metrics in enumerate(_tens(others)):
            self._together("FunctionErrors", number, metrics, 1, FAILED)
        for number, some in enumerate(_tens(handlers)):
            functions = [handler.function for handler in some]
            throttles = [one.metric_throttles(period=PERIOD) for one in functions]
            self._together("FunctionsThrottled", number, throttles, 10, "The account's concurrency is used up.")
        for number, some in enumerate(_tens([handler for handler in handlers if not handler.capacity.pauses])):
            longest = {
                f"m{i}": handler.function.metric_duration(period=PERIOD, statistic="Maximum")
                for i, handler in enumerate(some)
            }
            shares = ", ".join(f"m{i}/{1000 * handler.capacity.seconds}" for i, handler in enumerate(some))
            metric = cloudwatch.MathExpression(expression=f"MAX([{shares}])", using_metrics=longest, period=PERIOD)
            self._alarm(f"TimeOutsNear{number or ''}", metric, NEAR, "A function used nearly all of its time.")

    def _together(
        self, construct_id: str, number: int, metrics: Sequence[cloudwatch.IMetric], threshold: float, text: str
    ) -> None:
        named = {f"m{i}": metric for i, metric in enumerate(metrics)}
        total = cloudwatch.MathExpression(expression="SUM(METRICS())", using_metrics=named, period=PERIOD)
        self._alarm(f"{construct_id}{number or ''}", total, threshold, text)

    def on_throttled_destinations(self, syncs: Sequence[str]) -> None:
        for number, some in enumerate(_tens(sorted(syncs))):
            calls = {
                f"m{i}": cloudwatch.Metric(
                    namespace="Rowcast",
                    metric_name="ThrottledCalls",
                    dimensions_map={"service": self._name, "sync": sync},
                    statistic="Sum",
                    period=PERIOD,
                )
                for i, sync in enumerate(some)
            }
            metric = cloudwatch.MathExpression(expression="SUM(METRICS())", using_metrics=calls, period=PERIOD)
            text = "Destinations turn calls away: give a sync a rate, or a lower one."
            self._alarm(f"DestinationsThrottled{number or ''}", metric, THROTTLED, text, periods=3)

    def on_late_syncs(self) -> None:
        """Channels hear of a sync that is late by its own alert."""
        text = "Syncs have no completed run in time, or could not be looked at: rowcast alerts list"
        self._alarm("SyncsLate", self._of_looks("LateSyncs"), 1, text, periods=LOOKS, unknown=True)

    def on_long_owed(self, *, age: Duration) -> None:
        text = "A row of some sync is owed for too long: rowcast runs tells which sync, rowcast rejects SYNC the rows."
        longest = self._of_looks("LongestOwedSeconds")
        self._alarm("RowsLongOwed", longest, age.to_seconds(), text, periods=LOOKS, unknown=True)

    def _of_looks(self, metric: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="Rowcast",
            metric_name=metric,
            dimensions_map={"service": self._name},
            statistic="Maximum",
            period=LOOK_EVERY,
        )

    def on_old_debts(self, stack: Construct, *, sync: str, queue: sqs.Queue, age: Duration) -> None:
        """`stack`: the sync's, where the alarm is deployed."""
        metric = queue.metric_approximate_age_of_oldest_message(period=PERIOD, statistic="Maximum")
        text = f"Rows of the sync {sync} have waited too long for another try: rowcast rejects {sync}"
        self._alarm(f"OldDebts-{sync}", metric, age.to_seconds(), text, stack=stack)

    def _alarm(
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        description: str,
        periods: int = 1,
        *,
        unknown: bool = False,
        stack: Construct | None = None,
    ) -> None:
        """`unknown`: no data is no good news, since something measures all the time."""
        missing = cloudwatch.TreatMissingData
        told = construct_id.rstrip("0123456789") in TOLD_BY_ALERTS
        name = (f"{self._name}/runs/" if told else self.prefix) + construct_id
        alarm = cloudwatch.Alarm(
            stack or self,
            construct_id,
            alarm_name=name,
            metric=metric,
            alarm_description=description,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=missing.MISSING if unknown else missing.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        if stack is None:
            self._own.append(alarm)
        else:  # by its name, so that what shows it does not wait for that stack
            self._of_syncs.append(cloudwatch.Alarm.from_alarm_name(self, construct_id, name))


def _by(principal: iam.IPrincipal, what: list[str], resource: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(principals=[principal], actions=what, resources=[resource])


def _tens(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), 10):
        yield things[start : start + 10]
