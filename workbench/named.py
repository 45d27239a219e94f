"""The columns that messages name and the query does not give: a slip that a run would show in what it sends alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from project.nearest import nearest
from rowcast.definition import Definition, Field, Message
from rowcast.models import OPERATIONS

_ROWS = ("row", "previous")


def rejecting(definition: Definition, columns: Sequence[str]) -> list[str]:
    """Names of columns without which no message can be made of any row, each with the nearest that is there."""
    named = [name for message in _messages(definition) for name in _taken(message)]
    return [_hinted(name, name, columns) for name in dict.fromkeys(named) if name not in columns]


def empty(definition: Definition, columns: Sequence[str]) -> list[str]:
    """What templates name and would render as nothing, each with the nearest that is there."""
    from rowcast.message.template import members

    known = members() | dict.fromkeys(_ROWS, tuple(columns))
    found: dict[str, str] = {}
    for root, *steps in (path for template in _templates(definition) for path in template.global_variable_segments()):
        if root not in known:
            found[root] = _hinted(root, root, list(known))
        elif known[root] and steps and isinstance(steps[0], str) and steps[0] not in known[root]:
            shown = f"{root}.{steps[0]}" if steps[0].isidentifier() else f"{root}['{steps[0]}']"
            found[shown] = _hinted(shown, steps[0], known[root])
    return list(found.values())


def _hinted(shown: str, name: str, names: Sequence[str]) -> str:
    near = nearest(name, names)
    return f"{shown} (did you mean {near}?)" if near else shown


def _messages(definition: Definition) -> list[Message]:
    sent = [definition.message_of(operation) for operation in OPERATIONS if definition.triggers.of(operation)]
    return [message for place, message in enumerate(sent) if message not in sent[:place]]


def _taken(message: Message) -> Iterator[str]:
    if message.column is not None:
        yield message.column
    for field in (message.columns or {}).values():
        name = field.column if isinstance(field, Field) else field
        if name is not None:
            yield name


def _templates(definition: Definition) -> Iterator[Any]:
    """Of messages and of events' addresses, as Liquid knows them."""
    from rowcast.message.address import is_template
    from rowcast.message.template import compile_template, compile_text

    for message in _messages(definition):
        if message.template is not None:
            yield compile_template(message.template).bound
    for trigger in filter(None, map(definition.triggers.of, OPERATIONS)):
        for text in (trigger.source, trigger.detail_type):
            if text and is_template(text):
                yield compile_text(text).bound
