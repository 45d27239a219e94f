"""The CDK app: reads the user's project and deploys it.

Context: `project` (the folder; else ROWCAST_PROJECT, else the current one), `stack` (the stack's name),
`rowcast:platform` ("lambda", or "host" for an emulator on this machine), `rowcast:event_bus` (for announcements).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "layers" / "core" / "python"))

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

import project
from infra.stack import RowcastStack


def main() -> None:
    app = App()
    folder = Path(app.node.try_get_context("project") or os.environ.get("ROWCAST_PROJECT") or ".")
    try:
        loaded = project.load(folder.resolve())
    except project.ProjectInvalid as problems:
        print(problems, file=sys.stderr)  # noqa: T201 - this is what the user came to read
        sys.exit(2)
    RowcastStack(
        app,
        app.node.try_get_context("stack") or "Rowcast",
        project=loaded,
        platform=app.node.try_get_context("rowcast:platform") or "lambda",
        event_bus=app.node.try_get_context("rowcast:event_bus") or "default",
    )
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


if __name__ == "__main__":
    main()
