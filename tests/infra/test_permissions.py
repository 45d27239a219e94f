from __future__ import annotations

import re

import pytest
from aws_cdk import Stack

from infra.constructs.delivery import targets
from rowcast.definition import EventBridgeDestination, Trigger, Triggers
from tests.infra.projects import PARTNER, SHOP, buses, project, sync
from tests.infra.template import Template, flat, listed

LOG = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
ITEM, ITEMS, QUERY = {"dynamodb:GetItem"}, {"dynamodb:BatchGetItem"}, {"dynamodb:Query"}
CHECK, PUT_ITEM = {"dynamodb:ConditionCheckItem"}, {"dynamodb:PutItem"}
UPDATE, DELETE_ITEM = {"dynamodb:UpdateItem"}, {"dynamodb:DeleteItem"}
GET, PUT, DELETE, LIST = {"s3:GetObject"}, {"s3:PutObject"}, {"s3:DeleteObject"}, {"s3:ListBucket"}

BUCKET = "<StorageBucket.Arn>"
STATE, CHANGES, DEBTS = "<StorageState.Arn>", "<StorageChanges.Arn>", "<StorageDebts.Arn>"
PARAMETERS = "arn:<AWS::Partition>:ssm:<AWS::Region>:<AWS::AccountId>:parameter/Rowcast/syncs/*"
ROLES = "arn:<AWS::Partition>:iam::<AWS::AccountId>:role/rowcast/Rowcast/"
ASSETS = "arn:<AWS::Partition>:s3:::cdk-hnb659fds-assets-<AWS::AccountId>-<AWS::Region>/*.json"
INTERFACES = (
    {f"ec2:{name}" for name in ("DescribeNetworkInterfaces", "DescribeSubnets")}
    | {f"ec2:{verb}NetworkInterface" for verb in ("Create", "Delete")}
    | {f"ec2:{verb}PrivateIpAddresses" for verb in ("Assign", "Unassign")}
)
HERE = "<AWS::Region>:<AWS::AccountId>"
ANNOUNCEMENTS = f"arn:<AWS::Partition>:events:{HERE}:event-bus/default"
SECRET = f"arn:<AWS::Partition>:secretsmanager:{HERE}:secret:"

