"""The CDK app: reads the user's project and deploys it.

Context: `project` (the folder; else ROWCAST_PROJECT, else the current one), `stack` (the stack's name),
`rowcast:platform` ("lambda", or "host" for an emulator on this machine), `rowcast:event_bus` (for announcements),
`rowcast:permissions_boundary` (the ARN of a policy that bounds every role), `rowcast:encryption_key` (the ARN of a key
for the bucket and the tables), `rowcast:debts_may_wait` (how long rows may be owed before an alarm tells, such as
`36 hours`; by default a day), `rowcast:events_per_second` and `rowcast:concurrent_executions` (the region's
quotas, where they are not the defaults of `infra/quotas.yaml`).
It is the same app with and without the CDK's command line, whose part CDK_CONTEXT_JSON and CDK_OUTDIR can take.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "layers" / "core" / "python"))
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")

from aws_cdk import App, Duration, Validations  # noqa: E402 - jsii reads the environment when it is imported
from cdk_nag import AwsSolutionsChecks, ServerlessChecks  # noqa: E402

import project  # noqa: E402
from infra.quotas import Quotas  # noqa: E402
from infra.stack import RowcastStack  # noqa: E402
from project import times  # noqa: E402
from project.schema.parts import PERIOD  # noqa: E402


def main() -> None:
    app = App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    context = app.node.try_get_context
    folder = Path(context("project") or os.environ.get("ROWCAST_PROJECT") or ".")
    try:
        loaded = project.load(folder.resolve())
    except project.ProjectInvalid as problems:
        sys.stderr.write(f"{problems}\n")
        sys.exit(2)
    RowcastStack(
        app,
        context("stack") or loaded.name,
        project=loaded,
        platform=context("rowcast:platform") or "lambda",
        event_bus=context("rowcast:event_bus") or "default",
        permissions_boundary=context("rowcast:permissions_boundary"),
        encryption_key=context("rowcast:encryption_key"),
        debts_may_wait=_period("rowcast:debts_may_wait", context("rowcast:debts_may_wait")),
        quotas=Quotas.read(
            os.environ.get("CDK_DEFAULT_REGION"),
            executions=context("rowcast:concurrent_executions"),
            events=context("rowcast:events_per_second"),
        ),
    )
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    app.synth()


def _period(name: str, text: str | None) -> Duration | None:
    if text is None:
        return None
    if not re.fullmatch(PERIOD, text):
        sys.stderr.write(f"The context {name} is '{text}', and must be a time such as 36 hours or 3 days.\n")
        sys.exit(2)
    return Duration.seconds(times.seconds(text))


if __name__ == "__main__":
    main()
