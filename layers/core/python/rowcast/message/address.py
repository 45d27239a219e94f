"""The source and detail type of an event: fixed text, or a Liquid template that is rendered for each change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from rowcast.definition import Trigger, Triggers
from rowcast.errors import MessageInvalid
from rowcast.message.run import RunInfo
from rowcast.models import OPERATIONS, Change
from rowcast.ports import Address, MessageToSend

SOURCE_CHARACTERS = 256
DETAIL_TYPE_CHARACTERS = 128


def compile_address(triggers: Triggers) -> Address:
    """Raises TemplateError for a template that does not compile; the address raises MessageInvalid for a row."""
    addresses = {operation: _address(triggers.of(operation) or Trigger(), operation) for operation in OPERATIONS}
    return lambda message: addresses[message.change.operation](message)


def _address(trigger: Trigger, operation: str) -> Address:
    source, detail_type = trigger.source or "rowcast", trigger.detail_type or operation
    if not is_template(source) and not is_template(detail_type):
        with suppress(MessageInvalid):  # which is the rows' fate then
            fixed = _checked(source, detail_type)
            return lambda _: fixed
    of_source, of_detail_type = _text(source), _text(detail_type)
    return lambda message: _checked(of_source(message), of_detail_type(message))


def _checked(source: str, detail_type: str) -> tuple[str, str]:
    return _source(source), _fitting("detail type", detail_type, DETAIL_TYPE_CHARACTERS)


def check_text(text: str) -> None:
    """Raises TemplateError for a source or detail type that is a template and does not compile."""
    _text(text)


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def _text(text: str) -> Callable[[MessageToSend], str]:
    if not is_template(text):
        return lambda _: text
    from rowcast.message.template import compile_text

    template = compile_text(text)

    @lru_cache(maxsize=4)  # the messages of a run have all this in common
    def lines(run: str, started_at: float, sync: str) -> Callable[[Change], str]:
        return template.lines(RunInfo(id=run, started_at=started_at).names(sync))

    return lambda message: lines(message.run, message.time, message.sync)(message.change)


def _source(text: str) -> str:
    if text.lower().startswith("aws."):
        raise MessageInvalid("The event's source begins with aws., which AWS keeps for itself.")
    return _fitting("source", text, SOURCE_CHARACTERS)


def _fitting(name: str, text: str, most: int) -> str:
    """The text may be a row's: what is wrong with it is told without it, and alike for all rows that fail alike."""
    problem = ""
    if not text:
        problem = "is empty"
    elif len(text) > most:
        problem = f"is longer than the {most} characters that EventBridge takes"
    elif not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        problem = "holds half a surrogate pair, which is no Unicode text"
    if problem:
        raise MessageInvalid(f"The event's {name} {problem}.")
    return text
