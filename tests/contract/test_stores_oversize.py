from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from rowcast.definition import Message
from rowcast.errors import MessageInvalid
from rowcast.models import from_json
from tests.contract.conftest import BUCKET, Stores, definition
from tests.contract.test_destinations import a_message


def oversize(aws: Stores, **message: Any) -> Any:
    from rowcast.stores.objects import Objects
    from rowcast.stores.oversize import S3Oversize

    objects = Objects(client=aws.clients["s3"], bucket=BUCKET)
    return S3Oversize(definition=msgspec.structs.replace(definition(), message=Message(**message)), objects=objects)


def test_an_oversized_message_is_kept_and_a_pointer_stands_for_it(aws: Stores) -> None:
    given = a_message(size=1000)
    sent = oversize(aws, oversize="s3")(given, "too large")
    pointer = from_json(sent.body)["rowcast_s3"]
    body = aws.clients["s3"].get_object(Bucket=pointer["bucket"], Key=pointer["key"])["Body"].read()
    assert body == given.body
    assert pointer == {
        "bucket": BUCKET,
        "key": "oversize/orders/r1/change-1.json",
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": len(body),
    }
    assert sent.change == given.change


def test_what_was_kept_first_stands(aws: Stores) -> None:
    first = oversize(aws, oversize="s3")(a_message(size=1000), "too large")
    again = a_message(size=2000)
    assert oversize(aws, oversize="s3")(again, "too large").body == first.body


def test_without_the_setting_an_oversized_message_is_rejected_with_the_reason(aws: Stores) -> None:
    with pytest.raises(MessageInvalid, match="too large"):
        oversize(aws)(a_message(size=1000), "too large")
    assert aws.clients["s3"].list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
