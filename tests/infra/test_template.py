from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from infra.constructs.functions import CAPACITIES
from project.model import Network
from rowcast import definition, metrics
from rowcast.definition import Account, EventBridgeDestination, SecretRef
from rowcast.models import Deployment
from rowcast.stores.bodies import INLINE_BYTES
from tests.infra.conftest import BOUNDARY, KEY, synth
from tests.infra.projects import SHOP, WAREHOUSE, buses, project, sync
from tests.infra.template import Template, flat
from workbench import usage
from workbench.docs.nested import STACK

SNAPSHOT = Path(__file__).parent / "template.snapshot.json"
HOLDS_DATA = {
    "AWS::S3::Bucket": {"RowcastStorageBucket7179F6CA"},
    "AWS::DynamoDB::Table": {
        "RowcastStorageState0272C2B3",
        "RowcastStorageChanges8388A598",
        "RowcastStorageDebts093598BF",
    },
}
STACK_UUID = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
FUNCTIONS = {
    "FunctionErrors",
    "FunctionsThrottled",
    "FunctionsThrottled1",
    "TimeOutsNear",
    "DestinationsThrottled",
    "UntoldErrors",
}
LOOKS = {"SyncsLate", "RowsLongOwed"}
RUNS = {"RunFailed", "RunTimedOut", "RunAborted"}


def test_the_template_is_the_one_that_was_reviewed(template: Template) -> None:
    """Run with ROWCAST_UPDATE_SNAPSHOT=1 to accept a change, and read its diff."""
    made = json.dumps(template.masked(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("ROWCAST_UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(made)
    assert made == SNAPSHOT.read_text()


@pytest.mark.parametrize("variant", ["template", "bound_template"])
def test_cdk_nag_finds_nothing_that_is_not_acknowledged(variant: str, request: pytest.FixtureRequest) -> None:
    template: Template = request.getfixturevalue(variant)
    reports = json.loads((template.folder / "validation-report.json").read_text())["pluginReports"]
    concluded = {report["pluginName"]: report["conclusion"] for report in reports}
    assert concluded["AwsSolutions"] == concluded["Serverless"] == "success"


@pytest.fixture(scope="module")
def findings(
    template: Template, bound_template: Template, cfn_lint: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[Path, str]:
    """What cfn-lint says of each file that it finds a fault in, among them one with a fault: it takes long to start."""
    broken = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"NoSuchProperty": 1}}}}
    fault = tmp_path_factory.mktemp("fault") / "broken.template.json"
    fault.write_text(json.dumps(broken))
    files = [one.folder / file for one in (template, bound_template) for file in one.masked()]
    command = [cfn_lint[0], "--format", "json", *cfn_lint[1:], *map(str, [*files, fault])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    return {Path(one["Filename"]): one["Message"] for one in json.loads(done.stdout)}


@pytest.mark.parametrize("variant", ["template", "bound_template"])
def test_cfn_lint_finds_nothing(variant: str, request: pytest.FixtureRequest, findings: dict[Path, str]) -> None:
    template: Template = request.getfixturevalue(variant)
    assert {file: told for file, told in findings.items() if file.is_relative_to(template.folder)} == {}


def test_cfn_lint_finds_a_fault(findings: dict[Path, str]) -> None:
    [told] = [told for file, told in findings.items() if file.name == "broken.template.json"]
    assert "NoSuchProperty" in told


def test_what_holds_data_keeps_its_logical_id_and_outlives_the_stack(template: Template) -> None:
    for kind, names in HOLDS_DATA.items():
        resources = template.of_type(kind)
        assert set(resources) == names
        for resource in resources.values():
            assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


def test_tables_are_recoverable_and_protected_and_no_debt_expires(template: Template) -> None:
    for name, table in template.of_type("AWS::DynamoDB::Table").items():
        properties = table["Properties"]
        assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        assert properties["DeletionProtectionEnabled"]
        assert properties["SSESpecification"]["SSEEnabled"]
        assert [key["AttributeName"] for key in properties["KeySchema"]] == ["pk", "sk"]
        expires = properties.get("TimeToLiveSpecification", {}).get("AttributeName")
        assert expires == (None if "Debts" in name else "expires_at")


def test_queues_topic_and_bucket_refuse_plain_http(template: Template) -> None:
    policies = {
        "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues"),
        "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics"),
    }
    for kind, (policy_kind, field) in policies.items():
        guarded = {
            target["Ref"]
            for policy in template.of_type(policy_kind).values()
            if _refuses_plain_http(policy["Properties"]["PolicyDocument"])
            for target in policy["Properties"][field]
        }
        assert guarded == set(template.of_type(kind))
    assert _refuses_plain_http(template.named("AWS::S3::BucketPolicy", "Bucket")["Properties"]["PolicyDocument"])


