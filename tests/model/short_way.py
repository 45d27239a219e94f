"""The short way into moto's DynamoDB: a call's parameters go to its operation, and the answer comes back, without the
request, the signature and the reply that HTTP would need. A sweep makes hundreds of thousands of such calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

METHODS = {
    "GetItem": "get_item",
    "BatchGetItem": "batch_get_item",
    "Query": "query",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "BatchWriteItem": "batch_write_item",
    "TransactWriteItems": "transact_write_items",
}


def shorten(client: Any, account: str) -> None:
    """Lets the client's calls take the short way; what DynamoDB refuses goes the long way, and is refused there."""

    def keep(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["asked"] = params

    def answer(model: Any, context: dict[str, Any], **_: Any) -> Any:
        if model.name not in METHODS:
            return None
        try:
            found = getattr(_handler(account, client.meta.region_name, context["asked"]), METHODS[model.name])()
        except Exception:
            return None
        reply = {name: value for name, value in _copied(found.result).items() if value is not None}
        return SimpleNamespace(status_code=200), {"ResponseMetadata": {"HTTPStatusCode": 200}, **reply}

    client.meta.events.register_last("provide-client-params.dynamodb.*", keep)
    client.meta.events.register_last("before-call.dynamodb.*", answer)


def _handler(account: str, region: str, asked: dict[str, Any]) -> Any:
    from moto.dynamodb.responses import DynamoHandler

    handler = DynamoHandler()
    handler.current_account, handler.region = account, region
    handler.body = handler.params = _copied(asked)
    return handler


def _copied(value: Any) -> Any:
    """Apart from the tables, as what has been on a wire is."""
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list | tuple) else value


@contextmanager
def made_once() -> Iterator[None]:
    """Within, moto parses each update expression once, of which whoever works with one takes a copy; and clients do not
    put together anew with each call what they call themselves."""
    from botocore.useragent import UserAgentString
    from moto.dynamodb.parsing.expressions import UpdateExpressionParser

    make, name = UpdateExpressionParser.__dict__["make"], UserAgentString.to_string
    UpdateExpressionParser.make = staticmethod(cache(UpdateExpressionParser.make))  # type: ignore[method-assign]
    UserAgentString.to_string = lambda self: "sweep"  # type: ignore[method-assign]
    try:
        yield
    finally:
        UpdateExpressionParser.make, UserAgentString.to_string = make, name  # type: ignore[method-assign]
