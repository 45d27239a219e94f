"""Writes the schemas to docs/reference: `python -m project.publish`."""

from __future__ import annotations

from pathlib import Path

from project.schema import files

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"

if __name__ == "__main__":
    for name, content in files().items():
        (REFERENCE / name).write_text(content, encoding="utf-8")
