from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.conftest import ROOT, WITHOUT_BUNDLES

SHOP = ROOT / "examples" / "shop"


def run_app(out: Path, *, project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As `cdk synth` runs it, in a process of its own: jsii sees the environment it was started with."""
    given = {**os.environ, "CDK_OUTDIR": str(out), "CDK_VALIDATION": "false", "ROWCAST_PROJECT": str(project)}
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**given, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the app makes of a project when all that context can say is said."""
    out = tmp_path_factory.mktemp("out")
    context = {
        **WITHOUT_BUNDLES,
        "stack": "Shop",
        "project": str(SHOP),
        "rowcast:debts_may_wait": "3 days",
        "rowcast:concurrent_executions": "1",
    }
    done = run_app(out, project=out.parent, CDK_CONTEXT_JSON=json.dumps(context), CDK_DEFAULT_REGION="eu-west-1")
    assert done.returncode == 0, done.stderr
    return out


def test_a_project_becomes_a_stack_of_the_name_that_context_gives(made: Path) -> None:
    outputs = json.loads((made / "Shop.template.json").read_text())["Outputs"]
    assert outputs["ParameterPrefix"]["Value"] == "/Shop/syncs/"


def test_what_a_region_does_not_give_is_warned_of_by_an_annotation(made: Path) -> None:
    written = "".join(path.read_text() for path in made.glob("*.json") if "template" not in path.name)
    assert written.count("aws:cdk:warning") == 1
    assert "rowcast:executions" in written


def test_an_invalid_project_is_told_on_stderr_and_deploys_nothing(tmp_path: Path) -> None:
    (tmp_path / "rowcast.yaml").write_text("sourcs: {}\n")
    done = run_app(tmp_path / "out", project=tmp_path)
    assert done.returncode == 2
    assert "sourcs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*.template.json"))


def test_context_says_how_long_rows_may_be_owed(made: Path, tmp_path: Path) -> None:
    context = {**WITHOUT_BUNDLES, "rowcast:debts_may_wait": "a while"}
    wrong = run_app(tmp_path, project=SHOP, CDK_CONTEXT_JSON=json.dumps(context))
    assert (wrong.returncode, "36 hours" in wrong.stderr, "Traceback" in wrong.stderr) == (2, True, False)
    thresholds = {
        name: one["Properties"]["Threshold"]
        for path in made.glob("*.template.json")
        for name, one in json.loads(path.read_text())["Resources"].items()
        if one["Type"] == "AWS::CloudWatch::Alarm" and ("RowsLongOwed" in name or "OldDebts" in name)
    }
    assert len(thresholds) > 1
    assert set(thresholds.values()) == {3 * 86_400}
