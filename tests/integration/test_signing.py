"""The hand-written signature against botocore's, and the way to an operation against the one that botocore takes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest

from rowcast.destinations.http import resolved
from rowcast.destinations.session import delivery_config
from rowcast.destinations.signing import Route, Signer
from rowcast.destinations.wire import Operation

REQUESTS = 4_000
LETTERS = "abcXYZ019-_.~ :/+=%\"'{}[],;é😀"


class Keys(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None


def sent_head(signer: Signer, body: bytes, keys: Keys, now: float) -> tuple[str, dict[str, str]]:
    line, *rest = signer.head(body, keys, now).decode("latin-1").removesuffix("\r\n").split("\r\n")
    return line, dict(header.split(": ", 1) for header in rest)


def signed_by_botocore(
    route: Route, body: bytes, keys: Keys, now: float, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    monkeypatch.setattr(auth, "get_current_datetime", lambda: datetime.fromtimestamp(now, UTC).replace(tzinfo=None))
    request = AWSRequest(method="POST", url=route.url, data=body, headers=dict(route.headers))
    auth.SigV4Auth(keys, route.service, route.region).add_auth(request)  # type: ignore[no-untyped-call]
    return dict(request.headers.items())


def a_text(chance: random.Random, letters: str, most: int) -> str:
    return "".join(chance.choices(letters, k=chance.randint(1, most)))


def some_keys(chance: random.Random) -> Keys:
    token = a_text(chance, "abc/+=XYZ019", 900) if chance.random() < 0.5 else None
    return Keys(a_text(chance, "ABCXYZ019", 20), a_text(chance, "abc/+=XYZ019", 40), token)


def a_route(chance: random.Random) -> Route:
    scheme = chance.choice(["http", "https"])
    host = chance.choice(["events.eu-west-1.amazonaws.com", "127.0.0.1", "localhost", "a.b.example"])
    port = chance.choice(["", ":80", ":443", ":4566"])
    function = quote(a_text(chance, LETTERS, 30), safe="")
    path = chance.choice(["/", "", f"/2015-03-31/functions/{function}/invocations", f"/prefix/{function}/"])
    headers = {
        "User-Agent": a_text(chance, "abc/1.0 #", 30),
        "X-Amz-Target": a_text(chance, "abc.", 20),
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Log-Type": chance.choice(["None", "  a   b ", "Tail"]),
    }
    chosen = {name: headers[name] for name in chance.sample(list(headers), chance.randint(0, 4))}
    region = chance.choice(["eu-west-1", "us-gov-east-1", "cn-north-1"])
    return Route(f"{scheme}://{host}{port}{path}", region, chance.choice(["events", "lambda"]), chosen)


@pytest.mark.parametrize("seed", (1, 2))
def test_thousands_of_random_requests_are_signed_as_botocore_signs_them(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    routes = [a_route(chance) for _ in range(40)]
    signers = [Signer(route) for route in routes]
    everybody = [some_keys(chance) for _ in range(8)]
    now = 1_760_000_000.0
    for _ in range(REQUESTS // 2):
        number, keys = chance.randrange(len(routes)), chance.choice(everybody)
        now += chance.choice([0.0, 0.3, 0.9, 61.0, 40_000.0])
        body = chance.randbytes(chance.randint(0, 300))
        expected = signed_by_botocore(routes[number], body, keys, now, monkeypatch)
        _, found = sent_head(signers[number], body, keys, now)
        assert found.pop("Content-Length") == str(len(body))
        assert found.pop("Host")
        assert found == {name: value for name, value in expected.items() if name != "Content-Length"}


def test_what_is_kept_for_a_second_changes_with_second_day_and_keys() -> None:
    signer = Signer(Route("https://events.eu-west-1.amazonaws.com/", "eu-west-1", "events", {}))
    one, other = Keys("A", "S", None), Keys("A", "T", None)
    midnight = 1_760_054_400.0
    cases = [(one, midnight - 1), (one, midnight), (one, midnight + 1), (other, midnight + 1)]
    heads = [signer.head(b"", keys, now) for keys, now in cases]
    assert len(set(heads)) == 4
    assert [signer.head(b"", keys, now) for keys, now in cases] == heads


ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
    {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/prefix"},
    {"AWS_ENDPOINT_URL_LAMBDA": "https://one.example", "AWS_ENDPOINT_URL_EVENTBRIDGE": "https://two.example:8443"},
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
]
FUNCTIONS = ["welcome", "arn:aws:lambda:eu-west-1:123456789012:function:welcome:live"]
OPERATIONS = {
    "events": [("PutEvents", {"Entries": [{"Detail": "{}"}]}, {})],
    "lambda": [
        ("Invoke", {"FunctionName": name, "InvocationType": "RequestResponse", "LogType": "None"}, {"Payload": b"{}"})
        for name in FUNCTIONS
    ],
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "cn-north-1"])
@pytest.mark.parametrize("service", OPERATIONS)
def test_requests_go_where_botocore_would_send_them_and_with_its_headers(
    service: str, region: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session(region_name=region, aws_access_key_id="AK", aws_secret_access_key="SK")
    for operation, given, more in OPERATIONS[service]:
        client: Any = session.client(service, config=delivery_config())  # type: ignore[call-overload]
        route = resolved(client, Operation(operation, given))  # type: ignore[arg-type]
        prepared = _prepared(client, operation, {**given, **more})
        assert (route.url, "POST") == (prepared.url, prepared.method)
        headers = {name: v.decode() if isinstance(v, bytes) else v for name, v in prepared.headers.items()}
        scope = headers["Authorization"].split("Credential=AK/")[1].split("/")
        assert (route.region, route.service) == (scope[1], scope[2].partition(",")[0])
        own = (
            "Authorization",
            "X-Amz-Date",
            "Content-Length",
            "amz-sdk-invocation-id",
            "amz-sdk-request",
            "User-Agent",
        )
        assert without(route.headers, *own) == without(headers, *own)


def without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


class _StopError(Exception):
    pass


def _prepared(client: Any, operation: str, given: dict[str, Any]) -> Any:
    """The request as botocore would send it."""
    from botocore import xform_name

    found = []

    def see(request: Any, **_: Any) -> None:
        found.append(request)
        raise _StopError

    client.meta.events.register_last("before-send", see)
    with pytest.raises(_StopError):
        getattr(client, xform_name(operation))(**given)
    return found[0]
