"""What a project's syncs name and the template does not hold: buses, target functions, secrets and files.

Buses, functions and secrets exist only in the embedded AWS; folders of files are copied to a real account as well.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from project.model import Project
from rowcast.definition import Definition, EventBridgeDestination, FilesSource, PostgresSource, SecretRef
from workbench.aws import Aws

TARGET_SECONDS = 60
MOST_BYTES_OF_A_FILE_OF_CODE = 10_000_000
_ENV = "rowcast/env/"


class Bus(msgspec.Struct, frozen=True):
    name: str
    region: str | None
    account: str | None


class Function(msgspec.Struct, frozen=True):
    """A target function of the project: `file` absolute, `handler` a name in it."""

    name: str
    file: str
    handler: str
    region: str | None
    account: str | None


class Secret(msgspec.Struct, frozen=True):
    """`variable`: the environment variable that holds it here. `syncs`: those that cannot run without it."""

    store: str
    name: str
    variable: str
    syncs: tuple[str, ...]


class Folder(msgspec.Struct, frozen=True):
    path: str
    prefix: str


class Needs(msgspec.Struct, kw_only=True):
    """What has to exist beside the stack, kept so that a run need not read the project again."""

    buses: tuple[Bus, ...] = ()
    functions: tuple[Function, ...] = ()
    secrets: tuple[Secret, ...] = ()
    folders: tuple[Folder, ...] = ()


def needs(project: Project) -> Needs:
    syncs = {name: sync.definition for name, sync in project.syncs.items()}
    return Needs(
        buses=tuple(sorted(set(_buses(syncs.values())), key=repr)),
        functions=tuple(sorted(set(_functions(project, syncs.values())), key=repr)),
        secrets=tuple(_secret(ref, syncs) for ref in sorted(set(project.secrets), key=repr)),
        folders=tuple(
            Folder(str(path), source.prefix)
            for name, path in sorted(project.folders.items())
            if isinstance(source := project.sources[name], FilesSource)
        ),
    )


def _buses(definitions: Iterable[Definition]) -> Iterator[Bus]:
    for definition in definitions:
        if isinstance(definition.destination, EventBridgeDestination):
            for operation in ("added", "changed", "removed"):
                trigger = definition.triggers.of(operation)
                if trigger and trigger.bus and not trigger.bus.startswith("arn:") and trigger.bus != "default":
                    yield Bus(trigger.bus, definition.destination.region, _account(definition))


def _functions(project: Project, definitions: Iterable[Definition]) -> Iterator[Function]:
    known = {function.name: function for function in project.functions}
    for definition in definitions:
        destination = definition.destination
        if not isinstance(destination, EventBridgeDestination) and destination.function in known:
            one = known[destination.function]
            yield Function(one.name, str(one.file), one.handler, destination.region, _account(definition))


def _account(definition: Definition) -> str | None:
    """The account of the role that sends; the embedded AWS knows no other way into one."""
    account = definition.destination.account
    return account.role_arn.split(":")[4] if account and account.role_arn else None


def _secret(ref: SecretRef, syncs: Mapping[str, Definition]) -> Secret:
    variable = ref.name.removeprefix(_ENV) if ref.name.startswith(_ENV) else secret_variable(ref.name)
    users = tuple(name for name, definition in syncs.items() if ref in _secrets_of(definition))
    return Secret(ref.store, ref.name, variable, users)


def secret_variable(name: str) -> str:
    """The environment variable that stands for a secret here: for `rowcast/dwh` it is ROWCAST_SECRET_ROWCAST_DWH."""
    return "ROWCAST_SECRET_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def _secrets_of(definition: Definition) -> Iterator[SecretRef]:
    if isinstance(definition.source, PostgresSource) and definition.source.password:
        yield definition.source.password
    account = definition.destination.account
    if account and account.access_key_secret:
        yield account.access_key_secret


def make_buses(aws: Aws, buses: Iterable[Bus]) -> None:
    for bus in buses:
        events = aws.client("events", region=bus.region, account=bus.account)
        try:
            events.create_event_bus(Name=bus.name)
        except events.exceptions.ResourceAlreadyExistsException:
            continue


def make_functions(aws: Aws, functions: Iterable[Function], uploaded: dict[str, str], data: Iterable[Path]) -> None:
    """Uploads each function whose code is not the one noted in `uploaded`, and notes it there."""
    for function in functions:
        code = _code(Path(function.file).parent, list(data))
        handler = f"{Path(function.file).stem}.{function.handler}"
        place = f"{function.account}/{function.region}/{function.name}"
        digest = hashlib.sha256(handler.encode() + code).hexdigest()
        if uploaded.get(place) != digest:
            _put_function(
                aws.client("lambda", region=function.region, account=function.account), function, handler, code
            )
            uploaded[place] = digest


def _put_function(client: Any, function: Function, handler: str, code: bytes) -> None:
    settings = {"FunctionName": function.name, "Handler": handler, "Timeout": TARGET_SECONDS}
    try:
        client.get_function(FunctionName=function.name)
    except client.exceptions.ResourceNotFoundException:
        role = f"arn:aws:iam::{function.account or '000000000000'}:role/{function.name}"
        client.create_function(**settings, Runtime="python3.13", Role=role, Code={"ZipFile": code}, MemorySize=256)
        return
    client.update_function_code(FunctionName=function.name, ZipFile=code)
    client.update_function_configuration(**settings)


def _code(folder: Path, data: list[Path]) -> bytes:
    """The function's folder as a ZIP file that depends on its contents alone; data of sources is no code."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(folder):
            inside_data = any(path.is_relative_to(one) for one in data)
            foreign = inside_data or not {"node_modules", "venv"}.isdisjoint(path.relative_to(folder).parts)
            if not foreign and path.stat().st_size <= MOST_BYTES_OF_A_FILE_OF_CODE:
                info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (2020, 1, 1, 0, 0, 0))
                info.external_attr = 0o644 << 16
                archive.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def put_secrets(aws: Aws, secrets: Iterable[Secret]) -> list[Secret]:
    """Puts the secrets that the environment holds into the embedded AWS; answers those that neither of them has."""
    return [secret for secret in secrets if not _put_secret(aws, secret)]


