"""Where ministack 1.5.33 departs from AWS in a way that Rowcast would notice, and the mend for each.

A mend replaces one function of the emulator and says what AWS does. Each has a canary in
tests/unit/test_local_mends.py, which fails when a new ministack moves what the mend holds on to.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

from workbench.local import recorder

CLOSED_EXECUTIONS_KEPT = 100
_ASSET = "asset.json"


def apply(home: Path) -> None:
    """Applies every mend to this process; `home` is the project's `.rowcast` folder."""
    map_concurrency(limit=2 * (os.cpu_count() or 2))
    bounded_history(CLOSED_EXECUTIONS_KEPT)
    quick_replies()
    error_types()
    roles_with_paths()
    nested_updates()
    shared_layers(Path(os.environ["ROWCAST_LOCAL_LAYERS"]))
    bare_runtime(home / "runtime")
    recorder.record(home / "arrivals.jsonl")


def map_concurrency(limit: int) -> None:
    """AWS honours `MaxConcurrencyPath`; ministack reads only `MaxConcurrency` and else starts 64 workers.

    Also keeps to `limit`, because each concurrent call is a process on this machine, and forgets the child executions,
    which nobody asks for and which would fill the memory over thousands of runs.
    """
    from ministack.services import stepfunctions

    original = stepfunctions._run_distributed_map

    @functools.wraps(original)
    def run(state: dict[str, Any], raw: Any, effective: Any, iterator: Any, execution: dict[str, Any], ctx: Any) -> Any:
        path = state.get("MaxConcurrencyPath")
        wanted = stepfunctions._resolve_path_or_ctx(path, effective, ctx) if path else state.get("MaxConcurrency")
        bounded = min(int(wanted or limit) or limit, limit)
        try:
            return original(dict(state, MaxConcurrency=bounded), raw, effective, iterator, execution, ctx)
        finally:
            _forget_children(stepfunctions, execution["executionArn"])

    stepfunctions._run_distributed_map = run


def roles_with_paths() -> None:
    """AWS simulates the policies of a role with a path; ministack takes the path for a part of its name."""
    from ministack.core import iam_evaluator

    original = iam_evaluator._gather_role_policies

    @functools.wraps(original)
    def gather(role_name: str, account_id: str) -> Any:
        return original(role_name.rpartition("/")[2], account_id)

    iam_evaluator._gather_role_policies = gather


def _forget_children(stepfunctions: Any, parent: str) -> None:
    runs = [arn for arn, run in list(stepfunctions._map_runs.items()) if run.get("executionArn") == parent]
    gone = set(runs)
    children = [arn for arn, child in list(stepfunctions._executions.items()) if child.get("mapRunArn") in gone]
    for arn in children:
        stepfunctions._executions.pop(arn, None)
    for arn in runs:
        stepfunctions._map_runs.pop(arn, None)


def nested_updates() -> None:
    """AWS keeps the attributes of a resource of a nested stack that an update leaves as it is; ministack forgets those
    that its type's update does not answer, so that an output or a resource that asks for one fails the update."""
    from ministack.services.cloudformation import _stacks, provisioners

    original = provisioners._update_resource

    @functools.wraps(original)
    def update(kind: str, physical: str, old: Any, new: Any, stack: str, logical: str, *more: Any) -> Any:
        before = _stacks.get(stack, {}).get("_resources", {}).get(logical, {})
        answered, attributes = original(kind, physical, old, new, stack, logical, *more)
        kept = before.get("Attributes") if answered == before.get("PhysicalResourceId") else None
        return answered, {**(kept or {}), **(attributes or {})}

    provisioners._update_resource = update


def bounded_history(keep: int) -> None:
    """AWS forgets closed executions after 90 days; ministack keeps all of them in memory and in its state file."""
    from ministack.services import stepfunctions

    original = stepfunctions._start_execution

    @functools.wraps(original)
    def start(data: dict[str, Any]) -> Any:
        executions = stepfunctions._executions
        if len(executions) > keep + keep // 10:
            closed = [arn for arn, one in list(executions.items()) if one.get("status") != "RUNNING"]
            for arn in closed[: len(executions) - keep]:
                executions.pop(arn, None)
        return original(data)

    stepfunctions._start_execution = start


def quick_replies() -> None:
    """AWS answers an Invoke when the function returns; ministack first waits 50 ms for log lines that may not come."""
    from ministack.core import lambda_runtime

    original = lambda_runtime.Worker._drain_stderr_bounded
    lambda_runtime.Worker._drain_stderr_bounded = functools.partialmethod(
        original, first_line_wait=0.001, idle_confirm=0.001
    )


