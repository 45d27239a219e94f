"""Items and transactions of DynamoDB. Every table has the string keys `pk` and `sk`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rowcast import clienterror
from rowcast.errors import RunFailed
from rowcast.ports import Clock
from rowcast.stores import aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
_AGAIN = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


def text(value: str) -> dict[str, str]:
    return {"S": value}


def number(value: float) -> dict[str, str]:
    return {"N": str(value)}


def flag(value: bool) -> dict[str, bool]:
    return {"BOOL": value}


def key(pk: str, sk: str) -> Item:
    return {"pk": text(pk), "sk": text(sk)}


def is_failed_condition(error: ClientError) -> bool:
    if clienterror.code(error) == "ConditionalCheckFailedException":
        return True
    return "ConditionalCheckFailed" in _reasons(error)


def transact(client: DynamoDBClient, clock: Clock, items: Sequence[Item]) -> bool:
    """All of `items` or none; False when a condition failed. Conflicts with other transactions are tried again.

    boto3 gives each call a ClientRequestToken of its own and keeps it over the SDK's retries.
    """
    reasons: set[str] = set()
    for _ in aws.tries(clock):
        try:
            client.transact_write_items(TransactItems=items)  # type: ignore[arg-type]
        except ClientError as error:
            if is_failed_condition(error):
                return False
            reasons = _reasons(error)
            if not reasons & _AGAIN and clienterror.code(error) != "TransactionInProgressException":
                raise
        else:
            return True
    raise RunFailed(f"DynamoDB kept refusing a transaction: {', '.join(sorted(reasons))}.")


def query(client: DynamoDBClient, **arguments: Any) -> Iterator[Item]:
    """All items of a consistent query, over all its pages."""
    for page in client.get_paginator("query").paginate(ConsistentRead=True, **arguments):
        yield from page["Items"]


def query_prefix(client: DynamoDBClient, table: str, pk: str, prefix: str, **arguments: Any) -> Iterator[Item]:
    return query(
        client,
        TableName=table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":pk": text(pk), ":prefix": text(prefix)},
        **arguments,
    )


def get(client: DynamoDBClient, table: str, pk: str, sk: str) -> Item | None:
    return client.get_item(TableName=table, Key=key(pk, sk), ConsistentRead=True).get("Item")


def _reasons(error: ClientError) -> set[str]:
    return {str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])}
