"""CloudFormation's intrinsic functions as text that people read."""

from __future__ import annotations

import re
from typing import Any


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def flat(value: Any) -> str:
    """An intrinsic as text: `<Logical>`, `<Logical.Arn>`, with CDK's hashes cut from logical ids."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(flat(part) for part in parts)
        case {"Ref": name}:
            return f"<{short(name)}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{short(name)}.{attribute}>"
        case {"Fn::Sub": text}:
            return str(text).replace("${", "<").replace("}", ">")
    return str(value)


def short(name: str) -> str:
    return re.sub(r"[0-9A-F]{8}$", "", name).removeprefix("Rowcast")
