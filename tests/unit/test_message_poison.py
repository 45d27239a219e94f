"""Rows made to exhaust a worker: each costs itself alone, and no more memory than a worker has to spare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rowcast.definition import Definition, Message
from rowcast.message import RunInfo, compile_message
from rowcast.models import Run
from rowcast.ports import Render
from tests.world import World, sync_definition

ROOT = Path(__file__).resolve().parents[2]
POISON: dict[str, tuple[str, Any]] = {
    "replace": ("{{ row.v | replace: '', row.v }}", "ab" * 100_000),
    "join": ("{{ row.v | split: '' | join: row.v }}", "😀" * 100_000),
    "range": ("{{ (1..100000) | join: row.v }}", "ab" * 1000),
    "nested loops": ("{% for a in row.v %}{% for b in row.v %}x{% endfor %}{% endfor %}1", [0] * 10_000),
    "doubling": (
        "{% assign x = row.v %}{% for i in (1..99) %}{% assign x = x | append: x %}{% endfor %}1",
        "😀" * 1000,
    ),
    "escapes": ("{{ row.v | json | json | json | json | json | json | json | json | json | json }}", '😀"' * 500_000),
    "output": ('"{% for i in (1..9999) %}{{ row.v }}{% endfor %}"', "😀" * 100_000),
    "digits": ("{{ row.v | times: row.v | times: row.v }}", 10**3000),
    "depth": ("{{ row.v | parse_json }}", "[" * 3_000_000),
}
SPARE = 512 * 1024 * 1024
CHILD = """
import resource
from tests.unit.test_message_poison import POISON, SPARE
from rowcast.errors import MessageInvalid
from rowcast.message.template import compile_template
from rowcast.models import Change

names = {"sync": {"name": "s"}, "run": {"id": "r", "started_at": "2025-03-04T10:11:12Z"}}
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE,) * 2)
for name, (template, value) in POISON.items():
    render = compile_template(template).renderer(names)
    try:
        render(Change(operation="added", key=[1], key_hash="00", id="c", after={"v": value}))
    except MessageInvalid as error:
        if "cannot take this value" in str(error):  # what the lack of memory would end in
            raise
        print(name)
"""


class RenderingWorld(World):
    def render(self, definition: Definition, run: Run) -> Render:
        return compile_message(definition, RunInfo(id=run.run, started_at=run.started_at))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's accounting of memory")
def test_no_row_takes_more_memory_than_a_worker_has_to_spare() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.splitlines() == list(POISON), done.stderr


@pytest.mark.parametrize("name", ["replace", "range", "escapes", "output"])
def test_one_poisoned_row_costs_one_row(name: str) -> None:
    template, value = POISON[name]
    world = RenderingWorld(sync_definition(message=Message(template=f'{{"id": {{{{ row.id }}}}, "x": {template}}}')))
    for key in range(1, 4):
        world.source.put(id=key, v=value if key == 2 else value[:1])
    summary = world.run()
    assert (summary["accepted"], summary["rejected"]) == (2, 1)
    assert "line 1, column" in world.owed()[2].reason