SNAPSHOT = {
    f"{BUCKET}/definitions/*": GET,
    f"{BUCKET}/snapshots/*": GET | PUT,
    f"{BUCKET}/worklists/*": PUT,
    f"{BUCKET}/debts/*": GET,
    BUCKET: LIST,
    STATE: ITEM | QUERY | CHECK | UPDATE,
    DEBTS: QUERY,
}
RIGHTS: dict[str, dict[str, set[str]]] = {
    "FunctionsOpenRole": {
        PARAMETERS: {"ssm:GetParameter"},
        ASSETS: GET,
        f"{BUCKET}/definitions/*": GET | PUT,
        f"{BUCKET}/requests/*": GET,
        f"{BUCKET}/snapshots/*": DELETE,
        f"{BUCKET}/worklists/*": DELETE,
        BUCKET: LIST,
        STATE: ITEM | UPDATE,
        DEBTS: ITEMS,
        "<StorageQuarantine.Arn>": {"sqs:SendMessage"},
        f"{ROLES}*/*": {"sts:AssumeRole"},
        f"arn:<AWS::Partition>:states:{HERE}:execution:<WorkflowStateMachine.Name>:*": {"states:DescribeExecution"},
    },
    "FunctionsSnapshotshopRole": {**SNAPSHOT, f"{BUCKET}/sources/shop/*": GET},
    "FunctionsSnapshotlakeRole": {
        **SNAPSHOT,
        "arn:<AWS::Partition>:s3:::company-lake/exports/*": GET,
        "arn:<AWS::Partition>:s3:::company-lake": LIST,
        f"arn:<AWS::Partition>:kms:{HERE}:key/*": {"kms:Decrypt"},
    },
    "FunctionsSnapshotwarehouseRole": {
        **SNAPSHOT,
        "*": INTERFACES,
        f"{SECRET}rowcast/warehouse-??????": {"secretsmanager:GetSecretValue"},
        f"arn:<AWS::Partition>:kms:{HERE}:key/*": {"kms:Decrypt"},
    },
    "FunctionsDiffRole": {
        f"{BUCKET}/definitions/*": GET,
        f"{BUCKET}/snapshots/*": GET,
        f"{BUCKET}/worklists/*": GET,
        f"{BUCKET}/debts/*": GET,
        f"{BUCKET}/overflow/*": GET | PUT,
        BUCKET: LIST,
        STATE: ITEM,
        DEBTS: QUERY,
        CHANGES: ITEM | QUERY | PUT_ITEM,
    },
    "FunctionsSealRole": {
        ANNOUNCEMENTS: {"events:PutEvents"},
        f"{BUCKET}/definitions/*": GET,
        f"{BUCKET}/snapshots/*": GET | DELETE,
        f"{BUCKET}/worklists/*": PUT | DELETE,
        f"{BUCKET}/plans/*": PUT,
        f"{BUCKET}/overflow/*": GET,
        BUCKET: LIST,
        STATE: ITEM | CHECK | UPDATE,
        CHANGES: ITEM | QUERY,
    },
    **{
        f"Functions{function}Role": {
            PARAMETERS: {"ssm:GetParameter"},
            f"{BUCKET}/definitions/*": GET,
            f"{BUCKET}/overflow/*": GET | PUT,
            f"{BUCKET}/oversize/*": GET | PUT,
            f"{BUCKET}/calls/*": PUT,
            BUCKET: LIST,
            STATE: ITEM | PUT_ITEM | UPDATE,
            CHANGES: ITEM | UPDATE,
            f"{ROLES}{kind}/*": {"sts:AssumeRole"},
        }
        for function, kind in (("Publish", "eventbridge"), ("Invoke", "lambda"))
    },
    "FunctionsCommitRole": {
        f"{BUCKET}/definitions/*": GET,
        ANNOUNCEMENTS: {"events:PutEvents"},
        PARAMETERS: {"ssm:GetParameter"},
        f"{BUCKET}/snapshots/*": GET | DELETE,
        f"{BUCKET}/worklists/*": DELETE,
        f"{BUCKET}/overflow/*": GET | PUT,
        f"{BUCKET}/debts/*": GET | PUT | DELETE,
        BUCKET: LIST,
        STATE: ITEM | CHECK | UPDATE,
        CHANGES: ITEM | QUERY | UPDATE,
        DEBTS: ITEMS | PUT_ITEM | DELETE_ITEM,
    },
    "FunctionsWatchRole": {
        PARAMETERS: {"ssm:GetParameter"},
        ASSETS: GET,
        STATE: ITEM | UPDATE,
        ANNOUNCEMENTS: {"events:PutEvents"},
    },
    "FunctionsFailRole": {
        f"{BUCKET}/definitions/*": GET,
        f"{BUCKET}/requests/*": GET,
        ANNOUNCEMENTS: {"events:PutEvents"},
        f"{BUCKET}/snapshots/*": DELETE,
        f"{BUCKET}/worklists/*": DELETE,
        f"{BUCKET}/overflow/*": GET,
        BUCKET: LIST,
        STATE: ITEM | CHECK | UPDATE,
        CHANGES: {"dynamodb:Query"},
    },
}

BUS = "arn:<AWS::Partition>:events:{region}:<AWS::AccountId>:event-bus/{name}"
SEND = ("events:PutEvents", "events:DescribeEventBus")
CALL = ("lambda:InvokeFunction", "lambda:GetFunctionConfiguration")
TARGETS: dict[str, dict[str, tuple[str, ...]]] = {
    "new-orders": {BUS.format(region="<AWS::Region>", name=name): SEND for name in ("orders", "audit")},
    "manual-prices": {BUS.format(region="eu-west-1", name="prices"): SEND},
    "welcome": {f"arn:<AWS::Partition>:lambda:{HERE}:function:welcome:live": CALL},
    "partner-orders": {PARTNER: ("sts:AssumeRole",)},
    "keyed": {
        f"{SECRET}rowcast/keys-??????": ("secretsmanager:GetSecretValue",),
        f"arn:<AWS::Partition>:kms:{HERE}:key/*": ("kms:Decrypt",),
    },
}


