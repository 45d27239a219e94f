"""The item `alerts` of a sync in the state table, and the bus on which alerts are announced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import ClientError

from rowcast.alerting import Alert, Book
from rowcast.errors import RunFailed
from rowcast.stores import stored
from rowcast.stores.dynamo import get, is_failed_condition, key, number, text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

DETAIL_TYPES = {"raised": "Rowcast Alert Raised", "recovered": "Rowcast Alert Recovered"}
_ENTRIES = 10
_decoder = msgspec.json.Decoder(Book)


class DynamoAlerts:
    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def book(self, sync: str) -> tuple[Book | None, int]:
        item = get(self._client, self._table, sync, "alerts")
        if item is None:
            return None, 0
        return stored.read(_decoder, item["body"]["S"], f"What is known of the alerts of {sync}"), int(
            item["kept"]["N"]
        )

    def keep(self, book: Book, version: int) -> bool:
        condition = "kept = :before" if version else "attribute_not_exists(kept)"
        values = {":body": text(msgspec.json.encode(book).decode()), ":kept": number(version + 1)}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key(book.sync, "alerts"),
                UpdateExpression="SET body = :body, kept = :kept",
                ConditionExpression=condition,
                ExpressionAttributeValues={**values, **({":before": number(version)} if version else {})},
            )
        except ClientError as error:
            if is_failed_condition(error):
                return False
            raise
        return True


class EventBridgeAnnouncer:
    def __init__(self, *, client: EventBridgeClient, bus: str, deployment: str) -> None:
        self._client = client
        self._bus = bus
        self._deployment = deployment

    def announce(self, alerts: Sequence[Alert]) -> None:
        for start in range(0, len(alerts), _ENTRIES):
            reply = self._client.put_events(
                Entries=[
                    {
                        "EventBusName": self._bus,
                        "Source": "rowcast",
                        "DetailType": DETAIL_TYPES[alert.status],
                        "Detail": self._detail(alert),
                        "Resources": [f"rowcast:sync/{alert.sync}"],
                    }
                    for alert in alerts[start : start + _ENTRIES]
                ]
            )
            if reply["FailedEntryCount"]:
                raise RunFailed("EventBridge did not take an alert; it is kept and announced at the next look.")

    def _detail(self, alert: Alert) -> str:
        return msgspec.json.encode({"deployment": self._deployment, **msgspec.structs.asdict(alert)}).decode()
