"""Deploys a cloud assembly into the emulator: what `cdk deploy` does, in some calls of boto3."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from rowcast.errors import RowcastError
from workbench.local.server import ROOT
from workbench.local.synth import stack_artifact
from workbench.local.template import fit

Client = Callable[[str], Any]
BOOTSTRAP_VERSION = "30"
DEPLOY_SECONDS = 180.0
_FIXED_TIME = (2020, 1, 1, 0, 0, 0)


def deploy(assembly: Path, client: Client, *, account: str, region: str) -> str:
    """Brings the emulator's stack to what the assembly says, whose templates it alters; answers the stack's name."""
    fit(assembly)
    name, template, assets = stack_artifact(assembly)
    bucket = _bootstrap(client, account, region)
    for asset in assets.values():
        _upload(client("s3"), assembly, asset, bucket, account, region)
    _apply(client("cloudformation"), name, _put_template(client("s3"), bucket, template))
    return name


def _put_template(s3: Any, bucket: str, template: dict[str, Any]) -> str:
    """Answers its address: a template of more than 51,200 bytes cannot be sent with the call."""
    body = json.dumps(template).encode()
    key = f"emulated/{hashlib.sha256(body).hexdigest()}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def _bootstrap(client: Client, account: str, region: str) -> str:
    """The part of `cdk bootstrap` that a deploy uses: the version parameter and the bucket for assets."""
    bucket = f"cdk-hnb659fds-assets-{account}-{region}"
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        client("s3").head_bucket(Bucket=bucket)
    except ClientError:
        client("s3").create_bucket(Bucket=bucket, **place)
    client("ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value=BOOTSTRAP_VERSION, Type="String", Overwrite=True
    )
    return bucket


def _upload(s3: Any, assembly: Path, asset: dict[str, Any], bucket: str, account: str, region: str) -> None:
    source = assembly / asset["source"]["path"]
    for destination in asset["destinations"].values():
        key = destination["objectKey"]
        wanted = destination["bucketName"].replace("${AWS::AccountId}", account).replace("${AWS::Region}", region)
        if wanted != bucket:
            raise RowcastError(f"The asset {key} goes to the bucket {wanted}, which the embedded AWS does not have.")
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except ClientError:
            path = _zipped(source, key) if asset["source"]["packaging"] == "zip" else source
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def _zipped(folder: Path, key: str) -> Path:
    """The folder as a ZIP file whose bytes depend on its files alone, kept for the next project that has this asset."""
    kept = ROOT / ".cache" / "assets" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.zip"
    if kept.exists():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{time.monotonic_ns()}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(str(path.relative_to(folder)), _FIXED_TIME)
            info.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes(), compresslevel=1)
    part.replace(kept)
    return kept


def _apply(cloudformation: Any, name: str, template: str) -> None:
    arguments = {"StackName": name, "TemplateURL": template, "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]}
    status = _status(cloudformation, name)
    if status and (status.startswith("ROLLBACK") or status in {"CREATE_FAILED", "DELETE_FAILED"}):
        cloudformation.delete_stack(StackName=name)
        _wait(cloudformation, name)
        status = None
    if status is None or status == "DELETE_COMPLETE":
        cloudformation.create_stack(**arguments)
    else:
        try:
            cloudformation.update_stack(**arguments)
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return
            raise
    reached = _wait(cloudformation, name)
    if reached not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        why = _why(cloudformation, name)
        begin_anew = "" if status is None else "\nTo begin anew, without what it knows so far: rowcast local reset"
        raise RowcastError(f"The embedded AWS could not deploy the stack {name} ({reached}): {why}{begin_anew}")


def _status(cloudformation: Any, name: str) -> str | None:
    try:
        return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError:
        return None


def _wait(cloudformation: Any, name: str) -> str | None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while True:
        status = _status(cloudformation, name)
        if status is None or not status.endswith("IN_PROGRESS"):
            return status
        if time.monotonic() > deadline:
            raise RowcastError(f"The stack {name} is still {status} after {DEPLOY_SECONDS:.0f} s.")
        time.sleep(0.05)


def _why(cloudformation: Any, name: str) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [one for one in events if one["ResourceStatus"].endswith("FAILED") and one.get("ResourceStatusReason")]
    reasons = [f"{one['LogicalResourceId']}: {one['ResourceStatusReason']}" for one in reversed(failed)]
    return "; ".join(dict.fromkeys(reasons)) or "no reason given"