def _put_secret(aws: Aws, secret: Secret) -> bool:
    value = os.environ.get(secret.variable)
    if secret.store == "parameter":
        return _put_parameter(aws.client("ssm"), secret, value)
    manager = aws.client("secretsmanager")
    try:
        known = manager.get_secret_value(SecretId=secret.name)["SecretString"]
        if value not in (None, known):
            manager.put_secret_value(SecretId=secret.name, SecretString=value)
    except manager.exceptions.ResourceNotFoundException:
        if value is None:
            return False
        manager.create_secret(Name=secret.name, SecretString=value)
    return True


def _put_parameter(ssm: Any, secret: Secret, value: str | None) -> bool:
    try:
        known = ssm.get_parameter(Name=secret.name, WithDecryption=True)["Parameter"]["Value"]
    except ClientError:
        known = None
    if value not in (None, known):
        ssm.put_parameter(Name=secret.name, Value=value, Type="SecureString", Overwrite=True)
    return value is not None or known is not None


def copy_folders(s3: Any, bucket: str, folders: Iterable[Folder]) -> int:
    """Makes each prefix hold what its folder holds; answers how many objects were written or deleted."""
    return sum(_copy(s3, bucket, Path(folder.path), folder.prefix.rstrip("/") + "/") for folder in folders)


def _copy(s3: Any, bucket: str, folder: Path, prefix: str) -> int:
    there = _objects(s3, bucket, prefix)
    here = {prefix + path.relative_to(folder).as_posix(): path for path in _files(folder)}
    stale = [key for key, path in here.items() if there.get(key) != _etag(path)]
    for key in stale:
        with here[key].open("rb") as body:
            s3.put_object(Bucket=bucket, Key=key, Body=body)
    gone = [key for key in there if key not in here]
    for start in range(0, len(gone), 1000):
        batch = [{"Key": key} for key in gone[start : start + 1000]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
    return len(stale) + len(gone)


def _objects(s3: Any, bucket: str, prefix: str) -> dict[str, str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {one["Key"]: one["ETag"].strip('"') for page in pages for one in page.get("Contents", [])}


def _etag(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """Every file below the folder in a fixed order, without hidden ones and compiled Python."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path
