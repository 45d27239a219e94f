from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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


def test_a_project_becomes_a_stack_of_the_name_that_context_gives(tmp_path: Path) -> None:
    context = {**WITHOUT_BUNDLES, "stack": "Shop", "project": str(SHOP)}
    done = run_app(tmp_path, project=tmp_path, CDK_CONTEXT_JSON=json.dumps(context))
    assert done.returncode == 0, done.stderr
    outputs = json.loads((tmp_path / "Shop.template.json").read_text())["Outputs"]
    assert outputs["ParameterPrefix"]["Value"] == "/Shop/syncs/"


def test_an_invalid_project_is_told_on_stderr_and_deploys_nothing(tmp_path: Path) -> None:
    (tmp_path / "rowcast.yaml").write_text("sourcs: {}\n")
    done = run_app(tmp_path / "out", project=tmp_path)
    assert done.returncode == 2
    assert "sourcs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*.template.json"))


def test_context_says_how_long_rows_may_be_owed(tmp_path: Path) -> None:
    def synth(text: str) -> subprocess.CompletedProcess[str]:
        context = {**WITHOUT_BUNDLES, "rowcast:debts_may_wait": text}
        return run_app(tmp_path, project=SHOP, CDK_CONTEXT_JSON=json.dumps(context))

    wrong = synth("a while")
    assert (wrong.returncode, "36 hours" in wrong.stderr, "Traceback" in wrong.stderr) == (2, True, False)
    done = synth("3 days")
    assert done.returncode == 0, done.stderr
    thresholds = {
        name: one["Properties"]["Threshold"]
        for path in tmp_path.glob("*.template.json")
        for name, one in json.loads(path.read_text())["Resources"].items()
        if one["Type"] == "AWS::CloudWatch::Alarm" and ("RowsLongOwed" in name or "OldDebts" in name)
    }
    assert len(thresholds) > 1
    assert set(thresholds.values()) == {3 * 86_400}