def by_resource(allowed: dict[str, set[str]]) -> dict[str, set[str]]:
    turned: dict[str, set[str]] = {}
    for action, resources in allowed.items():
        for resource in resources:
            turned.setdefault(resource, set()).add(action)
    return turned


@pytest.mark.parametrize("role", RIGHTS)
def test_a_function_may_do_exactly_this(template: Template, role: str) -> None:
    allowed = template.allowed(template.role(role))
    rights = {action: resources for action, resources in allowed.items() if action not in LOG}
    assert by_resource(rights) == RIGHTS[role]


def test_every_function_s_role_is_in_the_table(template: Template) -> None:
    roles = {re.sub(r"[0-9A-F]{8}$", "", name) for name in template.of_type("AWS::IAM::Role") if "Functions" in name}
    assert roles == {f"Rowcast{role}" for role in RIGHTS}


@pytest.mark.parametrize("sync", TARGETS)
def test_a_delivery_role_names_only_its_sync_s_targets(template: Template, sync: str) -> None:
    role = template.role(f"Sync{sync.replace('-', '')}DeliveryRole")
    assert by_resource(template.allowed(role)) == {
        resource: set(actions) for resource, actions in TARGETS[sync].items()
    }


def test_every_sync_is_in_the_table_of_targets() -> None:
    assert set(TARGETS) == set(project().syncs)


@pytest.mark.parametrize(
    ("sync", "sender", "path"),
    [("new-orders", "Publish", "/rowcast/Rowcast/eventbridge/"), ("welcome", "Invoke", "/rowcast/Rowcast/lambda/")],
)
def test_only_open_and_the_sending_function_assume_a_delivery_role(
    template: Template, sync: str, sender: str, path: str
) -> None:
    properties = template.resources[template.role(f"Sync{sync.replace('-', '')}DeliveryRole")]["Properties"]
    trusted = {
        flat(arn)
        for statement in properties["AssumeRolePolicyDocument"]["Statement"]
        for arn in listed(statement["Principal"]["AWS"])
    }
    assert trusted == {"<FunctionsOpenRole.Arn>", f"<Functions{sender}Role.Arn>"}
    assert properties["Path"] == path


def test_a_trigger_without_a_bus_sends_to_the_default_bus() -> None:
    one = sync("one", SHOP, EventBridgeDestination(), Triggers(added=Trigger(source="shop", detail_type="added")))
    (grant,) = targets(Stack(), one.definition)
    assert [arn.rpartition("/")[2] for arn in grant.resources] == ["default"]


def test_a_bus_in_another_account_is_named_as_it_is() -> None:
    arn = "arn:aws:events:eu-west-1:222233334444:event-bus/orders"
    (grant,) = targets(Stack(), sync("one", SHOP, EventBridgeDestination(), buses(added=arn)).definition)
    assert grant.resources == (arn,)


def test_a_sync_whose_triggers_are_off_may_send_nothing() -> None:
    assert targets(Stack(), sync("one", SHOP, EventBridgeDestination(), Triggers()).definition) == []


def test_a_retry_queue_is_drained_by_open_and_filled_by_commit_alone(template: Template) -> None:
    policy = template.named("AWS::SQS::QueuePolicy", "Syncneworders")["Properties"]["PolicyDocument"]
    allowed = {
        flat(one["Principal"]["AWS"]): set(listed(one["Action"]))
        for one in policy["Statement"]
        if one["Effect"] == "Allow"
    }
    assert allowed == {
        "<FunctionsOpenRole.Arn>": {"sqs:ReceiveMessage", "sqs:DeleteMessage"},
        "<FunctionsCommitRole.Arn>": {"sqs:SendMessage"},
    }


def test_the_scheduler_may_start_the_state_machine_and_report_what_it_could_not(template: Template) -> None:
    assert by_resource(template.allowed(template.role("SchedulesRole"))) == {
        "<WorkflowStateMachine>": {"states:StartExecution"},
        "<StorageUndeliveredSchedules.Arn>": {"sqs:SendMessage"},
    }


def test_the_watch_s_schedule_may_call_the_watch_and_report_what_it_could_not(template: Template) -> None:
    assert by_resource(template.allowed(template.role("RowcastWatchRole"))) == {
        "<FunctionsWatchFunction.Arn>": {"lambda:InvokeFunction"},
        "<StorageUndeliveredSchedules.Arn>": {"sqs:SendMessage"},
    }


