"""What sources and secrets say when they fail: no value of a row, no secret (I11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rowcast.definition import SecretRef
from rowcast.destinations.session import delivery_session
from rowcast.errors import RowcastError
from rowcast.sources.files import S3FilesSource
from rowcast.stores.secrets import AwsSecrets
from tests.handled import HandledWorld
from tests.postgres_server import PostgresServer, running_server
from tests.sources_support import BUCKET, PREFIX, Folder, postgres_source, s3_folder
from tests.world import sync_definition

CANARY = "canary-7f3a"
FORGED = f'Column "{CANARY}" has no exact form here, or has parts of a microsecond'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with s3_folder(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.execute(
            f"CREATE TABLE orders AS SELECT 1 AS id, '{CANARY}'::text AS v, '{FORGED}'::text AS forged",
            "CREATE FUNCTION says(text) RETURNS int AS $$ BEGIN RAISE EXCEPTION 'no %', $1; END $$ LANGUAGE plpgsql",
            "CREATE FUNCTION notes(text) RETURNS int AS"
            " $$ BEGIN RAISE WARNING 'hm %', $1; RETURN 1; END $$ LANGUAGE plpgsql",
        )
        yield running


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[HandledWorld]:
    made = HandledWorld(monkeypatch)
    yield made
    captured = capfd.readouterr()
    assert CANARY not in made.outside + captured.out + captured.err


FILES: dict[str, tuple[str, bytes, str]] = {
    "a text that is no number": ("orders.csv", f"id,v\n1,{CANARY}\n".encode(), "SELECT id, v::BIGINT AS v FROM orders"),
    "a text that is no date": ("orders.csv", f"id,v\n1,{CANARY}\n".encode(), "SELECT id, v::DATE AS v FROM orders"),
    "a text like our own words": (
        "orders.jsonl",
        b'{"id": 1, "v": "' + FORGED.replace('"', '\\"').encode() + b'"}',
        "SELECT id, v::BIGINT AS v FROM orders",
    ),
    "a text that is no JSON": ("orders.csv", f"id,v\n1,{CANARY}\n".encode(), "SELECT id, v::JSON AS v FROM orders"),
    "a text that is no key": ("orders.csv", f"id,v\n{CANARY},1\n".encode(), "SELECT id::UUID AS id FROM orders"),
    "a line that is broken": ("orders.csv", f'id,v\n1,2\n2,"{CANARY}" x,3,4,5\n'.encode(), "SELECT * FROM orders"),
    "JSON that ends early": ("orders.jsonl", f'{{"id": 1, "v": "{CANARY}'.encode(), "SELECT * FROM orders"),
    "a file of another format": ("orders.parquet", f"PAR1{CANARY}PAR1".encode(), "SELECT * FROM orders"),
    "an error of the query's own": (
        "orders.csv",
        f"id,v\n1,{CANARY}\n".encode(),
        "SELECT id, error(v)::VARCHAR AS v FROM orders",
    ),
    "a subquery of several rows": (
        "orders.csv",
        f"id,v\n{CANARY}-1,1\n{CANARY}-2,1\n".encode(),
        "SELECT (SELECT id FROM orders) AS id",
    ),
    "bytes that are no text": ("orders.csv", f"id,v\n1,{CANARY}\n2,".encode() + b"\xff\n", "SELECT * FROM orders"),
    "a number out of range": ("orders.csv", b"id,v\n1,99999\n", "SELECT id, v::TINYINT AS v FROM orders"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_fail_show_no_value(world: HandledWorld, folder: Folder, case: str) -> None:
    name, body, query = FILES[case]
    folder.put(name, body)
    world.deploy(sync_definition(query=query))
    world.source_of = lambda scratch: S3FilesSource(client=folder.client, bucket=BUCKET, prefix=PREFIX, scratch=scratch)
    assert world.run()["status"] == "failed"
    assert "99999" not in world.outside


QUERIES = {
    "a text that is no number": "SELECT id, v::bigint AS v FROM orders",
    "a text that is no date": "SELECT id, v::date AS v FROM orders",
    "a text that is no JSON": "SELECT id, v::json AS v FROM orders",
    "a text like our own words": "SELECT id, forged::bigint AS v FROM orders",
    "a text that is no key": "SELECT v::uuid AS id FROM orders",
    "what a function raises": "SELECT id, says(v) AS v FROM orders",
    "what a function raises after many rows": (
        f"SELECT i AS id, CASE WHEN i = 150000 THEN says('{CANARY}') END AS v FROM generate_series(1, 200000) AS i"
    ),
    "a missing column": "SELECT id, nothing FROM orders",
}


@pytest.mark.postgres
@pytest.mark.parametrize("case", QUERIES)
def test_a_database_that_fails_shows_no_value(world: HandledWorld, server: PostgresServer, case: str) -> None:
    world.deploy(sync_definition(query=QUERIES[case]))
    world.source_of = lambda scratch: postgres_source(server)
    assert world.run()["status"] == "failed"


@pytest.mark.postgres
def test_a_databases_warnings_are_not_passed_on(world: HandledWorld, server: PostgresServer) -> None:
    world.deploy(sync_definition(query="SELECT id, notes(v) AS v FROM orders"))
    world.source_of = lambda scratch: postgres_source(server)
    assert world.run()["status"] == "completed"


@pytest.mark.postgres
@pytest.mark.parametrize("password", [CANARY, f"{CANARY}' host='elsewhere", f"{CANARY}\\", f"{CANARY}\n"])
def test_a_password_that_is_wrong_is_not_shown(world: HandledWorld, server: PostgresServer, password: str) -> None:
    world.source_of = lambda scratch: postgres_source(server, password=password)
    assert world.run()["status"] == "failed"


@pytest.mark.postgres
def test_a_password_is_not_shown_when_there_is_no_server(world: HandledWorld, server: PostgresServer) -> None:
    world.source_of = lambda scratch: postgres_source(server, password=CANARY, port=1)
    assert world.run()["status"] == "failed"


class SecretsOf:
    """Secrets Manager and Parameter Store with one text in them."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def get_secret_value(self, **_: Any) -> Any:
        if self._text is None:
            raise self._missing()
        return {"SecretString": self._text}

    def get_parameter(self, **_: Any) -> Any:
        if self._text is None:
            raise self._missing()
        return {"Parameter": {"Value": self._text}}

    def _missing(self) -> ClientError:
        response: Any = {"Error": {"Code": "ResourceNotFoundException", "Message": CANARY}}
        return ClientError(response, "GetSecretValue")


