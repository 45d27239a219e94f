from __future__ import annotations

import pytest

from rowcast.errors import DefinitionInvalid
from tests.contract.conftest import BUCKET, Stores, definition


def test_a_deployed_sync_is_found_with_its_definition(stores: Stores) -> None:
    stores.deploy(definition())
    assert stores.definitions.deployed_definition(stores.definitions.deployment("orders")) == definition()


def test_a_sync_that_is_not_deployed_is_named(stores: Stores) -> None:
    stores.deploy(definition("orders-2"))
    with pytest.raises(DefinitionInvalid, match="orders "):
        stores.definitions.deployment("orders")


def test_a_pinned_definition_outlives_later_deployments(stores: Stores) -> None:
    digest = stores.definitions.pin(definition(query="SELECT 1 AS id"))
    other = stores.definitions.pin(definition(query="SELECT 2 AS id"))
    assert stores.definitions.pin(definition(query="SELECT 1 AS id")) == digest != other
    assert stores.definitions.pinned("orders", digest).query == "SELECT 1 AS id"


def test_a_pin_that_is_gone_fails_the_run(stores: Stores) -> None:
    with pytest.raises(DefinitionInvalid, match="gone"):
        stores.definitions.pinned("orders", "0" * 64)


def test_another_process_reads_the_pinned_definition(aws: Stores) -> None:
    from rowcast.stores.definitions import AwsDefinitions
    from rowcast.stores.objects import Objects

    digest = aws.definitions.pin(definition())
    objects = Objects(client=aws.clients["s3"], bucket=BUCKET)
    other = AwsDefinitions(ssm=aws.clients["ssm"], objects=objects, prefix="/stack/syncs/")
    assert other.pinned("orders", digest) == definition()
    aws.clients["s3"].delete_object(Bucket=BUCKET, Key=f"definitions/orders/{digest}.json")
    assert other.pinned("orders", digest) == definition()


def test_a_deployment_of_another_release_says_to_deploy_again(aws: Stores) -> None:
    aws.clients["ssm"].put_parameter(Name="/stack/syncs/orders", Value='{"some": "field"}', Type="String")
    with pytest.raises(DefinitionInvalid, match="deploy again"):
        aws.definitions.deployment("orders")
