"""A new project's files: a source, one sync that runs at once in the embedded AWS, and what it sends to."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from workbench.options import UsageFault

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = ROOT / "docs" / "reference"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}")
SYNC = "orders"
SourceType = Literal["files", "postgres"]
DestinationType = Literal["eventbridge", "lambda"]


class Starter(msgspec.Struct, frozen=True, kw_only=True):
    """What a new project is to be; `name` is also its stack's."""

    name: str
    source: SourceType
    destination: DestinationType


def name_for(folder: Path) -> str:
    """A name made of the folder's."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", folder.name).strip("-")[:40]
    return words if NAME.fullmatch(words) else "Rowcast"


def check_name(name: str) -> str:
    """The name itself. Raises UsageFault when it cannot be one."""
    if not NAME.fullmatch(name):
        raise UsageFault(f"'{name}' is no name: 1 to 40 letters, digits or -, beginning with a letter.")
    return name


def write(folder: Path, starter: Starter, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Makes the project; answers its files. Raises UsageFault, with nothing written, when one of them is there."""
    check_name(starter.name)
    files = contents(folder.resolve(), starter, environment)
    there = [name for name in ("rowcast.yml", *files) if os.path.lexists(folder / name)]
    if folder.exists() and not folder.is_dir():
        raise UsageFault(f"{folder} is no folder; nothing was written.")
    if there:
        raise UsageFault(f"{folder} holds {', '.join(there)} already, and nothing is overwritten. Name another folder.")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return list(files)


def contents(folder: Path, starter: Starter, environment: Mapping[str, str]) -> dict[str, str]:
    files = {
        "rowcast.yaml": _schema_line(folder, "rowcast.schema.json", 0) + _main(starter, environment),
        f"syncs/{SYNC}.yaml": _schema_line(folder, "sync.schema.json", 1) + _sync(starter),
    }
    if starter.source == "files":
        files["data/orders.csv"] = _ORDERS
    if starter.destination == "lambda":
        files["targets/orders.py"] = _TARGET
    return files


def next_commands(folder: Path, starter: Starter) -> list[str]:
    """What to type next, in the folder from which the project was made."""
    into = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    password = ["export PGPASSWORD=…"] if starter.source == "postgres" else []
    return [*into, "rowcast validate", *password, f"rowcast run {SYNC} --local", "rowcast events"]


def _schema_line(folder: Path, name: str, depth: int) -> str:
    """Where the editor finds the schema: by a path that holds wherever both lie, so only inside this checkout."""
    if not folder.is_relative_to(ROOT) or not (SCHEMAS / name).is_file():
        return ""
    way = "../" * (len(folder.relative_to(ROOT).parts) + depth)
    return f"# yaml-language-server: $schema={way}docs/reference/{name}\n"


def _main(starter: Starter, environment: Mapping[str, str]) -> str:
    return f"name: {starter.name}   # the stack's name, too\nsources:\n{_source(starter, environment)}"


def _source(starter: Starter, environment: Mapping[str, str]) -> str:
    if starter.source == "files":
        return "  shop: {type: files, path: data}   # a folder of this project; queries name its files\n"
    fields = {
        "host": environment.get("PGHOST", "localhost"),
        "port": environment.get("PGPORT", "5432"),
        "database": environment.get("PGDATABASE", "shop"),
        "user": environment.get("PGUSER", "rowcast"),
    }
    tls = "off        # in an account: verify" if fields["host"] in ("localhost", "127.0.0.1") else "verify"
    lines = [f"    {name}: {_plain(name, value)}\n" for name, value in fields.items()]
    return (
        "  shop:\n    type: postgres\n"
        + "".join(lines)
        + "    password: {env: PGPASSWORD}   # in an account: {secret: name-in-secrets-manager}\n"
        + f"    tls: {tls}\n"
    )


def _plain(name: str, value: str) -> str:
    if name == "port" and value.isdecimal():
        return value
    return msgspec.json.encode(value).decode()


def _sync(starter: Starter) -> str:
    query = "SELECT * FROM 'orders.csv'" if starter.source == "files" else "SELECT * FROM orders"
    model = (
        f"model:\n  source: shop\n  query: {query}\n  primary_key: order_id\n"
        "schedule: {every: 15 minutes}   # in an account; locally you start the runs\n"
    )
    return model + (_TO_EVENTBRIDGE if starter.destination == "eventbridge" else _TO_LAMBDA) + _FIRST


_TO_EVENTBRIDGE = """destination: {type: eventbridge}
triggers:                        # only those that are named are sent
  added:   {bus: orders, source: com.example.shop, detail_type: Order placed}
  changed: {bus: orders, source: com.example.shop, detail_type: Order updated}
  removed: {bus: orders, source: com.example.shop, detail_type: Order deleted}
"""
_TO_LAMBDA = """destination: {type: lambda, function: "./targets/orders.py:handler", batch_size: 10}
triggers: {added: on, changed: on, removed: on}   # only those that are named are sent
"""
_FIRST = "initial_sync: backfill           # send every row first; skip: later changes only\n"
_ORDERS = """order_id,status,total,email
1001,placed,59.90,ada@example.com
1002,paid,12.50,grace@example.com
1003,sent,129.00,alan@example.com
1004,placed,8.75,
1005,delivered,240.00,edsger@example.com
"""
_TARGET = '''"""A target function.

The rows that it names in `errors` stay owed, with the reason, and come again with the next run; all others count as
accepted.
"""


def handler(event, context):
    metadata = event["metadata"]
    key = metadata["primary_key_column"]
    errors = []
    for row in event["rows"]:
        if metadata["operation"] != "removed" and not row["email"]:
            errors.append({"primary_key_value": str(row[key]), "reason": "the order has no e-mail address"})
    return {"errors": errors}
'''
