"""Mistakes in destinations, triggers and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import project
from rowcast.definition import Message
from tests.project_folder import EVENT, ROLE, TO_EVENTBRIDGE, TO_LAMBDA, Folder, put


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_an_unknown_destination_is_told_with_the_nearest(folder: Folder) -> None:
    problem = folder.in_sync("destination.type", "evenbridge")
    assert (problem.path, problem.suggestion) == ("destination.type", "eventbridge")


@pytest.mark.parametrize(
    "function",
    [
        "arn:aws:lambda:eu-west-1:1111:function:welcome",
        "arn:aws:sns:eu-west-1:111122223333:welcome",
        "arn:aws:lambda:eu-west-1:111122223333:function:welcome:",
        "targets/welcome.py:handler",
        "./targets/welcome.py",
        "wel come",
    ],
)
def test_a_function_is_an_arn_a_name_or_a_file_of_the_project(folder: Folder, function: str) -> None:
    assert folder.in_sync("destination.function", function, TO_LAMBDA).path == "destination.function"


@pytest.mark.parametrize("size", [0, 1001, "10", 1.5])
def test_a_batch_holds_1_to_1000_rows(folder: Folder, size: Any) -> None:
    assert folder.in_sync("destination.batch_size", size, TO_LAMBDA).path == "destination.batch_size"


def test_batch_size_belongs_to_lambda(folder: Folder) -> None:
    assert "batch_size belongs to lambda" in folder.in_sync("destination.batch_size", 5).message


def test_a_functions_region_is_that_of_its_arn(folder: Folder) -> None:
    base = put(TO_LAMBDA, "destination.function", "arn:aws:lambda:eu-west-1:111122223333:function:welcome")
    assert folder.in_sync("destination.region", "us-east-1", base).path == "destination.region"


@pytest.mark.parametrize(
    "role", ["rowcast", "arn:aws:iam::1:role/x", "arn:aws:iam::111122223333:user/x", "arn:aws:iam::111122223333:role/"]
)
def test_a_roles_arn_is_judged_by_its_form(folder: Folder, role: str) -> None:
    assert folder.in_sync("destination.account", {"role_arn": role}).path == "destination.account.role_arn"


@pytest.mark.parametrize("external_id", ["a", "a" * 1225, "has space", "ümlaut", "a\n"])
def test_an_external_id_has_2_to_1224_of_the_allowed_characters(folder: Folder, external_id: str) -> None:
    problem = folder.in_sync("destination.account", {"role_arn": ROLE, "external_id": external_id})
    assert problem.path == "destination.account.external_id"


def test_a_role_and_an_access_key_exclude_each_other(folder: Folder) -> None:
    problem = folder.in_sync("destination.account", {"role_arn": ROLE, "access_key_secret": "key"})
    assert "exclude each other" in problem.message


def test_an_account_says_how_to_enter_it(folder: Folder) -> None:
    assert folder.in_sync("destination.account", {"external_id": "abc"}).message == "the field role_arn is missing"


def test_a_function_file_that_does_not_exist_is_told_with_the_nearest(folder: Folder) -> None:
    folder.write("targets/welcome.py", "def handler(event, context): ...")
    problem = folder.in_sync("destination.function", "./targets/welcom.py:handler", TO_LAMBDA)
    assert problem.message == "there is no file ./targets/welcom.py"
    assert problem.suggestion == "./targets/welcome.py:handler"


def test_a_handler_that_the_file_does_not_define_is_told_with_the_nearest(folder: Folder) -> None:
    folder.write("targets/welcome.py", "import json\ndef handler(event, context): ...")
    problem = folder.in_sync("destination.function", "./targets/welcome.py:handlr", TO_LAMBDA)
    assert problem.message == "./targets/welcome.py defines no function handlr"
    assert problem.suggestion == "./targets/welcome.py:handler"


def test_a_function_file_that_is_no_python_is_told_with_its_line(folder: Folder) -> None:
    folder.write("targets/welcome.py", "x = 1\ndef handler(:")
    problem = folder.in_sync("destination.function", "./targets/welcome.py:handler", TO_LAMBDA)
    assert problem.message == "./targets/welcome.py is not valid Python (line 2)"


@pytest.mark.parametrize(
    "text",
    [
        "handler = make()",
        "from library import handler",
        "from library import main as handler",
        "if True:\n    def handler(e, c): ...\nelse:\n    handler = None",
        "try:\n    import fast as handler\nexcept ImportError:\n    handler = None",
    ],
)
def test_a_handler_may_be_defined_in_many_ways(folder: Folder, text: str) -> None:
    folder.write("targets/welcome.py", text)
    sync = put(TO_LAMBDA, "destination.function", "./targets/welcome.py:handler")
    assert project.load(folder.write("syncs/orders.yaml", sync).root).functions[0].name == "welcome"


def test_two_functions_of_the_project_may_not_share_a_name(folder: Folder) -> None:
    for name in ("a", "b"):
        folder.write(f"{name}/welcome.py", "def handler(event, context): ...")
        sync = put(TO_LAMBDA, "destination.function", f"./{name}/welcome.py:handler")
        folder.write(f"syncs/{name}.yaml", sync)
    assert folder.problem().message == "its name would be welcome, as that of a/welcome.py"


def test_a_function_outside_the_folder_is_refused(folder: Folder) -> None:
    assert "outside" in folder.in_sync("destination.function", "./../welcome.py:handler", TO_LAMBDA).message


@pytest.mark.parametrize("field", ["bus", "source", "detail_type"])
def test_an_eventbridge_trigger_names_bus_source_and_detail_type(folder: Folder, field: str) -> None:
    problem = folder.in_sync(f"triggers.added.{field}", ...)
    assert (problem.path, problem.message) == ("triggers.added", f"the field {field} is missing")


@pytest.mark.parametrize("field", ["bus", "source", "detail_type"])
def test_a_lambda_trigger_names_no_bus(folder: Folder, field: str) -> None:
    problem = folder.in_sync("triggers", {"added": {field: "x"}}, TO_LAMBDA)
    assert f"{field} belongs to eventbridge" in problem.message


@pytest.mark.parametrize("base", [TO_EVENTBRIDGE, TO_LAMBDA])
def test_at_least_one_trigger_is_needed(folder: Folder, base: dict[str, Any]) -> None:
    assert folder.in_sync("triggers", {}, base).expected == "at least one of added, changed, removed"


def test_triggers_that_are_all_off_are_refused(folder: Folder) -> None:
    assert "nothing would ever be sent" in folder.in_sync("triggers", {"added": False}, TO_LAMBDA).message


@pytest.mark.parametrize("operation", ["added", "removed"])
def test_columns_belong_to_changed_rows_only(folder: Folder, operation: str) -> None:
    problem = folder.in_sync("triggers", {operation: EVENT | {"columns": ["a"]}})
    assert problem.path == f"triggers.{operation}.columns"
    assert "belongs to triggers.changed" in problem.message


@pytest.mark.parametrize("columns", [[], "status", [1], ["a", "a"], [""]])
def test_columns_are_a_list_of_names(folder: Folder, columns: Any) -> None:
    assert folder.in_sync("triggers", {"changed": EVENT | {"columns": columns}}).path.startswith(
        "triggers.changed.columns"
    )


@pytest.mark.parametrize("bus", ["my bus", "arn:aws:events:eu-west-1:1:event-bus/x", "a" * 257])
def test_a_bus_is_a_name_or_an_arn(folder: Folder, bus: str) -> None:
    assert folder.in_sync("triggers.added.bus", bus).path == "triggers.added.bus"


def test_a_buss_arn_is_accepted(folder: Folder) -> None:
    arn = "arn:aws:events:eu-west-1:111122223333:event-bus/orders"
    project.load(folder.write("syncs/orders.yaml", put(TO_EVENTBRIDGE, "triggers.added.bus", arn)).root)


def test_an_events_source_may_not_begin_with_aws(folder: Folder) -> None:
    problem = folder.in_sync("triggers.added.source", "aws.orders")
    assert problem.path == "triggers.added.source"
    assert "aws." in str(problem.expected)


def test_a_detail_type_has_at_most_128_characters(folder: Folder) -> None:
    assert folder.in_sync("triggers.added.detail_type", "x" * 129).path == "triggers.added.detail_type"


@pytest.mark.parametrize(
    "message",
    [
        {"template": "{}", "column": "a"},
        {"column": "a", "columns": {"a": "b"}},
        {"template": "{}", "columns": {"a": "b"}},
    ],
)
def test_template_column_and_columns_exclude_each_other(folder: Folder, message: dict[str, Any]) -> None:
    problem = folder.in_sync("message", message)
    assert (problem.path, problem.message) == ("message", f"{' and '.join(message)} exclude each other")


def test_a_message_without_any_field_is_refused(folder: Folder) -> None:
    assert folder.in_sync("message", {}).expected == "one of template, column, columns"


def test_a_template_that_does_not_parse_is_told_with_its_line(folder: Folder) -> None:
    text = yaml.safe_dump(TO_EVENTBRIDGE) + 'message:\n  template: |\n    {"id": 1,\n     "x": {{ row.x | }\n    }\n'
    problem = folder.write("syncs/orders.yaml", text).problem()
    assert problem.path == "message.template"
    assert problem.line and "row.x" in text.splitlines()[problem.line - 1]


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ('|\n    {\n     "x": {{ row.x | nope }}\n    }\n', '"x"'),
        ('>\n    {\n     "x": {{ row.x | nope }}\n    }\n', "template: >"),
        ("'{\n\n     \"x\": {{ row.x | nope }}\n    }'\n", "template: '"),
        ("'{\"x\": {{ row.x | nope }}}'\n", "template: '"),
    ],
)
def test_a_mistake_in_a_template_has_the_line_of_the_file_and_the_templates_own_line_and_column(
    folder: Folder, style: str, line: str
) -> None:
    text = yaml.safe_dump(TO_EVENTBRIDGE) + "message:\n  template: " + style
    problem = folder.write("syncs/orders.yaml", text).problem()
    assert problem.line and line in text.splitlines()[problem.line - 1]
    lines = yaml.safe_load(text)["message"]["template"].splitlines()
    number = next(number for number, one in enumerate(lines) if "nope" in one)
    place = f"(line {number + 1}, column {lines[number].index('nope') + 1} of the template)"
    assert place in problem.message


def test_a_message_may_only_say_how_all_columns_are_sent(folder: Folder) -> None:
    folder.write("syncs/orders.yaml", put(TO_EVENTBRIDGE, "message", {"metadata": True, "oversize": "s3"}))
    (sync,) = project.load(folder.root).syncs.values()
    assert sync.definition.message == Message(metadata=True, oversize="s3")


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"column": "mail", "value": 1}, "message.columns.email.value"),
        ({"column": "mail", "when_null": "skip"}, "message.columns.email.when_null"),
        ({"when_null": "omit"}, "message.columns.email"),
        (["mail"], "message.columns.email"),
        (5, "message.columns.email"),
    ],
)
def test_a_part_of_a_message_is_a_column_or_a_constant(folder: Folder, part: Any, path: str) -> None:
    assert folder.in_sync("message", {"columns": {"email": part}}).path == path


@pytest.mark.parametrize("base", [TO_EVENTBRIDGE, TO_LAMBDA])
def test_a_triggers_own_message_is_judged_as_the_syncs(folder: Folder, base: dict[str, Any]) -> None:
    event = EVENT if base is TO_EVENTBRIDGE else {}
    problem = folder.in_sync("triggers.added", {**event, "message": {"template": '{"a": {{ row.a | nope }}}'}}, base)
    assert problem.path == "triggers.added.message.template"
    problem = folder.in_sync("triggers.added", {**event, "message": {"template": "{}", "column": "a"}}, base)
    assert problem.message == "template and column exclude each other"


@pytest.mark.parametrize("field", ["source", "detail_type"])
def test_source_and_detail_type_may_be_templates_of_any_length(folder: Folder, field: str) -> None:
    template = "{{ row.country | downcase }}" + "{% if row.a %}x{% endif %}" * 20
    folder.write("syncs/orders.yaml", put(TO_EVENTBRIDGE, "triggers.added", {**EVENT, field: template}))
    project.load(folder.root)
    problem = folder.in_sync("triggers.added", {**EVENT, field: "{{ row.country | nope }}"})
    assert (problem.path, "unknown filter" in problem.message) == (f"triggers.added.{field}", True)


def test_a_template_of_a_source_may_not_begin_with_aws(folder: Folder) -> None:
    assert folder.in_sync("triggers.added", {**EVENT, "source": "aws.{{ row.a }}"}).path == "triggers.added.source"
