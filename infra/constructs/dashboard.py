"""Two dashboards: the deployment at a glance, and one sync, which a menu chooses. Neither grows with the syncs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.alarms import LOOK_EVERY, Alarms
from infra.constructs.functions import Functions

NAMESPACE = "Rowcast"
PERIOD = Duration.minutes(5)
HOUR = 3600
WHOLE, HALF, THIRD, QUARTER, HEIGHT = 24, 12, 8, 6, 6
_GREEN, _RED, _ORANGE, _BLUE = "#2ca02c", "#d62728", "#ff7f0e", "#1f77b4"
_COLORS = {
    "Accepted": _GREEN,
    "Rejected": _RED,
    "InDoubt": _ORANGE,
    "Completed": _GREEN,
    "Failed": _RED,
    "Held": _ORANGE,
    "FailedCalls": _RED,
    "ThrottledCalls": _ORANGE,
}
"""What is bad is drawn first, at the bottom of its stack, where even a little of it is seen."""


class Dashboards(Construct):
    """`name`: the deployment's, the metrics' dimension `service`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        syncs: Sequence[str],
        state_machine: sfn.StateMachine,
        functions: Functions,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name = name
        deployment = cloudwatch.Dashboard(self, "Deployment", default_interval=Duration.days(1))
        for row in self._of_deployment(state_machine, functions, alarms):
            deployment.add_widgets(*row)
        if syncs:
            one = cloudwatch.Dashboard(
                self, "Sync", default_interval=Duration.days(7), variables=[_menu("sync", "Sync", sorted(syncs))]
            )
            for row in self._of_sync(sorted(syncs)[0]):
                one.add_widgets(*row)

    def _of_deployment(
        self, state_machine: sfn.StateMachine, functions: Functions, alarms: Alarms
    ) -> list[list[cloudwatch.IWidget]]:
        handlers = functions.all
        return [
            [
                cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms.shown, width=HALF, height=HEIGHT),
                self._graph("Runs", self._totals("Failed", "Held", "Completed"), width=QUARTER, stacked=True),
                self._graph("Syncs that are late", [self._of_looks("LateSyncs", _RED)], width=QUARTER),
            ],
            [
                self._graph("What became of changes", self._totals("Rejected", "InDoubt", "Accepted"), stacked=True),
                self._graph("Rows owed, by sync", [self._by_sync("Owed")]),
                self._graph(
                    "Age of the oldest debt (hours)",
                    [self._by_sync("OldestDebtSeconds", over=HOUR), self._longest_owed()],
                ),
            ],
            [
                self._graph("Seconds of a run, by sync", [self._by_sync("Seconds")]),
                self._graph("Rows in the model, by sync", [self._by_sync("Rows")]),
                self._graph(
                    "Calls, and those that were throttled or failed",
                    self._totals("Calls", "ThrottledCalls", "FailedCalls"),
                ),
            ],
            [
                self._graph(
                    "Errors of functions",
                    [one.function.metric_errors(period=PERIOD, label=one.node.id) for one in handlers],
                ),
                self._graph(
                    "Longest call of functions (ms)",
                    [
                        one.function.metric_duration(period=PERIOD, statistic="Maximum", label=one.node.id)
                        for one in handlers
                    ],
                ),
                self._graph(
                    "Executions",
                    [
                        state_machine.metric_started(period=PERIOD, label="Started"),
                        state_machine.metric_succeeded(period=PERIOD, label="Succeeded", color=_GREEN),
                        state_machine.metric_failed(period=PERIOD, label="Failed", color=_RED),
                        state_machine.metric_timed_out(period=PERIOD, label="Timed out", color=_ORANGE),
                    ],
                ),
            ],
        ]

    def _of_sync(self, sync: str) -> list[list[cloudwatch.IWidget]]:
        def of(*names: str, statistic: str = "Sum") -> list[cloudwatch.IMetric]:
            return [self._metric(name, sync, statistic) for name in names]

        return [
            [
                cloudwatch.SingleValueWidget(
                    title="Last run",
                    metrics=of("Rows", "Accepted", "Rejected", "InDoubt", "Owed", "Seconds", statistic="Maximum"),
                    width=WHOLE,
                    height=3,
                )
            ],
            [
                self._graph("Runs", of("Failed", "Held", "Completed"), stacked=True),
                self._graph("Changes found", of("Added", "Changed", "Removed", "Skipped"), stacked=True),
                self._graph("What became of them", of("Rejected", "InDoubt", "Accepted"), stacked=True),
            ],
            [
                self._graph(
                    "Seconds of each stage",
                    of("SnapshotSeconds", "DiffSeconds", "FanOutSeconds", statistic="Maximum"),
                    stacked=True,
                ),
                self._graph("Rows in the model", of("Rows", statistic="Maximum")),
                self._graph("Rows owed", of("Owed", statistic="Maximum")),
            ],
            [
                self._graph("Age of the oldest debt (hours)", [self._hours("OldestDebtSeconds", sync)]),
                self._graph(
                    "Calls, and those that were throttled or failed", of("Calls", "ThrottledCalls", "FailedCalls")
                ),
                self._graph("Bytes sent", of("BytesSent")),
            ],
        ]

    def _metric(self, metric: str, sync: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=metric,
            dimensions_map={"service": self._name, "sync": sync},
            statistic=statistic,
            period=PERIOD,
            label=_label(metric),
            color=_COLORS.get(metric),
        )

    def _of_looks(self, metric: str, color: str) -> cloudwatch.Metric:
        """What is measured of all syncs together, every time that the watch looks."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=metric,
            dimensions_map={"service": self._name},
            statistic="Maximum",
            period=LOOK_EVERY,
            label=_label(metric),
            color=color,
        )

    def _longest_owed(self) -> cloudwatch.IMetric:
        return cloudwatch.MathExpression(
            expression=f"longest/{HOUR}",
            label="now, of all",
            color=_RED,
            period=LOOK_EVERY,
            using_metrics={"longest": self._of_looks("LongestOwedSeconds", _RED)},
        )

    def _hours(self, metric: str, sync: str) -> cloudwatch.IMetric:
        seconds = self._metric(metric, sync, "Maximum")
        return cloudwatch.MathExpression(
            expression=f"seconds/{HOUR}", label=_label(metric), period=PERIOD, using_metrics={"seconds": seconds}
        )

    def _totals(self, *metrics: str) -> list[cloudwatch.IMetric]:
        return [
            cloudwatch.MathExpression(
                expression=f"SUM({self._search(metric, 'Sum')})",
                label=_label(metric),
                color=_COLORS.get(metric),
                period=PERIOD,
                using_metrics={},
            )
            for metric in metrics
        ]

    def _by_sync(self, metric: str, *, over: int = 1) -> cloudwatch.IMetric:
        """A line for each sync, under its name; divided by `over`."""
        expression = self._search(metric, "Maximum") + (f"/{over}" if over != 1 else "")
        return cloudwatch.MathExpression(
            expression=expression, label="${PROP('Dim.sync')}", period=PERIOD, using_metrics={}
        )

    def _search(self, metric: str, statistic: str) -> str:
        """Finds the metric of every sync that has one."""
        pattern = f'{{{NAMESPACE},service,sync}} service="{self._name}" MetricName="{metric}"'
        return f"SEARCH('{pattern}', '{statistic}', {PERIOD.to_seconds():.0f})"

    @staticmethod
    def _graph(
        title: str, metrics: Sequence[cloudwatch.IMetric], *, width: int = THIRD, stacked: bool = False
    ) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title=title,
            left=list(metrics),
            width=width,
            height=HEIGHT,
            stacked=stacked,
            left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        )


def _label(metric: str) -> str:
    """`InDoubt` as people read it; that seconds are seconds, a widget's title says."""
    words = re.findall("[A-Z][a-z]*", metric)
    return " ".join(words if len(words) == 1 else [word for word in words if word != "Seconds"]).capitalize()


def _menu(dimension: str, label: str, values: Sequence[str]) -> cloudwatch.DashboardVariable:
    return cloudwatch.DashboardVariable(
        id=dimension,
        type=cloudwatch.VariableType.PROPERTY,
        label=label,
        input_type=cloudwatch.VariableInputType.SELECT,
        value=dimension,
        values=cloudwatch.Values.from_values(*(cloudwatch.VariableValue(label=one, value=one) for one in values)),
        default_value=cloudwatch.DefaultValue.value(values[0]),
        visible=True,
    )
