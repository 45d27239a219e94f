"""An audit that got no data is no clean audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench import audit
from workbench.audit import CLEAN, KNOWN, UNKNOWN, WEAK, Ask, Package, Report, Weakness

WEAKNESS = Weakness("CVE-2026-1", ["2.0"])


def answering(*packages: Package, known: bool = True) -> Ask:
    def ask(lock: Path) -> Report:
        if lock.read_text().startswith(KNOWN):
            return Report([Package("urllib3", "1.24.1", vulns=[Weakness("CVE-2019-11324")] if known else [])])
        return Report(list(packages))

    return ask


def locked() -> list[Path]:
    return [audit.ROOT / "requirements.txt"]


def test_a_service_that_knows_nothing_of_a_package_with_known_weaknesses_audits_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert audit.audit(locked(), answering(Package("a", "1.0"), known=False), "pypi") == UNKNOWN
    out, err = capsys.readouterr()
    assert (out, err.startswith("Nothing was audited: pypi gave no data")) == ("", True)


def test_packages_without_weaknesses_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.audit(locked(), answering(Package("a", "1.0")), "pypi") == CLEAN
    assert capsys.readouterr().out == "requirements.txt: 1 packages, 0 with known weaknesses\n"


def test_a_weakness_is_told_with_the_version_that_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.audit(locked(), answering(Package("a", "1.0", vulns=[WEAKNESS])), "pypi") == WEAK
    assert "a 1.0: CVE-2026-1, mended in 2.0" in capsys.readouterr().out


def test_a_package_that_cannot_be_looked_up_is_not_taken_for_clean(capsys: pytest.CaptureFixture[str]) -> None:
    packages = Package("a", "1.0", vulns=[WEAKNESS]), Package("b", skip_reason="not found")
    assert audit.audit(locked(), answering(*packages), "pypi") == UNKNOWN
    assert "1 not known" in capsys.readouterr().out
    assert audit.audit(locked(), answering(), "pypi") == UNKNOWN, "a lock without packages is a lock that was not read"


def test_every_lock_is_audited() -> None:
    there = {
        path
        for path in audit.ROOT.rglob("requirements.txt")
        if not any(part.startswith(".") or part in ("node_modules", "build", "cdk.out") for part in path.parts[1:])
        and "--hash=" in path.read_text()
    }
    assert set(audit.locks()) == there
