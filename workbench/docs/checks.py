"""`python -m workbench.docs.checks`: what nag and lint say of the example, what the layers hold, what alerts say."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from workbench.local import server

OUT = server.ROOT / "docs" / "captures"
ASSEMBLY = server.ROOT / "cdk.out"


def main() -> None:
    parts = [_shown("lint-template"), _nagged(), _shown("sbom")]
    (OUT / "checks.txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    log = "tests/infra/test_alert_log.py"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", log],
        cwd=server.ROOT,
        env={**os.environ, "ROWCAST_UPDATE_SNAPSHOT": "1"},
        check=True,
    )


def _shown(target: str) -> str:
    environment = {**os.environ, "CDK_VALIDATION": "true"}
    done = subprocess.run(
        ["make", "--silent", target], cwd=server.ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return f"$ make {target}\n{done.stdout.strip() or '(cfn-lint found nothing)'}"


def _nagged() -> str:
    """cdk-nag's conclusions, as the synth before this one wrote them."""
    reports = json.loads((ASSEMBLY / "validation-report.json").read_text(encoding="utf-8"))["pluginReports"]
    lines = [f"{one['pluginName']}: {one['conclusion']}" for one in reports if one["pluginName"] != "CDK"]
    return "\n".join(["cdk-nag", *sorted(lines)])


if __name__ == "__main__":
    main()
