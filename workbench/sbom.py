"""`make sbom`: what each layer holds, as CycloneDX, read from the layers' locks and from nowhere else."""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

LAYERS = Path(__file__).resolve().parents[1] / "layers"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def bill(layer: str, lock: str) -> dict[str, Any]:
    """The hashes stay in the lock, which the layer is installed by: a package has one for each of its files."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": f"rowcast-layer-{layer}"}},
        "components": [_component(name, version) for name, version in _PINNED.findall(lock)],
    }


def _component(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    licence = _licence(name)
    known = {"licenses": [{"license": {"name": licence}}]} if licence else {}
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, **known}


def _licence(name: str) -> str:
    """As the package that is installed here says it: an expression, a classifier, or one line of text."""
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classifiers = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier", []) if one.startswith("License")]
    found = [*told.get_all("License-Expression", []), *classifiers, *told.get_all("License", [])]
    return found[0].strip().partition("\n")[0] if found else ""


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for lock in sorted(LAYERS.glob("*/requirements.txt")):
        made = bill(lock.parent.name, lock.read_text(encoding="utf-8"))
        file = folder / f"{lock.parent.name}.json"
        file.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"{file}: {len(made['components'])} packages\n")


if __name__ == "__main__":
    main()
