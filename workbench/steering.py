"""What a person asks of a sync: written down with who and when, then started as an execution that points to it."""

from __future__ import annotations

import getpass
import time
import uuid
from typing import Any

from rowcast.models import Mode, Request, from_json, to_json
from rowcast.plan import plan_key
from workbench.deployment import Place
from workbench.running import Execution


def who(place: Place) -> str:
    """As AWS knows them; the embedded AWS knows nobody, so there it is the machine's user."""
    if place.aws.local:
        return f"{getpass.getuser()} (local)"
    return str(place.aws.client("sts").get_caller_identity()["Arn"])


def ask(place: Place, sync: str, mode: Mode, **wish: Any) -> Execution:
    """Starts an execution in that mode. `wish`: what the request says more."""
    now = time.time()
    request = Request(sync=sync, mode=mode, by=who(place), at=now, **wish)
    key = f"requests/{sync}/{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}-{uuid.uuid4().hex[:12]}.json"
    place.aws.client("s3").put_object(Bucket=place.output("Bucket"), Key=key, Body=to_json(request))
    return Execution(place, sync, mode=mode, request=key)


def plan(place: Place, sync: str, run: str) -> dict[str, Any]:
    """The document that a plan's run wrote."""
    found = place.aws.client("s3").get_object(Bucket=place.output("Bucket"), Key=plan_key(sync, run))
    document: dict[str, Any] = from_json(found["Body"].read())
    return document