def error_types() -> None:
    """AWS names the class of the exception a function raised in `errorType`; ministack always says HandlerError."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    lambda_runtime._PYTHON_WORKER_SCRIPT = _replaced(
        lambda_runtime._PYTHON_WORKER_SCRIPT,
        '"error": str(e), "trace": traceback.format_exc()}',
        '"error": str(e), "type": type(e).__name__, "trace": traceback.format_exc()}',
    )
    last = threading.local()
    invoke, execute = lambda_runtime.Worker.invoke, lambda_svc._execute_function_warm

    @functools.wraps(invoke)
    def remember_type(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = invoke(self, *args, **kwargs)
        last.type = result.get("type")
        return result

    @functools.wraps(execute)
    def name_type(*args: Any, **kwargs: Any) -> Any:
        last.type = None
        result = execute(*args, **kwargs)
        if last.type and result.get("error"):
            result["body"]["errorType"] = last.type
        return result

    lambda_runtime.Worker.invoke = remember_type
    lambda_svc._execute_function_warm = name_type


def shared_layers(folder: Path) -> None:
    """AWS mounts a layer's files; ministack unpacks the archive anew for every worker and writes it into its state.

    The emulator keeps a layer of one `.pth` file that points to a copy unpacked once per content, where Python's
    compiled files survive as well. A copy that was deleted is unpacked again from the layer's asset.
    """
    from ministack.services import lambda_svc
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::LayerVersion"]
    create, resolve = handlers["create"], lambda_svc._resolve_layer_zip
    lock = threading.Lock()

    @functools.wraps(create)
    def create_pointing(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        arn, attributes = create(logical_id, props, stack_name)
        versions = [version for layer in lambda_svc._layers.values() for version in layer["versions"]]
        made = next(version for version in versions if version["LayerVersionArn"] == arn)
        if data := made["_zip_data"]:
            with lock:
                made["_zip_data"] = _pointer_to(_unpacked(data, folder), props["Content"])
        return arn, attributes

    @functools.wraps(resolve)
    def resolve_present(attachment: Any) -> bytes | None:
        pointer: bytes | None = resolve(attachment)
        if pointer and (asset := _asset_of(pointer)) and not Path(asset["folder"]).exists():
            with lock:
                _unpacked(provisioners._s3._get_object_data(asset["S3Bucket"], asset["S3Key"]), folder)
        return pointer

    handlers["create"] = create_pointing
    lambda_svc._resolve_layer_zip = resolve_present


def _unpacked(data: bytes, folder: Path) -> Path:
    target = folder / hashlib.sha256(data).hexdigest()[:32]
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder, prefix="unfinished-"))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(unfinished)
        try:
            unfinished.rename(target)
        except OSError:  # another project's emulator was quicker
            shutil.rmtree(unfinished)
    return target


def _pointer_to(target: Path, asset: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    with zipfile.ZipFile(out, "w") as archive:
        line = f"import sys; sys.path.insert(0, {str(target / 'python')!r})\n"
        archive.writestr(f"python/lib/{version}/site-packages/layer.pth", line)
        archive.writestr(_ASSET, json.dumps({**asset, "folder": str(target)}))
    return out.getvalue()


def _asset_of(pointer: bytes) -> dict[str, str] | None:
    with zipfile.ZipFile(io.BytesIO(pointer)) as archive:
        return json.loads(archive.read(_ASSET)) if _ASSET in archive.namelist() else None


RUNTIME_PACKAGES = (
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "dateutil",
    "six.py",
    "urllib3",
    "snapshot_restore_py",
)


def bare_runtime(folder: Path) -> None:
    """AWS gives a Python function the standard library, boto3 and its layers; ministack lends it its own environment.

    Functions run under the interpreter that this environment was made from, with a folder that holds boto3 alone: what
    is missing from a layer fails here as it would on AWS.
    """
    from ministack.core import lambda_runtime

    base = getattr(sys, "_base_executable", sys.executable)
    _link_packages(folder)
    os.environ["PYTHONPATH"] = str(folder)
    os.environ["PYTHONNOUSERSITE"] = "1"
    original = lambda_runtime._detect_runtime_binary

    @functools.wraps(original)
    def detect(runtime: str) -> tuple[str, str]:
        binary, script = original(runtime)
        return (base if binary == sys.executable else binary), script

    lambda_runtime._detect_runtime_binary = detect


def _link_packages(folder: Path) -> None:
    import botocore

    site = Path(botocore.__file__).parent.parent
    folder.mkdir(parents=True, exist_ok=True)
    for name in RUNTIME_PACKAGES:
        link = folder / name
        if link.is_symlink():
            link.unlink()
        if (site / name).exists():
            link.symlink_to(site / name)


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise RuntimeError(f"ministack's Lambda worker is not the one this mend was written for: {old!r} is not in it.")
    return text.replace(old, new)
