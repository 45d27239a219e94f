"""The `date` filter: the same for every machine and time of day, because `now` is the start of the run and times
without a zone are UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

from liquid.undefined import Undefined

from rowcast.message.numbers import to_number
from rowcast.message.values import RowRefused, to_text

_OWN = re.compile("%[%sL]")  # what Python leaves to the machine's time zone, or does not know
_UTC_NAMES = ("UTC", "GMT", "Z")


def format_date(value: Any, form: Any, *, now: datetime) -> str | None:
    """`value`: ISO 8601 or another usual date text, epoch seconds, or "now". What is no date is given back as text."""
    if value is None or isinstance(value, Undefined):
        return None
    form = to_text(form)
    moment = _parse(value, now)
    if moment is None or not form:
        return to_text(value)
    epoch = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    own = {"%%": "%%", "%s": str(int(epoch.timestamp())), "%L": f"{moment.microsecond // 1000:03}"}
    form = _OWN.sub(lambda directive: own[directive[0]], form)
    try:
        return moment.strftime(form)
    except ValueError:
        pass
    raise RowRefused("the date cannot be written in this form")


def _parse(value: Any, now: datetime) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    if isinstance(value, str):
        text = value.strip()
        if text in ("now", "today"):
            return now
        if not (text.isascii() and text.isdigit()) or len(text) == 8:
            return _parse_text(text, now)
        value = text
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(to_number(value)))
    except (OverflowError, ValueError):
        return None


def _parse_text(text: str, now: datetime) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    from dateutil import parser  # type: ignore[import-untyped]

    if len(text) > 100:
        return None
    day = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    try:
        found: datetime = parser.parse(text, default=day, tzinfos=_zone)
        return found
    except (ValueError, OverflowError, TypeError, ArithmeticError):
        return None


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    return UTC if name in _UTC_NAMES else None
