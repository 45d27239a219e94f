"""Two dashboards: the deployment at a glance, and one sync, which a menu chooses. Neither grows with the syncs."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.constructs.functions import Functions

NAMESPACE = "Rowcast"
PERIOD = Duration.minutes(5)
WHOLE, HALF, THIRD, HEIGHT = 24, 12, 8, 6
_GREEN, _RED, _ORANGE, _BLUE = "#2ca02c", "#d62728", "#ff7f0e", "#1f77b4"
_COLORS = {
    "Accepted": _GREEN,
    "Rejected": _RED,
    "InDoubt": _ORANGE,
    "Completed": _GREEN,
    "Failed": _RED,
    "Held": _ORANGE,
}


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
                cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms.all, width=HALF, height=HEIGHT),
                self._graph("Runs", self._totals("Completed", "Failed", "Held"), width=HALF, stacked=True),
            ],
            [
                self._graph("What became of changes", self._totals("Accepted", "Rejected", "InDoubt"), stacked=True),
                self._graph("Rows owed, by sync", [self._by_sync("Owed", "Maximum")]),
                self._graph("Age of the oldest debt, by sync (s)", [self._by_sync("OldestDebtSeconds", "Maximum")]),
            ],
            [
                self._graph("Seconds of a run, by sync", [self._by_sync("Seconds", "Maximum")]),
                self._graph("Rows in the model, by sync", [self._by_sync("Rows", "Maximum")]),
                self._graph(
                    "Calls, and those that were throttled or failed",
                    self._totals("Calls", "ThrottledCalls", "FailedCalls"),
                ),
            ],
            [
                self._graph("Errors of functions", [one.function.metric_errors(period=PERIOD) for one in handlers]),
                self._graph(
                    "Longest call (ms)",
                    [one.function.metric_duration(period=PERIOD, statistic="Maximum") for one in handlers],
                ),
                self._graph(
                    "Executions",
                    [
                        state_machine.metric_started(period=PERIOD),
                        state_machine.metric_succeeded(period=PERIOD, color=_GREEN),
                        state_machine.metric_failed(period=PERIOD, color=_RED),
                        state_machine.metric_timed_out(period=PERIOD, color=_ORANGE),
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
                self._graph("Runs", of("Completed", "Failed", "Held"), stacked=True),
                self._graph("Changes found", of("Added", "Changed", "Removed", "Skipped"), stacked=True),
                self._graph("What became of them", of("Accepted", "Rejected", "InDoubt"), stacked=True),
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
                self._graph("Age of the oldest debt (s)", of("OldestDebtSeconds", statistic="Maximum")),
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
            label=metric,
            color=_COLORS.get(metric),
        )

    def _totals(self, *metrics: str) -> list[cloudwatch.IMetric]:
        return [
            cloudwatch.MathExpression(
                expression=f"SUM({self._search(metric, 'Sum')})",
                label=metric,
                color=_COLORS.get(metric),
                period=PERIOD,
                using_metrics={},
            )
            for metric in metrics
        ]

    def _by_sync(self, metric: str, statistic: str) -> cloudwatch.IMetric:
        return cloudwatch.MathExpression(
            expression=self._search(metric, statistic), label="", period=PERIOD, using_metrics={}
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
