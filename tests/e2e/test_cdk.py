"""The real `cdk bootstrap` and `cdk deploy` put the same app into the embedded AWS, and a run works there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import project
from tests.e2e.folder import ROOT
from workbench.aws import Aws
from workbench.deployment import find_stack
from workbench.local import provision, server
from workbench.local.template import fit
from workbench.running import Execution

pytestmark = pytest.mark.emulator
REAL_CLI = ["npx", "--yes", "aws-cdk@2.1148.1"]


def cdk(folder: Path, local: server.LocalAws, *arguments: str) -> None:
    """The real command line against the emulator."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {
        "AWS_ENDPOINT_URL": local.endpoint,
        "AWS_ENDPOINT_URL_S3": local.endpoint,
        "AWS_ACCESS_KEY_ID": local.account,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": local.region,
        "CDK_DEFAULT_ACCOUNT": local.account,
        "CDK_DEFAULT_REGION": local.region,
        "CDK_DISABLE_LEGACY_EXPORT_WARNING": "1",
        "CDK_VALIDATION": "false",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        "ROWCAST_PROJECT": str(folder),
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    tool = [str(ROOT / "node_modules" / ".bin" / "cdk")]
    command = tool if Path(tool[0]).exists() else REAL_CLI
    options = ["--no-notices", "--context", "rowcast:platform=host"]
    done = subprocess.run(
        [*command, *arguments, *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_cdk_deploys_runs(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(ROOT / "examples" / "shop", folder, ignore=shutil.ignore_patterns(".rowcast"))
    local = server.up(folder, owner=os.getpid())
    try:
        out = folder / "cdk.out"
        app = ["--app", f"{ROOT / '.venv' / 'bin' / 'python'} app.py", "--output", str(out)]
        cdk(folder, local, "bootstrap", f"aws://{local.account}/{local.region}", *app)
        cdk(folder, local, "synth", "--quiet", *app)
        fit(out)
        cdk(folder, local, "deploy", "--require-approval", "never", "--app", str(out))
        place = find_stack(Aws(local=local), "Rowcast")
        needs = provision.needs(project.load(folder))
        provision.make_buses(place.aws, needs.buses)
        provision.copy_folders(place.aws.client("s3"), place.output("Bucket"), needs.folders)
        execution = Execution(place, "new-orders")
        for _ in execution.follow(watch=False):
            pass
        result = execution.result()
    finally:
        server.down(folder)
    assert (result["status"], result["rows"], result["skipped"]) == ("completed", 200, 200), result["reason"]
