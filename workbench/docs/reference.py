"""`make reference`: writes the pages and pictures that are made from the code. A test fails when one is stale."""

from __future__ import annotations

import json
from pathlib import Path

from project import schema
from workbench.docs import commands, dashboard, event_fields, machine, permissions
from workbench.docs.nested import Body, as_one

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEMPLATE = ROOT / "tests" / "infra" / "template.snapshot.json"
MACHINE = ROOT / "infra" / "sync.asl.json"


def files() -> dict[Path, str]:
    """Every file that is made, with what it is to hold."""
    made = {DOCS / "reference" / name: content for name, content in schema.files().items()}
    made[DOCS / "reference" / "commands.md"] = commands.page()
    made[DOCS / "reference" / "permissions.md"] = permissions.page(reviewed())
    made[DOCS / "reference" / "event-fields.md"] = event_fields.page(DOCS / "reference" / "events")
    made[DOCS / "assets" / "state-machine.svg"] = machine.svg(json.loads(MACHINE.read_text(encoding="utf-8")))
    pictures = dashboard.pictures(reviewed())
    made |= {DOCS / "captures" / f"dashboard-{part}.svg": picture for part, picture in pictures.items()}
    made[DOCS / "decisions" / "README.md"] = decisions(DOCS / "decisions")
    return made


def reviewed() -> Body:
    """The reviewed template, with the nested ones in it."""
    files = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    return as_one(files["Rowcast.template.json"], files)


def decisions(folder: Path) -> str:
    """An index of the decision records, by their first lines."""
    lines = [
        "# Decisions\n",
        "What was decided, why, and what else was weighed; newest last. Made by `make reference`.\n",
    ]
    for record in sorted(folder.glob("[0-9]*.md")):
        title = record.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"- [{title}]({record.name})")
    return "\n".join(lines) + "\n"


def main() -> None:
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
