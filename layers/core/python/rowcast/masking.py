"""What may be shown of rows with masked columns: their values appear in the message itself and nowhere else.

A message is shown as it would be of a row whose masked columns hold `MASK`, so that nothing a template makes of a value
gets through. What the destination says in its own words is searched for the values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from rowcast.bounds import UNREADABLE, read_foreign
from rowcast.errors import MessageInvalid
from rowcast.models import Change, Row, to_json
from rowcast.ports import CallResult, MessageToSend, Render

MASK = "***"
_LONG = 500
_SHORTEST_REST = 4
_MOST_PLACES = 300
"""That a double has, about."""
Scrub = Callable[[Any], Any]


def masked_row(row: Row | None, names: Sequence[str]) -> Row | None:
    if row is None or not names:
        return row
    return {name: MASK if name in names else value for name, value in row.items()}


def masked_change(change: Change, names: Sequence[str]) -> Change:
    return msgspec.structs.replace(
        change,
        before=masked_row(change.before, names),
        after=masked_row(change.after, names),
        last_sent=masked_row(change.last_sent, names),
    )


def masked_body(change: Change, names: Sequence[str], render: Render) -> Any:
    """The message as it may be shown, as JSON values."""
    try:
        return read_foreign(render(masked_change(change, names)))
    except (MessageInvalid, *UNREADABLE):
        return MASK


def masked_result(
    result: CallResult, batch: Sequence[MessageToSend], names: Sequence[str], render: Render
) -> CallResult:
    """What a call answered, fit to be kept: request, reply, and the reasons that debts and screens will show."""
    if not names:
        return result
    scrub = scrubber((message.change for message in batch), names)
    bodies = [masked_body(message.change, names, render) for message in batch]
    return CallResult(
        verdicts=[msgspec.structs.replace(verdict, reason=scrub(verdict.reason)) for verdict in result.verdicts],
        request=_request(result.request, bodies, scrub),
        reply=scrub(result.reply),
        error=scrub(result.error),
    )


def _request(request: Any, bodies: Sequence[Any], scrub: Scrub) -> Any:
    if isinstance(request, msgspec.Raw):
        request = _values(request)
    match request:
        case None:
            return None
        case {"rows": _, "metadata": metadata}:
            return {"metadata": metadata, "rows": bodies}
        case {"Entries": [*entries]}:
            return {"Entries": [_entry(entry, body, scrub) for entry, body in zip(entries, bodies, strict=True)]}
    return {"messages": bodies}


def _values(raw: msgspec.Raw) -> Any:
    try:
        return read_foreign(bytes(raw))
    except UNREADABLE:
        return MASK


def _entry(entry: dict[str, Any], body: Any, scrub: Scrub) -> dict[str, Any]:
    texts = {name: scrub(entry[name]) for name in ("Source", "DetailType")}
    return {**entry, **texts, "Detail": to_json(body).decode()}


def scrubber(changes: Iterable[Change], names: Sequence[str]) -> Scrub:
    """Replaces the masked values of these changes, in any case of letters, where they stand as words."""
    texts = {text for change in changes for row in _rows(change) for name in names for text in _texts(row.get(name))}
    if not texts:
        return lambda value: value
    words = sorted(texts, key=len, reverse=True)
    found = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words), re.IGNORECASE)

    def scrub(value: Any) -> Any:
        if isinstance(value, msgspec.Raw):
            return scrub(_values(value))
        if isinstance(value, str):
            return _cut(found.sub(MASK, value), words)
        if isinstance(value, dict):
            return {scrub(name): scrub(item) for name, item in value.items()}
        if isinstance(value, list):
            return [scrub(item) for item in value]
        return value if texts.isdisjoint(_numbers(value)) else MASK

    return scrub


def _cut(text: str, words: Sequence[str]) -> str:
    """Without the beginning of a value at the end of a text that was cut off."""
    if len(text) < _LONG:
        return text
    for word in words:
        for length in range(min(len(word), len(text)) - 1, _SHORTEST_REST - 1, -1):
            if text.lower().endswith(word[:length].lower()):
                return text[:-length] + MASK
    return text


def _rows(change: Change) -> Iterator[Row]:
    yield from (row for row in (change.before, change.after, change.last_sent) if row is not None)


def _texts(value: Any) -> Iterator[str]:
    """The forms in which others may repeat a value; of a nested one, those of all that it holds."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) and value.strip():
        for text in (value, value.strip()):
            yield from (text, to_json(text).decode()[1:-1], json.dumps(text)[1:-1])
    else:
        yield from _numbers(value)


def _numbers(value: Any) -> Iterator[str]:
    """A number as it is held, in plain digits, without a fraction's last zeros, and as the double next to it."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return
    held = to_json(value).decode()
    yield held
    number = Decimal(held)
    if number.is_finite() and abs(number.adjusted()) < _MOST_PLACES:
        plain = f"{number:f}"
        yield from (plain, plain.rstrip("0").rstrip(".") if "." in plain else plain, repr(float(number)))