def test_queues_topics_and_bucket_refuse_other_accounts(template: Template) -> None:
    kinds = ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy")
    for policy in (one for kind in kinds for one in template.of_type(kind).values()):
        refused = [
            one["Condition"]
            for one in policy["Properties"]["PolicyDocument"]["Statement"]
            if one["Effect"] == "Deny" and "StringNotEquals" in one["Condition"]
        ]
        assert refused == [
            {
                "StringNotEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            }
        ]


def test_a_source_inside_a_vpc_is_read_from_there_and_nothing_else_is(template: Template) -> None:
    inside = {
        name: one["Properties"]["VpcConfig"]
        for name, one in template.of_type("AWS::Lambda::Function").items()
        if "VpcConfig" in one["Properties"]
    }
    ((name, config),) = inside.items()
    assert "Snapshotwarehouse" in name
    assert config == {"SubnetIds": ["subnet-0123456789abcdef0"], "SecurityGroupIds": ["sg-0123456789abcdef0"]}


def test_a_vpc_gets_the_endpoints_that_the_source_s_function_needs(template: Template) -> None:
    made = {
        flat(one["Properties"]["ServiceName"]).rpartition(".")[2]: one["Properties"]
        for one in template.of_type("AWS::EC2::VPCEndpoint").values()
    }
    assert {one["VpcId"] for one in made.values()} == {"vpc-0123456789abcdef0"}
    for service in ("s3", "dynamodb"):
        assert (made[service]["VpcEndpointType"], made[service]["RouteTableIds"]) == (
            "Gateway",
            ["rtb-0123456789abcdef0"],
        )
    secrets = made.pop("secretsmanager")
    assert set(made) == {"s3", "dynamodb"}
    assert (secrets["PrivateDnsEnabled"], secrets["SubnetIds"]) == (True, ["subnet-0123456789abcdef0"])
    ((_, group),) = template.of_type("AWS::EC2::SecurityGroup").items()
    (rule,) = group["Properties"]["SecurityGroupIngress"]
    assert (rule["SourceSecurityGroupId"], rule["FromPort"], rule["ToPort"]) == ("sg-0123456789abcdef0", 443, 443)


def test_without_a_wish_for_endpoints_and_without_a_password_none_is_made(tmp_path: Path) -> None:
    def endpoints(network: Network, password: SecretRef | None) -> list[str]:
        source = msgspec.structs.replace(WAREHOUSE, password=password)
        one = sync("one", source, EventBridgeDestination(), buses(added="orders"))
        of = dataclasses.replace(project(), syncs={one.name: one}, networks={source.name: network})
        made = synth(tmp_path / f"{len(list(tmp_path.iterdir()))}", of=of).of_type("AWS::EC2::VPCEndpoint").values()
        return sorted(flat(found["Properties"]["ServiceName"]).rpartition(".")[2] for found in made)

    network = project().networks["warehouse"]
    assert endpoints(dataclasses.replace(network, endpoints=None), WAREHOUSE.password) == []
    assert endpoints(network, SecretRef(store="parameter", name="/db")) == ["dynamodb", "s3", "ssm"]
    assert endpoints(network, None) == ["dynamodb", "s3"]


def test_a_key_of_one_s_own_encrypts_rows_and_is_opened_through_their_services_alone(bound_template: Template) -> None:
    template = bound_template
    bucket = template.named("AWS::S3::Bucket", "Bucket")["Properties"]["BucketEncryption"]
    assert KEY in json.dumps(bucket)
    tables = template.of_type("AWS::DynamoDB::Table").values()
    assert {one["Properties"]["SSESpecification"]["KMSMasterKeyId"] for one in tables} == {KEY}
    for part in ("FunctionsOpenRole", "FunctionsWatchRole", "WorkflowRole", "FunctionsSnapshotlakeRole"):
        (grant,) = [one for one in template.statements(template.role(part)) if one["Resource"] == KEY]
        assert [flat(name) for name in grant["Condition"]["StringEquals"]["kms:ViaService"]] == [
            "s3.<AWS::Region>.<AWS::URLSuffix>",
            "dynamodb.<AWS::Region>.<AWS::URLSuffix>",
        ]


def test_a_boundary_bounds_every_role(bound_template: Template) -> None:
    roles = bound_template.of_type("AWS::IAM::Role").values()
    assert {one["Properties"].get("PermissionsBoundary") for one in roles} == {BOUNDARY}


def _refuses_plain_http(document: dict[str, list[dict[str, object]]]) -> bool:
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    return any(one["Effect"] == "Deny" and one.get("Condition") == plain for one in document["Statement"])


def test_functions_are_arm64_python_with_their_own_log_group_role_and_traces(template: Template) -> None:
    functions = template.of_type("AWS::Lambda::Function")
    assert len(functions) == 8 + 3, "one per state, the watch, and one snapshot function per source in use"
    for function in functions.values():
        properties = function["Properties"]
        assert properties["Architectures"] == ["arm64"]
        assert properties["Runtime"] == "python3.13"
        assert properties["TracingConfig"] == {"Mode": "Active"}
    for field in ("Role", "LoggingConfig"):
        assert len({json.dumps(one["Properties"][field]) for one in functions.values()}) == len(functions)
    assert all(one["Properties"]["RetentionInDays"] == 30 for one in template.of_type("AWS::Logs::LogGroup").values())


def test_only_functions_that_use_a_driver_or_the_engine_carry_it(template: Template) -> None:
    layers = {
        name: {flat(layer).strip("<>").removeprefix("Layers") for layer in function["Properties"]["Layers"]}
        for name, function in template.of_type("AWS::Lambda::Function").items()
    }
    common = {"Code", "Dependencies"}
    for name, carried in layers.items():
        expected = common | ({"Engine"} if "Snapshot" in name or "FunctionsDiff" in name else set())
        expected |= {"Postgres"} if "Snapshotwarehouse" in name else set()
        assert carried == expected, name


def test_for_an_emulator_only_asset_hashes_differ(template: Template, host_template: Template) -> None:
    assert host_template.masked() == template.masked()
    assert host_template.body != template.body


def test_a_sync_s_parameter_says_where_it_is_deployed(template: Template) -> None:
    parameters = {
        one["Properties"]["Name"]: one["Properties"]["Value"]
        for one in template.of_type("AWS::SSM::Parameter").values()
    }
    assert set(parameters) == {f"/Rowcast/syncs/{name}" for name in project().syncs}
    deployment = msgspec.json.decode(flat(parameters["/Rowcast/syncs/welcome"]), type=Deployment)
    assert deployment.snapshot_function == "<FunctionsSnapshotwarehouseFunction.Arn>"
    assert deployment.fan_out_function == "<FunctionsInvokeFunction.Arn>"
    assert deployment.delivery_role_arn == "<SyncwelcomeDeliveryRole.Arn>"
    assert deployment.retry_queue_url == "<SyncwelcomeRetryQueue>"


def test_a_role_without_an_external_id_gets_one_of_the_sync_and_the_stack(tmp_path: Path) -> None:
    account = Account(role_arn="arn:aws:iam::222233334444:role/partner")
    one = sync("partner", SHOP, EventBridgeDestination(account=account), buses(added="orders"))
    made = synth(tmp_path, of=dataclasses.replace(project(), syncs={one.name: one}))
    (value,) = made.of_type("AWS::SSM::Parameter").values()
    (output,) = (each for name, each in made.body["Outputs"].items() if "ExternalId" in name)
    assert output["Value"] == {"Fn::Join": ["", ["rowcast-partner-", STACK_UUID]]}
    assert STACK_UUID in value["Properties"]["Value"]["Fn::Join"][1]
    assert "AWS::StackId" not in json.dumps(made.nested), "of the whole stack, which stays when a sync is made anew"


def test_an_external_id_that_is_given_is_the_only_one(template: Template) -> None:
    assert not [name for name in template.body["Outputs"] if "ExternalId" in name]
    parameter = template.named("AWS::SSM::Parameter", "Syncpartnerorders")
    assert msgspec.json.decode(flat(parameter["Properties"]["Value"]), type=Deployment).external_id is None


def test_the_definition_asset_is_the_sync_s_definition(template: Template) -> None:
    for name, one in project().syncs.items():
        parameter = template.named("AWS::SSM::Parameter", f"Sync{name.replace('-', '')}")
        key = msgspec.json.decode(flat(parameter["Properties"]["Value"]), type=Deployment).definition_key
        assert key.endswith(".json")
        assert definition.decode((template.folder / f"asset.{key}").read_bytes()) == one.definition


def test_a_schedule_starts_its_sync_with_the_scheduled_time(template: Template) -> None:
    schedule = template.named("AWS::Scheduler::Schedule", "Syncneworders")["Properties"]
    assert schedule["ScheduleExpression"] == "rate(15 minutes)"
    assert json.loads(schedule["Target"]["Input"]) == {
        "sync": "new-orders",
        "scheduled_at": "<aws.scheduler.scheduled-time>",
    }
    assert flat(schedule["Target"]["Arn"]) == "<WorkflowStateMachine>"
    assert flat(schedule["Target"]["DeadLetterConfig"]["Arn"]) == "<StorageUndeliveredSchedules.Arn>"


def test_a_schedule_follows_its_time_zone(template: Template) -> None:
    schedule = template.named("AWS::Scheduler::Schedule", "Syncwelcome")["Properties"]
    assert schedule["ScheduleExpression"] == "cron(0 7 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Berlin"


def test_a_manual_sync_has_no_schedule(template: Template) -> None:
    assert not [name for name in template.of_type("AWS::Scheduler::Schedule") if "manualprices" in name]


def test_alarms_watch_runs_debts_and_schedules_and_speak_through_the_topic(template: Template) -> None:
    names = [one["Properties"]["AlarmName"] for one in template.of_type("AWS::CloudWatch::Alarm").values()]
    told_by_alerts = {name for name in names if not name.startswith("Rowcast/platform/")}
    assert told_by_alerts == {f"Rowcast/runs/{name}" for name in ("RunFailed", "SyncsLate", "FunctionErrors")}
    alarms = {flat_name(name): one["Properties"] for name, one in template.of_type("AWS::CloudWatch::Alarm").items()}
    debts = {f"Sync{name}OldDebts{name}" for name in (one.replace("-", "") for one in project().syncs)}
    assert (
        set(alarms) == RUNS | FUNCTIONS | LOOKS | {"ScheduleNotDelivered", "AlertNotDelivered", "Quarantined"} | debts
    )
    assert {alarm["MetricName"] for alarm in alarms.values() if "MetricName" in alarm} == {
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesVisible",
        *(metric.name for metric in metrics.of_look([], 0)),
    }
    assert {flat(action) for alarm in alarms.values() for action in alarm["AlarmActions"]} == {"<AlarmsTopic>"}


def test_channels_hear_by_an_alarm_of_errors_that_no_alert_can_tell_and_of_no_others(template: Template) -> None:
    named = {one["Properties"]["AlarmName"]: one for one in template.of_type("AWS::CloudWatch::Alarm").values()}
    told = json.dumps(named["Rowcast/platform/UntoldErrors"])
    assert "FunctionsFailFunction" in told and "FunctionsWatchFunction" in told
    assert not [name for name in named if name.startswith("Rowcast/platform/FunctionErrors")]


def test_a_sync_s_schedule_is_made_when_a_run_can_succeed(template: Template) -> None:
    """A rate starts the first run at once."""
    schedules = [
        (file, one)
        for file, nested in template.nested.items()
        for one in nested["Resources"].values()
        if one["Type"] == "AWS::Scheduler::Schedule"
    ]
    assert schedules
    for file, one in schedules:
        awaited = {template.nested[file]["Resources"][name]["Type"] for name in one["DependsOn"]}
        assert {
            "AWS::SSM::Parameter",
            "AWS::SQS::Queue",
            "AWS::SQS::QueuePolicy",
            "AWS::IAM::Role",
        } <= awaited
    for one in template.deployed["Resources"].values():
        if one["Type"] == STACK:
            awaited = {flat({"Ref": name}) for name in one["DependsOn"]}
            assert {"<WorkflowMaps>", "<WorkflowLock>"} <= awaited


def test_looks_that_find_nothing_wrong_twice_are_good_news_and_no_look_is_none(template: Template) -> None:
    for name in LOOKS:
        alarm = template.named("AWS::CloudWatch::Alarm", f"Alarms{name}")["Properties"]
        assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["Statistic"]) == (900, 2, "Maximum")
        assert alarm["TreatMissingData"] == "missing"
        assert [(one["Name"], flat(one["Value"])) for one in alarm["Dimensions"]] == [("service", "Rowcast")]
    schedule = template.named("AWS::Scheduler::Schedule", "Watch")["Properties"]
    assert schedule["ScheduleExpression"] == "rate(15 minutes)", "as often as the alarms' period asks for"
    assert flat(schedule["Target"]["DeadLetterConfig"]["Arn"]) == "<StorageUndeliveredSchedules.Arn>"


def flat_name(logical_id: str) -> str:
    return flat({"Ref": logical_id}).strip("<>").removeprefix("Alarms")


def test_the_state_machine_is_traced(template: Template) -> None:
    machine = template.named("AWS::StepFunctions::StateMachine", "")["Properties"]
    assert machine["TracingConfiguration"] == {"Enabled": True}


def test_the_state_machine_logs_no_data(template: Template) -> None:
    logging = template.named("AWS::StepFunctions::StateMachine", "")["Properties"]["LoggingConfiguration"]
    assert (logging["IncludeExecutionData"], logging["Level"]) == (False, "ERROR")


def test_the_estimate_of_costs_knows_the_functions_sizes() -> None:
    assert {name: CAPACITIES[name].memory for name in usage.MEMORY_MB} == usage.MEMORY_MB
    assert {name: CAPACITIES[name].disk for name in usage.DISK_MB} == usage.DISK_MB
    assert usage.INLINE_BYTES == INLINE_BYTES
