"""`python -m tests.model.frozen FOLDER`: all that a deployment keeps, written down as it lies in AWS, in mid-run.

What is frozen under tests/fixtures/ is what a release left behind in accounts. It is never made anew: a release that
changes a form adds a folder, and reads the ones before.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from tests.model.aws_world import ACCOUNT, BUCKET, REGION, AwsWorld, Died, aws_world

TABLES = ("state", "changes", "debts")
ROWS = [{"id": number, "v": f"row {number}"} for number in range(1, 7)]
LATER = [
    {"id": 1, "v": "changed"},
    *[row for row in ROWS[1:] if row["id"] != 4],
    {"id": 7, "v": "new"},
]


def live() -> dict[str, Any]:
    """A run of which a row was rejected; then one that dies after it sent something, and before it wrote that down."""
    with aws_world() as world:
        world.source.rows = [dict(row) for row in ROWS]
        world.answer = lambda key, attempt: "rejected" if key == 2 else "accepted"
        assert world.run()["status"] == "completed"
        notices = _messages("retry")
        world.ask("plan")
        world.source.rows = [dict(row) for row in LATER]
        world.gone_with_worker = True
        world.hook = die_after_sending(world)
        assert world.run()["status"] == "gone"
        return {**kept(world), "queues": {"retry": notices, "quarantine": []}}  # SQS may deliver a message again


def die_after_sending(world: AwsWorld) -> Any:
    def hook(side: str, name: str) -> None:
        if (side, name) == ("after", "PutEvents"):
            world.hook = lambda side, name: None
            raise Died

    return hook


def kept(world: AwsWorld) -> dict[str, Any]:
    world.hook = lambda side, name: None
    dynamodb, s3, ssm = (world.client(name) for name in ("dynamodb", "s3", "ssm"))
    objects = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    prefix = "/stack/syncs/"
    return {
        "clock": world.clock.time,
        "tables": {name: [_plain(item) for item in dynamodb.scan(TableName=name)["Items"]] for name in TABLES},
        "objects": {
            one["Key"]: b64encode(s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()).decode()
            for one in objects
        },
        "parameters": {one["Name"]: one["Value"] for one in ssm.get_parameters_by_path(Path=prefix)["Parameters"]},
        "arrived": {str(one.key): one.row for one in world.arrivals if one.took_effect},
        "accepted": sorted(one.id for one in world.arrivals if one.said and one.run == min(world.snapshots)),
        "unnoted": sorted(one.id for one in world.arrivals if one.run == max(world.snapshots)),
    }


def restore(state: dict[str, Any], world: AwsWorld) -> None:
    world.clock.time = state["clock"]
    world.starts = 100
    for name, items in state["tables"].items():
        for item in items:
            world.client("dynamodb").put_item(TableName=name, Item=_typed(item))
    for key, body in state["objects"].items():
        world.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b64decode(body))
    urls = {"retry": world.queue_url, "quarantine": world.quarantine_url}
    for name, bodies in state.get("queues", {}).items():
        for body in bodies:
            world.client("sqs").send_message(QueueUrl=urls[name], MessageBody=body)
    for name, value in state["parameters"].items():
        world.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


def _messages(name: str) -> list[str]:
    from moto.sqs.models import sqs_backends

    return [message.body for message in sqs_backends[ACCOUNT][REGION].queues[name]._messages]


def _plain(value: Any) -> Any:
    """An item as JSON: bytes as base64 under DynamoDB's own tag."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return b64encode(value).decode() if isinstance(value, bytes) else value


def _typed(item: dict[str, Any]) -> dict[str, Any]:
    return {name: {"B": b64decode(one["B"])} if "B" in one else one for name, one in item.items()}


def load(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / "deployment.json").read_text(encoding="utf-8"))
    return state


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=False)
    (folder / "deployment.json").write_text(json.dumps(live(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
