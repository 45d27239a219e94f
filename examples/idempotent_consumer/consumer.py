"""Consumers that act once on each change, though it may be sent more than once.

`on_event` is the target of an EventBridge rule, `on_rows` a sync's own Lambda destination. Both remember the ids of the
changes that they acted on in a DynamoDB table. `is_new` remembers states instead, for repeats across runs.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

CHANGE = "rowcast:change/"
STORE = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"])
CONFIG = IdempotencyConfig(expires_after_seconds=30 * 86_400)  # as long as Rowcast may finish a run that broke off


def on_event(event: dict[str, Any], context: Any) -> None:
    """An error lets EventBridge call again; the change is not remembered then."""
    CONFIG.register_lambda_context(context)
    [change_id] = [name.removeprefix(CHANGE) for name in event["resources"] if name.startswith(CHANGE)]
    act_once(change_id=change_id, row=event["detail"])


def on_rows(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A row that fails is named in the reply and comes again; those that were acted on are not acted on again."""
    CONFIG.register_lambda_context(context)
    metadata, errors = event["metadata"], []
    changes = zip(metadata["change_ids"], metadata["primary_key_values"], event["rows"], strict=True)
    for change_id, key, row in changes:
        try:
            act_once(change_id=change_id, row=row)
        except Exception as error:
            errors.append({"primary_key_value": key, "reason": f"{type(error).__name__}: {error}"})
    return {"errors": errors}


@idempotent_function(data_keyword_argument="change_id", persistence_store=STORE, config=CONFIG)
def act_once(*, change_id: str, row: dict[str, Any]) -> None:  # noqa: ARG001 - the id is what Powertools remembers
    act(row)


def act(row: dict[str, Any]) -> None:
    """The effect: here it would charge a card or send a letter."""
    if not row.get("email"):
        raise ValueError("the row has no email")


def is_new(table: Any, key: str, operation: str, row: dict[str, Any]) -> bool:
    """Whether this is another state than the last one of the key, which it is from now on."""
    state = hashlib.sha256(json.dumps([operation, row], sort_keys=True, default=str).encode()).hexdigest()
    try:
        table.put_item(
            Item={"id": key, "state": state},
            ConditionExpression="attribute_not_exists(id) OR #state <> :state",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":state": state},
        )
    except table.meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True
