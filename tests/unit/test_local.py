"""The parts of the embedded AWS that need no emulator."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from rowcast.definition import SecretRef
from rowcast.errors import RowcastError
from workbench.local import provision, server, stack
from workbench.local.arrivals import arrivals
from workbench.local.synth import synthesize
from workbench.local.template import fit, for_emulator


def template(**resources: Any) -> dict[str, Any]:
    return {"Resources": {name: {"Type": kind, **more} for name, (kind, more) in resources.items()}}


def test_what_the_emulator_refuses_goes_with_all_that_points_to_it() -> None:
    made = template(
        Archive=("AWS::Events::Archive", {}),
        Reader=("AWS::IAM::Policy", {"Properties": {"Of": {"Fn::GetAtt": ["Archive", "Arn"]}}}),
        Later=("AWS::SQS::Queue", {"DependsOn": ["Archive"], "Properties": {}}),
        Bucket=("AWS::S3::Bucket", {"Properties": {}}),
    )
    made["Outputs"] = {"A": {"Value": {"Ref": "Archive"}}, "B": {"Value": {"Ref": "Bucket"}}}
    copy = for_emulator(made)
    assert set(copy["Resources"]) == {"Later", "Bucket"}
    assert copy["Resources"]["Later"]["DependsOn"] == []
    assert set(copy["Outputs"]) == {"B"}
    assert "Archive" in made["Resources"]


def test_alarms_on_several_metrics_are_left_out_and_those_on_one_stay() -> None:
    alarm = "AWS::CloudWatch::Alarm"
    several = (alarm, {"Properties": {"Metrics": [{"Id": "m0"}]}})
    copy = for_emulator(template(Several=several, One=(alarm, {"Properties": {"MetricName": "Errors"}})))
    assert set(copy["Resources"]) == {"One"}


def test_schedules_are_deployed_and_do_not_fire() -> None:
    copy = for_emulator(template(Every=("AWS::Scheduler::Schedule", {"Properties": {"Name": "x"}})))
    assert copy["Resources"]["Every"]["Properties"] == {"Name": "x", "State": "DISABLED"}


def test_templates_that_are_nested_in_another_are_fitted_too(tmp_path: Path) -> None:
    every = template(Every=("AWS::Scheduler::Schedule", {"Properties": {}}))
    for name in ("Whole.template.json", "One.nested.template.json"):
        (tmp_path / name).write_text(json.dumps(every))
    fit(tmp_path)
    for file in tmp_path.iterdir():
        assert json.loads(file.read_text())["Resources"]["Every"]["Properties"] == {"State": "DISABLED"}


def test_stopping_what_never_was_leaves_no_trace(tmp_path: Path) -> None:
    server.reset(tmp_path / "none")
    assert not server.down(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_without_node_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RowcastError, match="Install Node 20 or later"):
        synthesize(tmp_path, tmp_path / "out", account="1", region="r")


def event(sync: str, number: int, **more: Any) -> str:
    named = ["rowcast:sync/" + sync, "rowcast:run/r1", f"rowcast:change/{number}", "rowcast:operation/added"]
    line = {"kind": "event", "bus": "b", "source": "s", "detail-type": "d", "detail": '{"total": 1.10}', "time": 0.5}
    return json.dumps({**line, "resources": named, **more}) + "\n"


def test_events_are_read_back_in_order_with_their_numbers_as_they_were(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text(event("a", 1) + event("b", 2) + event("a", 3))
    found = list(arrivals(journal, sync="a"))
    assert [one["change_id"] for one in found] == ["1", "3"]
    assert str(found[0]["detail"]["total"]) == "1.10"
    assert (found[0]["operation"], found[0]["time"]) == ("added", "1970-01-01T00:00:00.500Z")


def test_announcements_and_events_of_others_are_not_rowcasts_messages(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text(event("a", 1, resources=[]) + event("a", 1, resources=["arn:aws:s3:::x/y"]))
    assert list(arrivals(journal)) == []


def test_a_line_that_is_not_whole_yet_is_left_for_the_next_look(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text(event("a", 1) + event("a", 2)[:-20])
    assert [one["change_id"] for one in arrivals(journal)] == ["1"]


def test_an_invocation_of_several_rows_has_their_change_ids_as_a_list(tmp_path: Path) -> None:
    payload = {"metadata": {"sync": "a", "run": "r1", "operation": "added", "change_ids": ["1", "2"]}, "rows": [1, 2]}
    line = {"kind": "invocation", "function": "f", "payload": json.dumps(payload), "reply": "null", "time": 1}
    journal = tmp_path / "journal"
    journal.write_text(json.dumps({**line, "function_error": None}) + "\n")
    [one] = arrivals(journal, run="r1")
    assert (one["change_id"], one["change_ids"], one["target"], one["reply"]) == (None, ["1", "2"], "f", None)


def test_a_secrets_variable_is_its_name_in_capitals() -> None:
    assert provision.secret_variable("rowcast/warehouse-1") == "ROWCAST_SECRET_ROWCAST_WAREHOUSE_1"


def test_a_secret_of_the_environment_is_read_from_its_own_variable() -> None:
    assert provision._secret(SecretRef(name="rowcast/env/PGPASSWORD"), {}).variable == "PGPASSWORD"


class Bucket:
    """An S3 client that holds one bucket's objects."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: list[str] = []

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, *, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        import hashlib

        found = {key: body for key, body in self.objects.items() if key.startswith(Prefix)}
        return [{"Contents": [{"Key": k, "ETag": f'"{hashlib.md5(b).hexdigest()}"'} for k, b in found.items()]}]

    def put_object(self, *, Key: str, Body: Any, **_: Any) -> None:  # noqa: N803
        self.objects[Key] = Body.read()
        self.written.append(Key)

    def delete_objects(self, *, Delete: dict[str, Any], **_: Any) -> None:  # noqa: N803
        for one in Delete["Objects"]:
            del self.objects[one["Key"]]


