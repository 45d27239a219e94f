"""The event buses of an account and region."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rowcast.errors import RowcastError
from workbench.aws import Aws


def client(
    project: Path, region: str, role: str | None, external_id: str | None, *, local: bool, profile: str | None
) -> Any:
    """For EventBridge, with the role's rights if there is one. No stack needs to be deployed."""
    from workbench.local import server

    state = server.running(project)
    if local and state is None:
        raise RowcastError("The embedded AWS is not running here. Start it with: rowcast local up")
    if state is not None and (local or profile is None):
        return Aws(local=state).client("events", region=region, account=role.split(":")[4] if role else None)
    aws = Aws(profile=profile)
    return _in_role(aws, region, role, external_id) if role else aws.client("events", region=region)


def _in_role(aws: Aws, region: str, role: str, external_id: str | None) -> Any:
    import boto3

    given = {"ExternalId": external_id} if external_id else {}
    got = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="rowcast-buses", **given)["Credentials"]
    return boto3.client(
        "events",
        region_name=region,
        aws_access_key_id=got["AccessKeyId"],
        aws_secret_access_key=got["SecretAccessKey"],
        aws_session_token=got["SessionToken"],
    )


def found(events: Any, region: str) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        page = events.list_event_buses(**token)
        for bus in page.get("EventBuses", []):
            yield {"name": bus["Name"], "arn": bus["Arn"], "region": region}
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}
