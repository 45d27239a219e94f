"""Reading what an earlier run wrote, perhaps under another release.

Every stored form has a version; where none is written it is 1. A release reads the forms of the releases before it, and
says so plainly when it meets one that came after it.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from rowcast.bounds import read_stored
from rowcast.errors import RunFailed

T = TypeVar("T")


def read(decoder: msgspec.json.Decoder[T], data: bytes | str, what: str) -> T:
    """Raises RunFailed for a form that this release does not know; msgspec's text names fields, never a row's value."""
    try:
        return read_stored(decoder, data)
    except msgspec.ValidationError as error:
        raise foreign(what, str(error)) from error


def foreign(what: str, why: str) -> RunFailed:
    return RunFailed(
        f"{what} is of a form that this release of Rowcast cannot read ({why}): deploy the newest release."
    )
