"""A target function: welcomes customers, and rejects those who cannot be reached.

Rowcast invokes it with up to `batch_size` rows of one operation. The rows it names in `errors` stay owed, with the
reason, and come again with the next run; all others count as accepted.
"""

from __future__ import annotations

import re
from typing import Any

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    key = event["metadata"]["primary_key_column"]
    errors = []
    for row in event["rows"]:
        if ADDRESS.fullmatch(row["customer_email"] or ""):
            welcome(row)
        else:
            errors.append({"primary_key_value": row[key], "reason": "the e-mail address is malformed"})
    return {"errors": errors}


def welcome(row: dict[str, Any]) -> str:
    """The letter; a real function would send it here."""
    return f"Dear {row['first_name']}, welcome to the shop. We deliver to {row['city']} within two days."
