"""What the doctor gives to paste, and what it makes of what AWS says."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from rowcast.definition import (
    Account,
    EventBridgeDestination,
    LambdaDestination,
    Limits,
    Message,
    Rate,
    SecretRef,
    Trigger,
    Triggers,
)
from rowcast.errors import DefinitionInvalid
from rowcast.models import Deployment
from tests.world import sync_definition
from workbench import buses, policies
from workbench.aws import Aws
from workbench.doctor import Check, Patient

ROLE = "arn:aws:iam::111122223333:role/team/rowcast"
DELIVERY = "arn:aws:iam::000000000000:role/rowcast/shop/eventbridge/orders"
AWAY = EventBridgeDestination(region="eu-west-1", account=Account(role_arn=ROLE))


def test_the_permissions_name_the_buses_of_the_other_account_and_region() -> None:
    document = policies.permissions(sync_definition(destination=AWAY), region="us-east-1", account="000000000000")
    [statement] = document["Statement"]
    assert statement["Action"] == ["events:PutEvents", "events:DescribeEventBus"]
    assert statement["Resource"] == ["arn:aws:events:eu-west-1:111122223333:event-bus/bus"]


def test_the_trust_policy_names_the_delivery_role_and_the_external_id() -> None:
    [statement] = policies.trust(DELIVERY, "id-1")["Statement"]
    assert statement["Principal"] == {"AWS": DELIVERY}
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": "id-1"}}


@pytest.mark.parametrize(
    ("function", "region", "arn"),
    [
        ("welcome", None, "arn:aws:lambda:us-east-1:000000000000:function:welcome"),
        ("welcome:live", "eu-west-1", "arn:aws:lambda:eu-west-1:000000000000:function:welcome:live"),
        ("arn:aws:lambda:eu-west-1:1:function:f", None, "arn:aws:lambda:eu-west-1:1:function:f"),
    ],
)
def test_a_function_is_named_as_it_is_invoked(function: str, region: str | None, arn: str) -> None:
    definition = sync_definition(destination=LambdaDestination(function=function, region=region))
    assert policies.targets(definition, region="us-east-1", account="000000000000") == [arn]


def test_commands_can_be_pasted() -> None:
    document = policies.trust(DELIVERY, None)
    command = policies.trust_command(ROLE, document)
    assert command.startswith("aws iam update-assume-role-policy --role-name rowcast --policy-document '{")
    assert policies.bus_command("orders", "eu-west-1") == "aws events create-event-bus --region eu-west-1 --name orders"
    secret = policies.secret_command(SecretRef(name="rowcast/dwh"))
    assert secret == 'aws secretsmanager create-secret --name rowcast/dwh --secret-string \'{"password": "…"}\''


class Clients:
    """An account in which every call answers as told, by service and name; an exception is raised."""

    local = None

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def client(self, service: str, **_: Any) -> Any:
        def answer(name: str) -> Any:
            def call(**given: Any) -> Any:
                said = self.answers[name]
                if isinstance(said, Exception):
                    raise said
                return said(**given) if callable(said) else said

            return call

        return type("Client", (), {"__getattr__": lambda _, name: answer(name)})()


def patient(definition: Any, **answers: Any) -> Patient:
    def output(name: str) -> str:
        return f"arn:aws:states:us-east-1:000000000000:{name}"

    place = SimpleNamespace(aws=Clients(**answers), output=output, definitions=SimpleNamespace(pin=lambda _: "digest"))
    made = Patient(place, definition)  # type: ignore[arg-type]
    made.deployment = Deployment(
        definition_bucket="b",
        definition_key="k",
        delivery_role_arn=DELIVERY,
        retry_queue_url="q",
        snapshot_function="s",
        fan_out_function="p",
        external_id="made",
    )
    return made


def refusal(kind: str) -> dict[str, Any]:
    body = f'{{"errorType": "{kind}", "errorMessage": "The role cannot be assumed."}}'.encode()
    return {"FunctionError": "Unhandled", "Payload": SimpleNamespace(read=lambda: body)}


def test_a_role_that_cannot_be_assumed_comes_with_both_policies_and_their_commands() -> None:
    one = patient(sync_definition(destination=AWAY), invoke=refusal("DestinationRefused"))
    [found] = one._target()
    assert (found.status, found.rights) == ("fail", "the delivery role's")
    trusted = found.policies[f"trust policy of {ROLE}"]["Statement"][0]
    assert trusted["Condition"] == {"StringEquals": {"sts:ExternalId": "made"}}
    assert [command.split()[2] for command in found.commands] == [
        "update-assume-role-policy",
        "put-role-policy",
        "create-event-bus",
    ]


def test_a_function_that_fails_otherwise_says_nothing_of_the_target() -> None:
    [found] = patient(sync_definition(), invoke=refusal("UnexpectedError"))._target()
    assert found.status == "unknown"


@pytest.mark.parametrize(("timeout", "status"), [(60, "ok"), (900, "warn")])
def test_a_target_that_may_take_longer_than_it_is_waited_for_is_a_warning(timeout: int, status: str) -> None:
    definition = sync_definition(destination=LambdaDestination(function="f"))

    def configuration(FunctionName: str) -> dict[str, Any]:  # noqa: N803 - as AWS names it
        return {"Timeout": timeout if FunctionName == "f" else 900}

    [found] = patient(definition, get_function_configuration=configuration)._function()
    assert found.status == status


def quota(value: float) -> Any:
    pages = [{"Quotas": [], "NextToken": "2"}]
    last = {"Quotas": [{"QuotaName": "PutEvents throttle limit in transactions per second", "Value": value}]}
    return lambda **given: last if given.get("NextToken") else pages[0]


@pytest.mark.parametrize(("value", "status"), [(400.0, "ok"), (5.0, "warn")])
def test_a_rate_beyond_the_region_s_quota_is_a_warning(value: float, status: str) -> None:
    definition = sync_definition(limits=Limits(rate=Rate(count=600, seconds=60)))
    [found] = patient(definition, list_service_quotas=quota(value))._quota()
    assert found.status == status


def test_the_embedded_aws_has_no_quota_and_deploys_by_its_own_command() -> None:
    one = patient(sync_definition(), list_service_quotas=ClientError({"Error": {"Code": "400"}}, "ListServiceQuotas"))
    one.place.aws.local = "here"  # type: ignore[assignment]
    one.place.definitions.deployment = Mock(side_effect=DefinitionInvalid("No sync named orders is deployed."))
    assert list(one._quota()) == []
    [found] = one._deployed()
    assert ("rowcast local up" in found.todo, "make deploy" in found.todo) == (True, False)


def test_a_quota_that_may_not_be_read_is_unknown_and_stops_nothing() -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListServiceQuotas")
    one = patient(sync_definition(), list_service_quotas=denied)
    one._deployed = one._secret = one._source = one._target = one._permitted = lambda: iter(())  # type: ignore[method-assign]
    [found] = one.examine()
    assert isinstance(found, Check)
    assert (found.check, found.status, "AccessDeniedException" in found.found) == ("quota", "unknown", True)


def test_buses_of_every_page_are_listed() -> None:
    def page(NextToken: str = "") -> dict[str, Any]:  # noqa: N803 - as AWS names it
        more = {} if NextToken else {"NextToken": "2"}
        name = "b" if NextToken else "a"
        return {"EventBuses": [{"Name": name, "Arn": f"arn/{name}"}], **more}

    listed = list(buses.found(SimpleNamespace(list_event_buses=page), "eu-west-1"))
    assert [bus["name"] for bus in listed] == ["a", "b"]


def test_buses_are_looked_up_in_the_role_and_region_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3

    asked: list[dict[str, Any]] = []
    given = {"AccessKeyId": "key", "SecretAccessKey": "secret", "SessionToken": "token"}

    def assume_role(**arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        return {"Credentials": given}

    monkeypatch.setattr(Aws, "client", lambda self, service: SimpleNamespace(assume_role=assume_role))
    monkeypatch.setattr(boto3, "client", lambda service, **arguments: (service, arguments))
    role = "arn:aws:iam::999999999999:role/partner"
    service, arguments = buses.client(tmp_path, "eu-west-1", role, "x-1", local=False, profile="p")
    assert (service, arguments["region_name"]) == ("events", "eu-west-1")
    assert [arguments[f"aws_{name}"] for name in ("access_key_id", "secret_access_key", "session_token")] == [
        *given.values()
    ]
    buses.client(tmp_path, "eu-west-1", role, None, local=False, profile="p")
    named = {"RoleArn": role, "RoleSessionName": "rowcast-buses"}
    assert asked == [{**named, "ExternalId": "x-1"}, named]


@pytest.mark.parametrize(
    ("template", "status", "found"),
    [
        ('{"id": {{ row.id }}}', "ok", "1 compiled."),
        (
            '{"id": {% ifchanged %}1{% endifchanged %}}',
            "warn",
            "1 of 1 templates cannot be compiled and are interpreted: the tag `ifchanged` at line 1, column 11.",
        ),
    ],
)
def test_a_template_that_is_interpreted_is_a_warning_that_names_the_reason(
    template: str, status: str, found: str
) -> None:
    one = patient(sync_definition(message=Message(template=template)))
    assert [(check.check, check.status, check.found) for check in one._template()] == [("template", status, found)]


EVENT = Trigger(bus="bus", source="com.shop", detail_type="Order {{ row.kind }}")


@pytest.mark.parametrize(
    ("what", "status", "found"),
    [
        ({"mask": ("vv",)}, "fail", "The mask of orders names vv, which the query's result does not have"),
        ({"message": Message(column="order")}, "fail", "no column order (did you mean order_id?), which the message"),
        ({"message": Message(columns={"a": "orderid", "b": "v"})}, "fail", "orderid (did you mean order_id?)"),
        ({"message": Message(template='{"a": {{ row.orderid }}}')}, "warn", "row.orderid (did you mean order_id?)."),
        ({"message": Message(template="{\"a\": {{ previous['no such'] }}}")}, "warn", "previous['no such']."),
        ({"message": Message(template='{"a": {{ rwo.v }}}')}, "warn", "not give: rwo (did you mean row?)."),
        ({"message": Message(template='{"a": "{{ change.oper }}"}')}, "warn", "change.oper (did you mean operation?)."),
        ({"message": Message(template='{"a": "{{ sync.nme }}"}')}, "warn", "sync.nme (did you mean name?)."),
        (
            {"message": Message(template='{"a": "{{ run.started }}"}')},
            "warn",
            "run.started (did you mean started_at?).",
        ),
        ({"triggers": Triggers(removed=EVENT)}, "warn", "row.kind."),
        ({"triggers": Triggers(removed=EVENT), "message": Message(column="v")}, "warn", "row.kind."),
    ],
)
def test_a_column_that_is_named_and_not_there_is_found_before_a_run(
    what: dict[str, Any], status: str, found: str
) -> None:
    one = patient(sync_definition(primary_key=("order_id",), **what))
    [check] = one._columns(["order_id", "v"])
    assert (check.check, check.status) == ("columns", status)
    assert found in check.found


def test_a_sync_whose_columns_are_all_there_is_told_nothing_of_them() -> None:
    template = """{% for one in row.v %}{% assign a = one.b %}{{ forloop.index }}{% endfor %}
        {"a": {{ row.v.deep[0] | default: change.id }}, "b": {{ previous['order_id'] }}, "c": "{{ sync.name }}",
        "d": "{{ run.started_at }}{{ now }}{{ today }}{{ change.columns.size }}{{ run.id }}"}"""
    one = patient(sync_definition(primary_key=("order_id",), message=Message(template=template)))
    assert list(one._columns(["order_id", "v"])) == []


def test_a_sync_without_a_template_is_not_checked_for_one() -> None:
    assert list(patient(sync_definition())._template()) == []


# --- the right to send ------------------------------------------------------------------------------------------------

DENIED = ClientError({"Error": {"Code": "AccessDenied"}}, "SimulatePrincipalPolicy")
FOREIGN = "arn:aws:events:us-east-1:111122223333:event-bus/theirs"


def simulated(decision: str, asked: list[dict[str, Any]]) -> Any:
    def simulate(**given: Any) -> dict[str, Any]:
        asked.append(given)
        results = [{"EvalResourceName": arn, "EvalDecision": decision} for arn in given["ResourceArns"]]
        return {"EvaluationResults": results}

    return simulate


def test_iam_is_asked_whether_the_delivery_role_may_send_to_each_target() -> None:
    asked: list[dict[str, Any]] = []
    [found] = patient(sync_definition(), simulate_principal_policy=simulated("allowed", asked))._permitted()
    assert (found.check, found.status) == ("permitted", "ok")
    arn = "arn:aws:events:us-east-1:000000000000:event-bus/bus"
    assert asked == [{"PolicySourceArn": DELIVERY, "ActionNames": ["events:PutEvents"], "ResourceArns": [arn]}]


def test_a_role_that_may_not_send_fails_with_the_policy_that_it_needs() -> None:
    definition = sync_definition(destination=LambdaDestination(function="f"))
    [found] = patient(definition, simulate_principal_policy=simulated("implicitDeny", []))._permitted()
    assert (found.status, "implicitDeny" in found.found) == ("fail", True)
    [statement] = found.policies["permissions of who sends"]["Statement"]
    assert "lambda:InvokeFunction" in statement["Action"]


def test_a_simulation_that_is_not_allowed_is_a_note_and_no_failure() -> None:
    [found] = patient(sync_definition(), simulate_principal_policy=DENIED)._permitted()
    assert (found.status, "AccessDenied" in found.found) == ("unknown", True)
    assert "iam:SimulatePrincipalPolicy" in found.todo


def test_a_role_of_another_account_cannot_be_simulated_here() -> None:
    [found] = patient(sync_definition(destination=AWAY))._permitted()
    assert (found.status, ROLE in found.found) == ("unknown", True)


def allow(principal: Any, **more: Any) -> str:
    return json.dumps(
        {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "events:PutEvents", **more}]}
    )


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (allow({"AWS": DELIVERY}), "ok"),
        (allow({"AWS": ["arn:aws:iam::000000000000:root"]}), "ok"),
        (allow("*"), "ok"),
        (allow({"AWS": "arn:aws:iam::999999999999:root"}), "fail"),
        (allow({"AWS": DELIVERY}, Action="events:PutRule"), "fail"),
        (allow("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), "unknown"),
        (allow("*", Effect="Deny"), "unknown"),
        ("", "fail"),
    ],
)
def test_the_policy_of_another_account_s_bus_is_read(policy: str, status: str) -> None:
    definition = sync_definition(triggers=Triggers(added=Trigger(bus=FOREIGN)))
    answers = {"simulate_principal_policy": simulated("allowed", []), "describe_event_bus": {"Policy": policy}}
    _, found = patient(definition, **answers)._permitted()
    assert (found.check, found.status) == ("bus", status)
    if status == "fail":
        [document] = found.policies.values()
        assert document["Statement"][0]["Principal"] == {"AWS": DELIVERY}
        assert found.commands[0].startswith("aws events put-permission --region us-east-1 --event-bus-name theirs")


def test_a_bus_whose_policy_may_not_be_read_is_a_note_with_the_policy_for_its_owner() -> None:
    definition = sync_definition(triggers=Triggers(added=Trigger(bus=FOREIGN)))
    _, found = patient(
        definition, simulate_principal_policy=simulated("allowed", []), describe_event_bus=DENIED
    )._permitted()
    assert (found.status, list(found.policies)) == ("unknown", [f"policy of {FOREIGN}"])
