"""Keeps the embedded AWS as the project's folder says: deploys when something changed, and costs nothing otherwise."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from rowcast.errors import RowcastError
from workbench.aws import Aws
from workbench.local import provision, server, stack
from workbench.local.server import ROOT, Home, LocalAws, write_whole
from workbench.local.synth import synthesize

Say = Callable[[str], None]
PRODUCT = ("app.py", "cdk.json", "infra", "handlers", "layers", "project")
MOST_BYTES_OF_CONFIGURATION = 1_000_000


class Deployed(msgspec.Struct, kw_only=True):
    """`deployed.json`. `product`, `folder`: what was looked at cheaply; `plan`: what the template is made of.

    `emulator`: when the emulator was started in which the stack was last seen. `uploaded`: digests of functions' code.
    """

    product: str
    folder: str
    plan: str
    emulator: float
    stack: str
    outputs: dict[str, str]
    syncs: list[str]
    needs: provision.Needs
    uploaded: dict[str, str]


def ensure(project: Path, say: Say, *, owner: int | None = None) -> tuple[Aws, Deployed]:
    """Starts, deploys and provisions whatever is not as it should be; says in one line each what took time."""
    project = project.resolve()
    home = Home(project)
    if server.running(project) is None:
        _check(project)
        say("Starting the embedded AWS …")
    local = server.up(project, owner)
    aws = Aws(local=local)
    with home.locked():
        deployed = _current(home, local) or _deploy(home, local, aws, say)
        before = dict(deployed.uploaded)
        data = [Path(folder.path) for folder in deployed.needs.folders]
        provision.make_functions(aws, deployed.needs.functions, deployed.uploaded, data)
        if deployed.uploaded != before:
            _write(home, local, deployed)
    return aws, deployed


def read(project: Path) -> Deployed | None:
    try:
        return msgspec.json.decode((Home(project).path / "deployed.json").read_bytes(), type=Deployed)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _check(project: Path) -> None:
    """Says what is wrong with the folder before anything is started for it."""
    import project as configuration

    configuration.load(project)


def _current(home: Home, local: LocalAws) -> Deployed | None:
    """What is deployed, if the folder and the product are as they were and the emulator still has it."""
    deployed = read(home.project)
    if deployed is None or deployed.product != _product():
        return None
    if deployed.folder != _folder(home.project, deployed.needs):
        return None
    if deployed.emulator == local.started_at:
        return deployed
    if not _outputs(Aws(local=local), deployed.stack):
        return None
    deployed.emulator = local.started_at
    _write(home, local, deployed)
    return deployed


def _deploy(home: Home, local: LocalAws, aws: Aws, say: Say) -> Deployed:
    import project as configuration

    loaded = configuration.load(home.project)
    before = read(home.project)
    needs = provision.needs(loaded)
    parts = [repr((sync.definition, sync.schedule, sync.alerts)) for sync in loaded.syncs.values()]
    plan = hashlib.sha256("\0".join([_product(), loaded.name, repr(loaded.alerts), *parts]).encode()).hexdigest()
    outputs = _outputs(aws, before.stack) if before else {}
    if before and before.plan == plan and outputs:
        name = before.stack
    else:
        changed = "The configuration" if before and before.product == _product() else "Rowcast itself"
        say(f"{changed} changed: deploying …" if before and outputs else "Deploying into the embedded AWS …")
        if before:  # a deployment that is broken off leaves what is neither the old nor the new
            _write(home, local, msgspec.structs.replace(before, folder="", plan=""))
        name = _synth_and_deploy(home, local, aws)
        outputs = _outputs(aws, name)
    provision.make_buses(aws, needs.buses)
    deployed = Deployed(
        product=_product(),
        folder=_folder(home.project, needs),
        plan=plan,
        emulator=local.started_at,
        stack=name,
        outputs=outputs,
        syncs=sorted(loaded.syncs),
        needs=needs,
        uploaded=dict(before.uploaded) if before and before.emulator == local.started_at else {},
    )
    _write(home, local, deployed)
    return deployed


def _synth_and_deploy(home: Home, local: LocalAws, aws: Aws) -> str:
    with tempfile.TemporaryDirectory(dir=home.path, prefix="cdk.out.") as out:
        synthesize(home.project, Path(out), account=local.account, region=local.region)
        return stack.deploy(Path(out), aws.client, account=local.account, region=local.region)


def _outputs(aws: Aws, name: str) -> dict[str, str]:
    """Empty when there is no such stack, or none that is complete."""
    from botocore.exceptions import ClientError

    try:
        found = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError:
        return {}
    if not found["StackStatus"].endswith("_COMPLETE") or "ROLLBACK" in found["StackStatus"]:
        return {}
    return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}


def _write(home: Home, local: LocalAws, deployed: Deployed) -> None:
    """Once the emulator's state is on disk: an emulator that is killed and started anew must not have less than this
    says."""
    server.save(local)
    write_whole(home.path / "deployed.json", msgspec.json.format(msgspec.json.encode(deployed)))


def _product() -> str:
    """Changes whenever a file of the product does, judged by size and time."""
    digest = hashlib.sha256()
    for name in PRODUCT:
        for path in _walk(ROOT / name):
            stat = path.stat()
            digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _folder(project: Path, needs: provision.Needs) -> str:
    """Changes whenever a file of the project does that may be configuration: all small ones outside the data."""
    digest = hashlib.sha256()
    data = [Path(folder.path) for folder in needs.folders if Path(folder.path) != project]
    for path in _walk(project):
        if not any(path.is_relative_to(one) for one in data) and path.stat().st_size <= MOST_BYTES_OF_CONFIGURATION:
            digest.update(str(path).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _walk(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__", "node_modules")))
        yield from (Path(folder) / name for name in sorted(files) if not name.endswith(".pyc"))


def prepare(aws: Aws, deployed: Deployed, sync: str) -> None:
    """Brings secrets and files up to date for a run of this sync. Raises RowcastError when a secret is missing."""
    missing = [one for one in provision.put_secrets(aws, deployed.needs.secrets) if sync in one.syncs]
    if missing:
        names = ", ".join(f"{one.variable} (for the secret {one.name})" for one in missing)
        raise RowcastError(f"The sync {sync} needs a secret that is not set. Set the environment variable {names}.")
    bucket = deployed.outputs.get("Bucket")
    if bucket and deployed.needs.folders:
        provision.copy_folders(aws.client("s3"), bucket, deployed.needs.folders)
