"""The message of a change: what is sent for one row, as compact JSON.

`compile_message` does all the work that is the same for every row, once. A row of which no message can be made raises
MessageInvalid; its text names places in the template or the output, never a row's value.
"""

from __future__ import annotations

from rowcast.definition import Definition, Message
from rowcast.message.address import check_text, compile_address, is_template
from rowcast.message.columns import all_columns, check_columns, from_column, from_columns
from rowcast.message.envelope import in_envelope
from rowcast.message.errors import TemplateError
from rowcast.message.run import RunInfo
from rowcast.models import OPERATIONS, Change
from rowcast.ports import Render

__all__ = [
    "RunInfo",
    "TemplateError",
    "check_message",
    "check_text",
    "compile_address",
    "compile_message",
    "interpreted",
]


def compile_message(definition: Definition, run: RunInfo) -> Render:
    """The same change gives the same bytes. Raises TemplateError as `check_message` does."""
    messages = {operation: definition.message_of(operation) for operation in OPERATIONS}
    first = messages[OPERATIONS[0]]
    if all(message == first for message in messages.values()):
        return _compile(first, definition.sync, run)
    renders = {operation: _compile(message, definition.sync, run) for operation, message in messages.items()}

    def render(change: Change) -> bytes:
        return renders[change.operation](change)

    return render


def _compile(message: Message, sync: str, run: RunInfo) -> Render:
    body = _compile_body(message, sync, run)
    return in_envelope(body, sync, run.id) if message.metadata else body


def _compile_body(message: Message, sync: str, run: RunInfo) -> Render:
    if message.column is not None:
        return from_column(message.column)
    if message.columns is not None:
        return from_columns(message.columns)
    if message.template is not None:
        from rowcast.message.template import compile_template  # liquid takes 0.2 s to import

        return compile_template(message.template).renderer(run.names(sync))
    return all_columns()


def interpreted(definition: Definition) -> tuple[int, list[str]]:
    """How many templates the sync has, and for each that cannot be compiled what is the reason, and where.

    Raises TemplateError as `check_message` does."""
    messages = {definition.message_of(operation).template for operation in OPERATIONS}
    triggers = [definition.triggers.of(operation) for operation in OPERATIONS]
    texts = {text for one in triggers if one for text in (one.source, one.detail_type) if text and is_template(text)}
    sources = [source for source in messages if source is not None]
    if not sources and not texts:
        return 0, []
    from rowcast.message.template import compile_template, compile_text

    templates = [*map(compile_template, sources), *map(compile_text, texts)]
    return len(templates), sorted(one.interpreted for one in templates if one.interpreted)


def check_message(message: Message) -> None:
    """Raises TemplateError for what cannot make a JSON message of any row."""
    given = [name for name in ("template", "column", "columns") if getattr(message, name) is not None]
    if len(given) > 1:
        raise TemplateError(f"only one of {', '.join(f'`{name}`' for name in given)} can make the message", 1, 1)
    if message.columns is not None:
        check_columns(message.columns)
    if message.template is not None:
        from rowcast.message.template import compile_template

        compile_template(message.template)
