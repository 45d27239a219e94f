"""Layers: the core's code, and dependencies that uv bundles from hash-locked requirements, without Docker.

A bundle is kept under its recipe's digest, so that the next synth bundles nothing, and a change of the code
bundles no dependency again.
"""

from __future__ import annotations

import hashlib
import os
import platform as machine
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, get_args

from aws_cdk import IgnoreMode, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

ROOT = Path(__file__).resolve().parents[2]
Platform = Literal["lambda", "host"]
"""What bundles are made for: Lambda's arm64, or this machine, where an emulator runs the functions itself."""

RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64
_LAMBDA_TARGET = ("--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.13", "--only-binary", ":all:")
_UNUSED = ("bin", "_duckdb-stubs", "babel/locale-data")
_RECIPE = "1"


class Layers(Construct):
    """`code` goes into every function; `dependencies`, `engine` and `postgres` only where they are used."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        if platform not in get_args(Platform):
            raise ValueError(f"rowcast:platform is {platform!r}; it can be: {', '.join(get_args(Platform))}.")
        self._platform: Platform = platform
        self.code = self._layer(
            "Code",
            lambda_.Code.from_asset(
                str(ROOT / "layers" / "core"),
                exclude=["/requirements.*", "__pycache__", "*.pyc"],
                ignore_mode=IgnoreMode.GIT,
            ),
        )
        self.dependencies = self._bundled("Dependencies", "core")
        self.engine = self._bundled("Engine", "engine")
        self._postgres: lambda_.LayerVersion | None = None

    @property
    def postgres(self) -> lambda_.LayerVersion:
        """Made when a source first asks for it."""
        self._postgres = self._postgres or self._bundled("Postgres", "postgres")
        return self._postgres

    def _bundled(self, construct_id: str, folder: str) -> lambda_.LayerVersion:
        requirements = ROOT / "layers" / folder / "requirements.txt"
        digest = digest_of(requirements, self._platform)
        wanted = Stack.of(self).bundling_required
        content = bundle(requirements, self._platform, digest) if wanted else requirements.parent
        # An asset that was not bundled (as `cdk bootstrap` synthesizes) must not pass for the bundled one later.
        return self._layer(
            construct_id, lambda_.Code.from_asset(str(content), asset_hash=digest if wanted else f"unbundled-{digest}")
        )

    def _layer(self, construct_id: str, code: lambda_.Code) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self, construct_id, code=code, compatible_runtimes=[RUNTIME], compatible_architectures=[ARCHITECTURE]
        )


def handlers_code() -> lambda_.Code:
    """The package `handlers` alone, at the root of the asset."""
    return lambda_.Code.from_asset(
        str(ROOT), exclude=["/*", "!/handlers", "/handlers/*", "!/handlers/*.py"], ignore_mode=IgnoreMode.GIT
    )


def digest_of(requirements: Path, platform: Platform) -> str:
    target = " ".join(_LAMBDA_TARGET) if platform == "lambda" else _host()
    parts = (_RECIPE, target, " ".join(_UNUSED), requirements.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _host() -> str:
    return f"{machine.system()} {machine.machine()} {sys.implementation.cache_tag}"


def bundle(requirements: Path, platform: Platform, digest: str) -> Path:
    """Answers the bundle's folder. Renamed into place when complete, so that two synths at once do no harm."""
    cache = Path(os.environ.get("ROWCAST_BUNDLES", ROOT / ".cache" / "layers"))
    finished = cache / digest
    if finished.is_dir():
        return finished
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        made = Path(work) / "bundle"
        install(requirements, platform, made / "python")
        for unused in _UNUSED:
            shutil.rmtree(made / "python" / unused, ignore_errors=True)
        try:
            made.rename(finished)
        except OSError:
            if not finished.is_dir():
                raise
    return finished


def install(requirements: Path, platform: Platform, target: Path) -> None:
    options = _LAMBDA_TARGET if platform == "lambda" else ("--python", sys.executable, "--only-binary", ":all:")
    command = [_uv(), "pip", "install", "--quiet", "--target", str(target), "--no-compile-bytecode", "--require-hashes"]
    done = subprocess.run(  # noqa: S603 - a fixed command
        [*command, *options, "--requirement", str(requirements)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"uv could not bundle {requirements.relative_to(ROOT)}:\n{done.stderr}")


def _uv() -> str:
    """The uv that the requirements pin, else the one on the path."""
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
        if found is None:
            raise RuntimeError("uv bundles the layers and is not installed: pip install uv.") from None
        return found