def test_only_files_that_changed_are_copied_and_those_gone_are_deleted(tmp_path: Path) -> None:
    bucket = Bucket()
    folders = [provision.Folder(str(tmp_path), "sources/shop")]
    (tmp_path / "deep").mkdir()
    for name in ("a.csv", "b.csv", "deep/c.csv", ".hidden"):
        (tmp_path / name).write_text(name)
    provision.copy_folders(bucket, "bucket", folders)
    assert sorted(bucket.objects) == ["sources/shop/a.csv", "sources/shop/b.csv", "sources/shop/deep/c.csv"]
    bucket.written.clear()
    (tmp_path / "a.csv").write_text("A.csv")
    (tmp_path / "b.csv").unlink()
    assert provision.copy_folders(bucket, "bucket", folders) == 2
    assert bucket.written == ["sources/shop/a.csv"]
    assert sorted(bucket.objects) == ["sources/shop/a.csv", "sources/shop/deep/c.csv"]


def test_a_functions_archive_depends_on_its_files_alone_and_holds_no_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("main.py", "helper.py", "data/rows.csv"):
        (tmp_path / name).write_text(name)
    first = provision._code(tmp_path, [tmp_path / "data"])
    os.utime(tmp_path / "main.py", (1, 1))
    (tmp_path / "data" / "rows.csv").write_text("other")
    assert provision._code(tmp_path, [tmp_path / "data"]) == first
    (tmp_path / "helper.py").write_text("changed")
    assert provision._code(tmp_path, [tmp_path / "data"]) != first


def test_a_process_id_that_another_process_took_over_is_not_the_emulator(tmp_path: Path) -> None:
    home = server.Home(tmp_path)
    home.make()
    home.write(server.LocalAws(pid=os.getpid(), port=1))
    (home.path / "emulator.lock").write_text(str(os.getpid()))
    assert server.running(tmp_path) is None
    assert server.down(tmp_path) is False


def test_a_damaged_note_of_where_it_listens_counts_as_none(tmp_path: Path) -> None:
    home = server.Home(tmp_path)
    home.make()
    home.file.write_bytes(msgspec.json.encode({"pid": "x"}))
    assert home.read() is None


@pytest.mark.parametrize("name", ["PGPASSWORD", "AWS_PROFILE", "AWS_SECRET_ACCESS_KEY"])
def test_the_emulator_inherits_nothing_of_the_users_secrets(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "mine")
    assert "mine" not in server._environment(server.Home(tmp_path), 1, None).values()


class Refusing:
    """CloudFormation with a stack in `status`, which refuses what is asked of it."""

    def __init__(self, status: str | None) -> None:
        self._status = status

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        if self._status is None:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no such stack"}}, "DescribeStacks")
        return {"Stacks": [{"StackStatus": self._status}]}

    def create_stack(self, **_: Any) -> None:
        self._status = "ROLLBACK_COMPLETE"

    def update_stack(self, **_: Any) -> None:
        self._status = "UPDATE_ROLLBACK_COMPLETE"

    def describe_stack_events(self, **_: Any) -> dict[str, Any]:
        failed = {"LogicalResourceId": "Parameter", "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "exists"}
        return {"StackEvents": [failed]}


def test_an_update_that_fails_says_how_to_begin_anew_and_a_first_deployment_does_not() -> None:
    with pytest.raises(RowcastError, match=r"Parameter: exists\n.*: rowcast local reset$"):
        stack._apply(Refusing("CREATE_COMPLETE"), "Rowcast", "address")
    with pytest.raises(RowcastError, match=r"Parameter: exists$"):
        stack._apply(Refusing(None), "Rowcast", "address")
