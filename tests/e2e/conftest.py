"""A user's folder with a handful of syncs, deployed once into an embedded AWS for the whole session.

Each test works on a sync of its own, which its module declares in `SYNCS`, with functions in `TARGETS`: a sync that
came later would cost a synthesis and a deployment. The emulator ends with this process, however that ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.folder import Folder, to_function

PICKY = '''
def handler(event, context):
    """Rejects the rows whose name is "bad"."""
    key = event["metadata"]["primary_key_column"]
    bad = [row[key] for row in event["rows"] if row["name"] == "bad"]
    return {"errors": [{"primary_key_value": value, "reason": "no such name"} for value in bad]}
'''
SLOW = """
import time
def handler(event, context):
    time.sleep(3)
"""
BROKEN = """
def handler(event, context):
    raise LookupError("out of order")
"""
CHATTY = """
def handler(event, context):
    print("working")
    return "done"
"""
CRAFTED = {
    "triggers": {
        "added": {
            "bus": "things",
            "source": "com.example.{{ row.kind }}",
            "detail_type": "Thing {{ change.operation }}",
            "message": {"columns": {"id": "id", "of.kind": "kind", "version": {"value": 2}}, "metadata": True},
        },
        "changed": {"bus": "things", "source": "com.example", "detail_type": "Thing", "message": {"oversize": "s3"}},
    },
    "message": {"template": '{"never": "used"}'},
}


def declared(items: Sequence[pytest.Item]) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """The functions and the syncs of the modules of those of these tests that lie in this folder."""
    functions: dict[str, str] = {}
    syncs: dict[str, dict[str, Any]] = {}
    here = [item for item in items if isinstance(item, pytest.Function) and item.path.parent == Path(__file__).parent]
    for module in {item.module for item in here}:
        functions |= getattr(module, "TARGETS", {})
        syncs |= getattr(module, "SYNCS", {})
    return functions, syncs


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    made = Folder(tmp_path_factory.mktemp("project"))
    main = {
        "sources": {"here": {"type": "files", "path": "data"}},
        "pools": {"crm": {"rate": "5 per second"}},
        "alerts": {
            "team": {"type": "email", "address": "team@example.com"},
            "chat": {"type": "slack", "webhook": {"env": "NO_WEBHOOK"}},
        },
    }
    made.write("rowcast.yaml", yaml.safe_dump(main))
    functions, syncs = declared(request.session.items)
    for name, code in {"picky": PICKY, "slow": SLOW, "broken": BROKEN, "chatty": CHATTY, **functions}.items():
        made.write(f"targets/{name}.py", code)
    for name, parts in syncs.items():
        made.sync(name, **parts)
    for name in ("events", "quiet", "twice", "gone", "lasting", "unreadable", "stopped"):
        made.sync(name)
    made.sync("rejecting", **to_function("./targets/picky.py:handler", batch_size=10))
    made.sync("slow", **to_function("./targets/slow.py:handler"))
    made.sync("failing", **to_function("./targets/broken.py:handler"))
    made.sync("misspoken", **to_function("./targets/chatty.py:handler"))
    made.sync("missing", **to_function("arn:aws:lambda:us-east-1:000000000000:function:nobody"))
    made.sync("shaped", message={"template": '{"id": {{ row.id }}}{% if row.size == 4 %} and more{% endif %}'})
    made.sync("crafted", **CRAFTED)
    made.sync("pooled", limits={"pool": "crm", "concurrency": 2})
    made.table("events", {"id": 1, "name": "a"})
    yield made
    made.rowcast("local", "down")
