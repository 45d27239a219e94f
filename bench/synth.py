"""How long the template of many syncs takes to make, with what `make synth` does: the app, cdk-nag, assets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.case import Case, Side, Size, Topic
from bench.harness import ROOT
from bench.side import timed

TOPIC = Topic(
    title="Synthesis of many syncs",
    about="""
`app.py` on a project of so many syncs, with all checks on, dependencies bundled before. Code and dependencies become
assets once, whatever the number of syncs; a sync adds a stack of its own, nested in the deployment's
(`tests/infra/test_many_syncs.py`).
""",
    remains="""
The goal is 100 syncs in less than 20 seconds. One sync already takes more than half of what a hundred take: reading the
CDK, starting Node, assets, the checks. A further sync costs less than 0.1 s of processor: about 80 calls from Python
into Node, and its template. How many syncs fit is in [Sizes](explanation/sizes.md).
""",
)


def cases(size: Size) -> list[Case]:
    if size == "full":
        return []
    several, one = (
        Side(name=name, call="bench.synth:synth", role="ours", arguments={"count": count})
        for name, count in (("100 syncs", 100), ("1 sync", 1))
    )
    return [Case(name="syncs", title="A hundred syncs, and one", sides=(several, one), reference="1 sync", rounds=2)]


def synth(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        project = many(Path(folder) / "project", count)
        environment = {
            **os.environ,
            "ROWCAST_PROJECT": str(project),
            "CDK_OUTDIR": str(Path(folder) / "out"),
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with timed():
            subprocess.run([sys.executable, str(ROOT / "app.py")], env=environment, check=True, cwd=ROOT)
        templates = [json.loads(file.read_text()) for file in Path(folder, "out").glob("*.template.json")]
        return {"templates": len(templates), "resources": sum(len(one["Resources"]) for one in templates)}


def many(folder: Path, count: int) -> Path:
    """A project of so many syncs of one source."""
    syncs = folder / "syncs"
    syncs.mkdir(parents=True)
    (folder / "rowcast.yaml").write_text("sources:\n  shop: {type: files, path: data}\n")
    (folder / "data").mkdir()
    (folder / "data" / "orders.csv").write_text("order_id,total\n1,2\n")
    for number in range(count):
        (syncs / f"orders-{number:03}.yaml").write_text(
            "model: {source: shop, query: SELECT * FROM orders, primary_key: order_id}\n"
            "schedule: {every: 15 minutes}\n"
            "destination: {type: eventbridge}\n"
            "triggers:\n"
            "  added: {bus: orders, source: com.shop.orders, detail_type: Order placed}\n"
        )
    return folder
