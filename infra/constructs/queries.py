"""A saved query of CloudWatch Logs for each question that operators ask."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_logs as logs
from constructs import Construct

_STEPS = "fields @timestamp, message, sync, run, partition, chunks, seconds, peak_mb, error"
QUERIES = {
    "What happened in a run": f"{_STEPS}\n| filter run = 'PUT THE RUN HERE'\n| sort @timestamp asc\n| limit 1000",
    "What a sync did lately": f"{_STEPS}\n| filter sync = 'PUT THE SYNC HERE' and not ispresent(partition)\n"
    "| sort @timestamp desc\n| limit 200",
    "Errors by sync": "filter level = 'ERROR'\n"
    "| stats count() as times, latest(@timestamp) as last by sync, error, message\n"
    "| sort times desc",
    "Slowest partitions and chunks": f"{_STEPS}\n| filter ispresent(seconds)\n| sort seconds desc\n| limit 50",
    "Time by sync and step": "filter ispresent(seconds)\n"
    "| stats sum(seconds) as total, max(seconds), count() as calls by sync, message\n| sort total desc",
    "Memory and time by step": "filter ispresent(peak_mb)\n"
    "| stats count() as calls, avg(seconds), max(seconds), max(peak_mb) by message",
    "Functions that ran out of time or memory": "fields @timestamp, @log, @message\n"
    "| filter @message like /Task timed out|OutOfMemory|Runtime exited/\n| sort @timestamp desc\n| limit 100",
    "Cold starts": "filter @type = 'REPORT'\n"
    "| stats count(@initDuration) as cold, count() as calls, avg(@initDuration), max(@maxMemoryUsed / 1000000) by @log",
    "Alerts that could not be judged": f"{_STEPS}\n| filter message like /No alert could be judged/\n"
    "| sort @timestamp desc",
}

MOST_GROUPS = 50
"""That a query takes. https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html"""


class Queries(Construct):
    """In the console under Logs Insights, in the folder of the deployment."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str, groups: Sequence[logs.ILogGroup]) -> None:
        super().__init__(scope, construct_id)
        for title, query in QUERIES.items():
            logs.CfnQueryDefinition(
                self,
                "".join(word.capitalize() for word in title.split()),
                name=f"Rowcast/{name}/{title}",
                query_string=query,
                log_group_names=[group.log_group_name for group in groups[:MOST_GROUPS]],
            )
