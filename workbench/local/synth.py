"""Makes the template and assets of a project with the same app that `cdk synth` runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rowcast.errors import RowcastError
from workbench.local.server import ROOT


class SynthFailed(RowcastError):
    """The app ended with an error; the text is its own."""


def synthesize(project: Path, out: Path, *, account: str, region: str) -> None:
    """Writes the cloud assembly to `out`, bundled for this machine's Python and otherwise as for a customer."""
    if shutil.which("node") is None:
        raise SynthFailed("There is no command node here. Install Node 20 or later: the AWS CDK runs on it.")
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    context |= {"project": str(project), "rowcast:platform": "host"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        cwd=ROOT,
        env=_environment(context, out, account, region),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SynthFailed(f"The app could not be synthesized:\n{_message(done.stderr or done.stdout)}")


def _environment(context: dict[str, Any], out: Path, account: str, region: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(out),
        "CDK_DEFAULT_ACCOUNT": account,
        "CDK_DEFAULT_REGION": region,
        "CDK_VALIDATION": "false",  # the template is the same without; `make check` runs it
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }


def _message(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-25:])


def stack_artifact(out: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The one stack of the assembly: its name, its template and its manifest of file assets."""
    artifacts = json.loads((out / "manifest.json").read_text())["artifacts"]
    stacks = [(name, one) for name, one in artifacts.items() if one["type"] == "aws:cloudformation:stack"]
    if len(stacks) != 1:
        raise SynthFailed(f"The app has {len(stacks)} stacks; the embedded AWS deploys an app of one.")
    artifact, stack = stacks[0]
    name = stack["properties"].get("stackName", artifact)
    template = json.loads((out / stack["properties"]["templateFile"]).read_text())
    assets = out / f"{artifact}.assets.json"
    return name, template, json.loads(assets.read_text())["files"] if assets.exists() else {}
