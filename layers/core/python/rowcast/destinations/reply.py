"""The reply that a target function gives, version 1: which rows of the batch it rejects, and why."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from rowcast.bounds import UNREADABLE, read_foreign
from rowcast.models import to_sorted_json


class ContractError(Exception):
    """The reply is not of the form that the contract asks for. Its text may name keys: never log it."""


class _Rejection(msgspec.Struct, forbid_unknown_fields=True):
    primary_key_value: Any
    reason: str


class _Reply(msgspec.Struct, forbid_unknown_fields=True):
    errors: list[_Rejection] = []


def rejected_rows(body: bytes, keys: Sequence[list[Any]]) -> dict[int, str]:
    """Reasons by position in the batch; rows that are not in it are accepted. Raises ContractError."""
    errors = _decode(body).errors
    if not errors:
        return {}
    positions = {_texts(key, keys[0]): index for index, key in enumerate(keys)}
    rejected: dict[int, str] = {}
    for error in errors:
        index = _position(error.primary_key_value, keys, positions)
        if index is None:
            raise ContractError(f"it rejects the key {_shown(error.primary_key_value)}, which was not in the batch")
        if index in rejected:
            raise ContractError(f"it rejects the key {_shown(error.primary_key_value)} twice")
        rejected[index] = error.reason
    return rejected


def _decode(body: bytes) -> _Reply:
    try:
        value = read_foreign(body)
    except UNREADABLE:
        raise ContractError("it is not JSON, or of too many levels, or with a number that cannot be read") from None
    if value is None:
        return _Reply()
    try:
        return msgspec.convert(value, type=_Reply)
    except msgspec.MsgspecError as error:
        raise ContractError(f'it is not null or of the form {{"errors": [...]}} ({error})') from None


def _position(value: Any, keys: Sequence[list[Any]], positions: dict[tuple[str, ...], int]) -> int | None:
    like = keys[0]
    values = value if isinstance(value, list) and len(value) == len(like) else [value]
    return positions.get(_texts(values, like)) if len(values) == len(like) else None


def _texts(values: Sequence[Any], like: Sequence[Any]) -> tuple[str, ...]:
    return tuple(_text(value, part) for value, part in zip(values, like, strict=True))


def _text(value: Any, like: Any) -> str:
    """A key's text form. For keys that are numbers, 42, 42.0 and "42" are one; for texts, "42" and 42 are."""
    if _is_number(like) and (number := _number(value)) is not None:
        return _plain(number)
    if isinstance(value, str):
        return value
    return to_sorted_json(value).decode()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number(value: Any) -> Decimal | None:
    if not _is_number(value) and not isinstance(value, str):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def _plain(value: Decimal) -> str:
    """Exact at any length, and short at any exponent, unlike Decimal's own normalize() and format()."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return str(value)
    figures = "".join(map(str, digits)).lstrip("0")
    significant = figures.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' if sign else ''}{significant}e{exponent + len(figures) - len(significant)}"


def _shown(value: Any) -> str:
    return to_sorted_json(value).decode()[:100]