MAPS, EXECUTIONS = f"{BUCKET}/maps/*", f"arn:<AWS::Partition>:states:{HERE}:execution:<WorkflowStateMachine.Name>"
OF_EXECUTIONS = {"states:DescribeExecution", "states:StopExecution"}
WORKFLOW: dict[str, set[str]] = {
    ANNOUNCEMENTS: {"events:PutEvents"},
    f"{BUCKET}/worklists/*": GET,  # the lists that its maps read
    MAPS: GET | PUT | {"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"},  # what its maps answer
    "<WorkflowStateMachine>": {"states:StartExecution"},  # the maps' children
    f"{EXECUTIONS}:*": OF_EXECUTIONS,
    f"{EXECUTIONS}/*": OF_EXECUTIONS,
    "*": {  # traces, and the delivery of logs, whose actions know no resources
        *(f"xray:{name}" for name in ("GetSamplingRules", "GetSamplingTargets")),
        *(f"xray:{name}" for name in ("PutTelemetryRecords", "PutTraceSegments")),
        *(f"logs:{verb}LogDelivery" for verb in ("Create", "Delete", "Get", "Update")),
        *(f"logs:{name}" for name in ("DescribeLogGroups", "DescribeResourcePolicies")),
        *(f"logs:{name}" for name in ("ListLogDeliveries", "PutResourcePolicy")),
    },
}


def test_the_state_machine_may_do_exactly_this(template: Template) -> None:
    allowed = template.allowed(template.role("WorkflowRole"))
    names = {name for name in template.of_type("AWS::Lambda::Function") if "FunctionsWatch" not in name}
    assert allowed.pop("lambda:InvokeFunction") == {flat({"Fn::GetAtt": [name, "Arn"]}) for name in names}
    assert by_resource(allowed) == WORKFLOW


def test_no_role_is_outside_these_tables(template: Template) -> None:
    """Those of channels are in test_channels.py."""
    known = {*RIGHTS, "SchedulesRole", "WatchRole", "WorkflowRole"}
    known |= {f"Sync{name.replace('-', '')}DeliveryRole" for name in TARGETS}
    known |= {f"Channels{name}Role" for name in ("chat", "pager", "hook", "bus")}
    roles = {flat({"Ref": name}).strip("<>") for name in template.of_type("AWS::IAM::Role")}
    assert roles == known


def test_a_key_decrypts_only_through_the_secret_s_service_and_for_that_secret(template: Template) -> None:
    statements = template.statements(template.role("FunctionsSnapshotwarehouseRole"))
    (conditions,) = [one["Condition"] for one in statements if one["Action"] == "kms:Decrypt"]
    assert flat(conditions["StringEquals"]["kms:ViaService"]) == "secretsmanager.<AWS::Region>.<AWS::URLSuffix>"
    (secret,) = conditions["StringLike"]["kms:EncryptionContext:SecretARN"]
    assert flat(secret).endswith("secret:rowcast/warehouse-??????")


def test_a_source_in_another_bucket_is_listed_and_decrypted_under_its_prefix_alone(template: Template) -> None:
    statements = template.statements(template.role("FunctionsSnapshotlakeRole"))
    (listing,) = [one["Condition"] for one in statements if one["Action"] == "s3:ListBucket" and "Condition" in one]
    assert listing == {"StringLike": {"s3:prefix": "exports/*"}}
    (opening,) = [one["Condition"] for one in statements if one["Action"] == "kms:Decrypt"]
    opened = {flat(arn) for arn in opening["StringLike"]["kms:EncryptionContext:aws:s3:arn"]}
    assert opened == {f"arn:<AWS::Partition>:s3:::company-lake{path}" for path in ("", "/exports/*")}


def test_no_role_may_do_everything_with_anything(template: Template) -> None:
    for role in template.of_type("AWS::IAM::Role"):
        allowed = template.allowed(role)
        assert not [action for action in allowed if "*" in action]
        anywhere = {action for action, resources in allowed.items() if "*" in resources}
        assert {action.partition(":")[0] for action in anywhere - INTERFACES} <= {"xray", "logs"}
