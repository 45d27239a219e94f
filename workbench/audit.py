"""`make audit`: known weaknesses of everything that is locked, as pip-audit tells them.

Exit code 0: none; 1: some; 2: not everything could be looked up. Where there is no data, pip-audit finds nothing too:
so a package with weaknesses that everybody knows is asked for first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import msgspec

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.txt", "docs/requirements.txt", "infra/lint/requirements.txt", "bench/requirements.txt")
KNOWN = "urllib3==1.24.1"
"""Has weaknesses in every database since 2019, CVE-2019-11324 among them."""
CLEAN, WEAK, UNKNOWN = 0, 1, 2
NO_DATA = (
    "Nothing was audited: {service} gave no data about weaknesses. Of {known}, which has some, it said nothing.\n"
    "Run this where {service} can be reached, such as in CI: an index that stands in for PyPI has no such data.\n"
)


class Weakness(msgspec.Struct):
    id: str
    fix_versions: list[str] = []


class Package(msgspec.Struct):
    """`skip_reason`: why it could not be looked up."""

    name: str
    version: str = ""
    vulns: list[Weakness] = []
    skip_reason: str = ""


class Report(msgspec.Struct):
    dependencies: list[Package]


Ask = Callable[[Path], Report]


def locks() -> list[Path]:
    return [*(ROOT / name for name in LOCKS), *sorted((ROOT / "layers").glob("*/requirements.txt"))]


def audit(locked: Iterable[Path], ask: Ask, service: str) -> int:
    """Says what is weak and what is not known, for all locks, and answers the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"
        known.write_text(f"{KNOWN}\n")
        if not any(package.vulns for package in ask(known).dependencies):
            sys.stderr.write(NO_DATA.format(service=service, known=KNOWN))
            return UNKNOWN
    worst = CLEAN
    for lock in locked:
        packages = ask(lock).dependencies
        weak = [package for package in packages if package.vulns]
        unknown = [package for package in packages if package.skip_reason]
        found = f"{len(packages)} packages, {len(weak)} with known weaknesses"
        click.echo(f"{lock.relative_to(ROOT)}: {found}" + (f", {len(unknown)} not known" if unknown else ""))
        for package in weak:
            for one in package.vulns:
                mended = f", mended in {', '.join(one.fix_versions)}" if one.fix_versions else ""
                click.echo(f"  {package.name} {package.version}: {one.id}{mended}")
        for package in unknown:
            click.echo(f"  {package.name}: {package.skip_reason}")
        worst = max(worst, UNKNOWN if unknown or not packages else WEAK if weak else CLEAN)
    return worst


def pip_audit(tool: str, service: str) -> Ask:
    """`tool`: pip-audit with its version, run by uv in an environment of its own; `service`: pypi or osv."""

    def ask(lock: Path) -> Report:
        hashed = "--require-hashes" if "--hash=" in lock.read_text() else "--no-deps"
        options = ["--vulnerability-service", service, "--disable-pip", hashed, "--format", "json"]
        command = ["tool", "run", "--quiet", tool, *options, "--progress-spinner", "off", "--requirement", str(lock)]
        uv = str(Path(sys.executable).with_name("uv"))
        done = subprocess.run([uv, *command], capture_output=True, text=True, check=False)
        try:
            return msgspec.json.decode(done.stdout, type=Report)
        except msgspec.MsgspecError:
            last = done.stderr.strip().rpartition("\n")[2]
            return Report([Package(name=lock.name, skip_reason=f"pip-audit failed: {last[:300]}")])

    return ask


def main() -> None:
    tool, service = sys.argv[1:]
    sys.exit(audit(locks(), pip_audit(tool, service), service))


if __name__ == "__main__":
    main()
