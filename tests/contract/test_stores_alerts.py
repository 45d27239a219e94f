"""The book of a sync's alerts in DynamoDB, and announcements that EventBridge does not take."""

from __future__ import annotations

import msgspec
import pytest

from rowcast.alerting import Book, judge_run
from rowcast.definition import Alerts
from rowcast.errors import RunFailed
from rowcast.stores.alerts import DynamoAlerts, EventBridgeAnnouncer
from tests.aws_faults import answer
from tests.contract.conftest import Stores, client_of
from tests.unit.test_alerting import summary


@pytest.fixture
def alerts(aws: Stores) -> DynamoAlerts:
    return DynamoAlerts(client=aws.clients["dynamodb"], table="state")


def book(number: int) -> Book:
    return judge_run(Alerts(channels=("team",)), None, summary(number, "failed", reason="gone – ü"), "Shop", 1.5)


def test_a_sync_has_no_book_at_first(alerts: DynamoAlerts) -> None:
    assert alerts.book("orders") == (None, 0)


def test_a_book_is_read_as_it_was_kept(alerts: DynamoAlerts) -> None:
    assert alerts.keep(book(1), 0)
    assert alerts.book("orders") == (book(1), 1)
    assert alerts.keep(book(2), 1)
    assert alerts.book("orders") == (book(2), 2)


def test_who_read_an_older_version_keeps_nothing(alerts: DynamoAlerts) -> None:
    assert alerts.keep(book(1), 0)
    assert alerts.keep(book(2), 1)
    assert not alerts.keep(book(3), 0)
    assert not alerts.keep(book(3), 1)
    assert alerts.book("orders") == (book(2), 2)


def test_the_book_is_no_run_of_the_sync(aws: Stores, alerts: DynamoAlerts) -> None:
    alerts.keep(book(1), 0)
    assert aws.state.runs("orders", 10) == []
    assert aws.state.head("orders").token == 0


def test_an_alert_that_the_bus_does_not_take_is_an_error(aws: Stores) -> None:
    client = client_of("events")
    announcer = EventBridgeAnnouncer(client=client, bus="default", deployment="Shop")
    announcer.announce(book(1).outbox)
    answer(client, "PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]})
    with pytest.raises(RunFailed, match="kept"):
        announcer.announce(book(1).outbox)


def test_a_book_of_a_later_release_may_hold_more(alerts: DynamoAlerts) -> None:
    body = msgspec.json.encode({**msgspec.to_builtins(book(1)), "new": 1})
    assert msgspec.json.decode(body, type=Book) == book(1)
