"""The AWS calls of whole runs, counted at the clients: real handlers and adapters, over moto."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from rowcast.models import Row
from tests.model.aws_world import AwsWorld

WORDS = [f"word{number * 7919 % 100_003}" for number in range(500)]
SERVICES = {
    **dict.fromkeys(
        ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "BatchWriteItem", "TransactWriteItems"),
        "dynamodb",
    ),
    **dict.fromkeys(("PutObject", "GetObject", "HeadObject", "ListObjectsV2", "DeleteObject", "DeleteObjects"), "s3"),
    **dict.fromkeys(("PutEvents", "DescribeEventBus"), "events"),
    **dict.fromkeys(("Invoke", "GetFunctionConfiguration"), "lambda"),
    **dict.fromkeys(("ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch"), "sqs"),
    **dict.fromkeys(("AssumeRole", "GetCallerIdentity"), "sts"),
    "GetParameter": "ssm",
    "DescribeExecution": "states",
}


class Counting:
    """A world of so many rows, and the AWS calls of one run after the other."""

    def __init__(self, world: AwsWorld, rows: int) -> None:
        self.world = world
        self.calls: Counter[tuple[str, str]] = Counter()
        self.invocations: Counter[str] = Counter()
        self.chance = random.Random(7)
        world.hook = self._called
        world.on_invoke = lambda handler, event: self.invocations.update([handler])
        world.source.rows = [self.row(number) for number in range(rows)]

    def _called(self, side: str, name: str) -> None:
        if side == "after":
            self.calls[SERVICES[name], name] += 1

    def row(self, number: int) -> Row:
        return {"id": number, "v": " ".join(self.chance.choices(WORDS, k=15))}

    def change(self, count: int) -> None:
        rows = self.world.source.rows
        for index in self.chance.sample(range(len(rows)), count):
            rows[index] = self.row(rows[index]["id"])

    def run(self) -> dict[str, Any]:
        self.calls.clear()
        self.invocations.clear()
        summary = self.world.run()
        assert summary["status"] == "completed"
        return summary
