from __future__ import annotations

import re
from pathlib import Path

import pytest
from aws_cdk import Stack

from infra.constructs import layers

LOCKS = sorted(layers.ROOT.glob("layers/*/requirements.txt"))


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("one==1\n")
    return path


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts what would be installed; the cache is a folder of the test's own."""
    made: list[str] = []

    def install(_: Path, platform: layers.Platform, target: Path) -> None:
        made.append(platform)
        (target / "babel" / "locale-data").mkdir(parents=True)
        (target / "one.py").write_text("")

    monkeypatch.setattr(layers, "install", install)
    monkeypatch.setenv("ROWCAST_BUNDLES", str(tmp_path / "bundles"))
    return made


def test_a_second_synth_bundles_nothing(requirements: Path, installs: list[str]) -> None:
    digest = layers.digest_of(requirements, "lambda")
    first, second = (layers.bundle(requirements, "lambda", digest) for _ in range(2))
    assert first == second
    assert len(installs) == 1


def test_a_bundle_leaves_out_what_no_function_uses(requirements: Path, installs: list[str]) -> None:
    bundle = layers.bundle(requirements, "lambda", "digest")
    assert {path.name for path in (bundle / "python").iterdir()} == {"one.py", "babel"}
    assert not list((bundle / "python" / "babel").iterdir())


def test_an_install_that_fails_leaves_no_bundle(
    requirements: Path, installs: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(layers, "install", fail)
    with pytest.raises(RuntimeError, match="no network"):
        layers.bundle(requirements, "lambda", "digest")
    assert not list((tmp_path / "bundles").iterdir())


def test_other_requirements_or_another_platform_are_another_bundle(requirements: Path) -> None:
    first = layers.digest_of(requirements, "lambda")
    assert layers.digest_of(requirements, "host") != first
    requirements.write_text("one==2\n")
    assert layers.digest_of(requirements, "lambda") != first


def test_an_unknown_platform_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="lambda, host"):
        layers.Layers(Stack(), "Layers", platform="arm")  # type: ignore[arg-type]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_a_layer_is_locked_by_hash_to_what_the_tests_run_on(lock: Path) -> None:
    pinned = re.findall(r"^([\w.-]+==[^\s;]+)", lock.read_text(), re.MULTILINE)
    tested = (layers.ROOT / "requirements.txt").read_text()
    assert pinned
    assert all(f"\n{pin} " in tested for pin in pinned)
    assert lock.read_text().count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock.read_text()