SECRETS = {
    "no text at the key": ('{"user": "' + CANARY + '"}', "password"),
    "an object at the key": ('{"password": {"value": "' + CANARY + '"}}', "password"),
    "a list": (f'["{CANARY}"]', "password"),
    "no JSON": (CANARY, "password"),
    "numbers": ('{"access_key_id": 1, "other": "' + CANARY + '"}', "password"),
    "no secret": (None, "password"),
}


@pytest.mark.parametrize("case", SECRETS)
@pytest.mark.parametrize("read", ["resolve", "fields", "session"])
def test_a_secret_of_another_form_is_named_and_not_shown(
    world: HandledWorld, monkeypatch: pytest.MonkeyPatch, case: str, read: str
) -> None:
    text, key = SECRETS[case]
    store: Any = SecretsOf(text)
    secrets, ref = AwsSecrets(secretsmanager=store, ssm=store), SecretRef(name="rowcast/warehouse", key=key)
    reads: dict[str, Callable[[], Any]] = {
        "resolve": lambda: secrets.resolve(ref),
        "fields": lambda: secrets.fields(ref),
        "session": lambda: _session(secrets, ref).client("events").list_event_buses(),
    }

    def source_of(scratch: Path) -> Any:
        reads[read]()
        raise RowcastError("the secret could be read, as it may")

    world.source_of = source_of
    assert world.run()["status"] == "failed"
    assert "rowcast/warehouse" in world.outside or "as it may" in world.outside


def _session(secrets: AwsSecrets, ref: SecretRef) -> Any:
    from rowcast.definition import Account

    account = Account(access_key_secret=ref)
    return delivery_session(
        sync="orders",
        delivery_role_arn="arn:aws:iam::123456789012:role/delivery",
        account=account,
        region="eu-west-1",
        secrets=lambda session: secrets.fields,
    )
