"""One synth per platform for the whole session, with the context that cdk.json gives the command line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
os.environ["CDK_VALIDATION"] = "true"  # jsii keeps the environment in which it is first imported

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from infra.constructs.layers import Platform
from infra.stack import RowcastStack
from project.model import Project
from tests.infra.projects import project
from tests.infra.template import Template

ROOT = Path(__file__).parents[2]
KEY = "arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
BOUNDARY = "arn:aws:iam::111122223333:policy/boundary"
WITHOUT_BUNDLES: dict[str, Any] = {"aws:cdk:bundling-stacks": []}


def synth(
    outdir: Path,
    *,
    platform: Platform = "lambda",
    of: Project | None = None,
    checked: bool = False,
    boundary: str | None = None,
    key: str | None = None,
) -> Template:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(outdir=str(outdir), context={**context, **WITHOUT_BUNDLES})
    RowcastStack(
        app, "Rowcast", project=of or project(), platform=platform, permissions_boundary=boundary, encryption_key=key
    )
    if checked:
        Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    app.synth()
    return Template(outdir)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synth(tmp_path_factory.mktemp("lambda"), checked=True)


@pytest.fixture(scope="session")
def bound_template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """With a key and a permissions boundary of the account's own."""
    return synth(tmp_path_factory.mktemp("bound"), checked=True, boundary=BOUNDARY, key=KEY)


@pytest.fixture(scope="session")
def host_template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synth(tmp_path_factory.mktemp("host"), platform="host")


@pytest.fixture(scope="session")
def cfn_lint() -> list[str]:
    """The command with the project's exceptions, in the environment that infra/lint/requirements.txt locks."""
    subprocess.run(["make", "--silent", ".cache/cfn-lint/ready"], cwd=ROOT, check=True, timeout=300)
    return [str(ROOT / ".cache/cfn-lint/bin/cfn-lint"), "--config-file", str(ROOT / "infra/lint/cfnlintrc.yaml"), "--"]


@pytest.fixture(scope="session")
def linter() -> Path:
    """asl-validator, from the tools installed for the project, else into the cache as package-lock.json has it."""
    name = Path("node_modules", ".bin", "asl-validator")
    if (ROOT / name).exists():
        return ROOT / name
    lock = (ROOT / "package-lock.json").read_bytes()
    cache = ROOT / ".cache" / "node" / hashlib.sha256(lock).hexdigest()[:16]
    if not (cache / name).exists():
        cache.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / file, cache)
        subprocess.run(["npm", "ci", "--silent"], cwd=cache, check=True, timeout=300)
    return cache / name
