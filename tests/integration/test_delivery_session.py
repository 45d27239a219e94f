from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from rowcast.definition import Account, Definition, EventBridgeDestination, LambdaDestination, Limits, Rate, SecretRef
from rowcast.destinations import destination
from rowcast.destinations import session as delivery
from rowcast.destinations.eventbridge import EventBridge
from rowcast.destinations.function import LambdaFunction
from rowcast.errors import DestinationRefused, RunFailed, Throttled
from rowcast.message import compile_address
from tests.contract.conftest import definition, deployment, send
from tests.contract.test_destinations import a_message, refuse_oversize

DELIVERY = "arn:aws:iam::123456789012:role/delivery-orders"
OTHER = "arn:aws:iam::999999999999:role/rowcast"
SECRET = SecretRef(name="rowcast/keys")


class Sts:
    """Stands in for STS behind every session: what was asked, by whom, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, dict[str, Any]]] = []
        self.denied: set[str] = set()
        self.code = "AccessDenied"
        self.lifetime = timedelta(hours=1)

    def answer(self, caller: str | None, params: dict[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        self.asked.append((caller, params))
        if params["RoleArn"] in self.denied:
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "AssumeRole")
        return {
            "Credentials": {
                "AccessKeyId": f"key-{len(self.asked)}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
                "Expiration": datetime.now(UTC) + self.lifetime,
            }
        }


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    import boto3

    fake = Sts()
    original: Any = boto3.Session.client

    def client(session: Any, service: str, **arguments: Any) -> Any:
        if service != "sts":
            return original(session, service, **arguments)
        caller = session.get_credentials()

        class Client:
            def assume_role(self, **params: Any) -> dict[str, Any]:
                key = caller.get_frozen_credentials().access_key if caller is not None else None
                return fake.answer(key, params)

        return Client()

    monkeypatch.setattr(boto3.Session, "client", client)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    yield fake


def no_secret(ref: SecretRef) -> dict[str, str]:
    raise RunFailed(f"The secret {ref.name} does not exist.")


def without_secrets(session: Any) -> Any:
    return no_secret


def key_of(session: Any) -> str:
    return str(session.get_credentials().get_frozen_credentials().access_key)


def a_session(account: Account | None = None, secrets: Any = without_secrets, **more: Any) -> Any:
    given = {"sync": "orders", "region": None, **more}
    return delivery.delivery_session(delivery_role_arn=DELIVERY, account=account, secrets=secrets, **given)


def test_nothing_is_assumed_before_it_is_needed(sts: Sts) -> None:
    a_session()
    assert sts.asked == []


def test_a_sync_sends_as_its_delivery_role(sts: Sts) -> None:
    assert key_of(a_session(sync="o" * 80)) == "key-1"
    ((caller, asked),) = sts.asked
    assert caller == "own"
    assert (asked["RoleArn"], len(asked["RoleSessionName"])) == (DELIVERY, 64)
    assert "ExternalId" not in asked


def test_another_accounts_role_is_assumed_by_the_delivery_role_with_its_external_id(sts: Sts) -> None:
    session = a_session(Account(role_arn=OTHER, external_id="shared"))
    assert key_of(session) == "key-2"
    assert [(caller, asked["RoleArn"]) for caller, asked in sts.asked] == [("own", DELIVERY), ("key-1", OTHER)]
    assert sts.asked[1][1]["ExternalId"] == "shared"


@pytest.mark.parametrize("denied", [DELIVERY, OTHER])
def test_a_role_that_cannot_be_assumed_is_named(sts: Sts, denied: str) -> None:
    sts.denied.add(denied)
    with pytest.raises(DestinationRefused, match=denied):
        key_of(a_session(Account(role_arn=OTHER)))


def test_credentials_are_kept_while_they_last_and_renewed_before_they_end(sts: Sts) -> None:
    session = a_session()
    assert [key_of(session), key_of(session)] == ["key-1", "key-1"]
    sts.lifetime = timedelta(minutes=5)
    short = a_session()
    assert key_of(short) == "key-2"
    assert key_of(short) == "key-3"


def test_access_keys_come_from_their_secret(sts: Sts) -> None:
    fields = {"access_key_id": "AK", "secret_access_key": "SK"}
    session = a_session(Account(access_key_secret=SECRET), lambda session: lambda ref: fields)
    frozen = session.get_credentials().get_frozen_credentials()
    assert (frozen.access_key, frozen.secret_key, frozen.token) == ("AK", "SK", None)


def test_a_secret_is_read_in_the_delivery_role_which_alone_may_and_at_home(sts: Sts) -> None:
    readers = []

    def secrets(session: Any) -> Any:
        def fields(ref: SecretRef) -> dict[str, str]:
            readers.append((ref, key_of(session), session.region_name))
            return {"access_key_id": "AK", "secret_access_key": "SK"}

        return fields

    session = a_session(Account(access_key_secret=SECRET), secrets, region="us-east-1")
    assert (key_of(session), session.region_name) == ("AK", "us-east-1")
    assert readers == [(SECRET, "key-1", "eu-west-1")]
    assert [(caller, asked["RoleArn"]) for caller, asked in sts.asked] == [("own", DELIVERY)]


@pytest.mark.parametrize("fields", [no_secret, lambda ref: {"access_key_id": "AK"}])
def test_a_secret_without_access_keys_is_named(sts: Sts, fields: Any) -> None:
    with pytest.raises(DestinationRefused, match="rowcast/keys"):
        key_of(a_session(Account(access_key_secret=SECRET), lambda session: fields))


def built(made: Definition) -> Any:
    return destination(
        made, deployment("b", "k"), secrets=without_secrets, address=compile_address, oversize=refuse_oversize
    )


def test_a_definitions_destination_is_built_without_a_call(sts: Sts) -> None:
    bridge = replace(definition(), destination=EventBridgeDestination(region="us-east-1"))
    function = replace(
        definition(), destination=LambdaDestination(function="arn:aws:lambda:eu-central-1:1:function:f", batch_size=7)
    )
    made = built(bridge)
    assert isinstance(made, EventBridge)
    assert made._client.meta.region_name == "us-east-1"
    made_function = built(function)
    assert isinstance(made_function, LambdaFunction)
    assert made_function._client.meta.region_name == "eu-central-1"
    assert sts.asked == []


def test_looks_are_repeated_by_the_sdk_and_sends_are_not(sts: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")  # so that the SDK's own client sends
    made = built(definition("proxied"))
    looking, sending = (client.meta.config for client in (made._client, made._wire._client))
    assert looking.retries["total_max_attempts"] > 3
    assert looking.retries["total_max_attempts"] * (looking.connect_timeout + looking.read_timeout) < 120
    assert sending.retries["total_max_attempts"] == 1
    assert sending.read_timeout > 900


def test_a_role_that_cannot_be_assumed_stops_a_send_and_a_check(sts: Sts) -> None:
    sts.denied.add("arn:aws:iam::123456789012:role/delivery")
    made = built(definition("denied"))
    with pytest.raises(DestinationRefused, match="role/delivery"):
        made.check()
    with pytest.raises(DestinationRefused, match="role/delivery"):
        send(made, [a_message()], "b1", 1)


@pytest.mark.parametrize("proxy", ["", "http://proxy:3128"])
def test_a_role_that_could_not_be_asked_for_stops_neither_a_send_nor_a_run(
    sts: Sts, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    sts.denied.add("arn:aws:iam::123456789012:role/delivery")
    sts.code = "Throttling"
    made = built(definition(f"busy-{bool(proxy)}"))
    with pytest.raises(Throttled, match="role/delivery"):
        made.check()
    (verdict,) = send(made, [a_message()], "b1", 1).verdicts
    assert verdict.kind == "throttled"


def test_batches_stay_within_the_syncs_rate(sts: Sts) -> None:
    limited = replace(definition(), limits=Limits(rate=Rate(count=4, seconds=60)))
    batches, _ = built(limited).batches([a_message(n) for n in range(9)])
    assert [len(batch) for batch in batches] == [4, 4, 1]


@pytest.mark.parametrize(("users", "sent"), [(None, "the stack's"), ("the user's", "the user's")])
def test_a_role_is_entered_with_the_users_external_id_or_else_the_stacks(
    sts: Sts, users: str | None, sent: str
) -> None:
    sts.denied.add(OTHER)
    account = Account(role_arn=OTHER, external_id=users)
    made = replace(definition(f"to-{sent}"), destination=EventBridgeDestination(account=account))
    where = replace(deployment("b", "k"), external_id="the stack's")
    with pytest.raises(DestinationRefused, match=OTHER):
        destination(made, where, secrets=without_secrets, address=compile_address, oversize=refuse_oversize).check()
    assert [asked.get("ExternalId") for _, asked in sts.asked] == [None, sent]
