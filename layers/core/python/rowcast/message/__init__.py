"""The message of a change: what is sent for one row, as compact JSON.

`compile_message` does all the work that is the same for every row, once. A row of which no message can be made raises
MessageInvalid; its text names places in the template or the output, never a row's value.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from rowcast.definition import Definition, Message
from rowcast.message.columns import all_columns, check_columns, from_column, from_columns
from rowcast.message.errors import TemplateError
from rowcast.ports import Render

__all__ = ["RunInfo", "TemplateError", "check_message", "compile_message"]


class RunInfo(msgspec.Struct, frozen=True):
    """The run as templates see it. `started_at`: epoch seconds; it is also what `now` means in a template."""

    id: str
    started_at: float

    @property
    def started_text(self) -> str:
        return datetime.fromtimestamp(int(self.started_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compile_message(definition: Definition, run: RunInfo) -> Render:
    """The same change gives the same bytes. Raises TemplateError as `check_message` does."""
    message = definition.message
    if message.column is not None:
        return from_column(message.column)
    if message.columns is not None:
        return from_columns(message.columns)
    if message.template is not None:
        from rowcast.message.template import compile_template  # liquid takes 0.2 s to import

        run_names = {"id": run.id, "started_at": run.started_text}
        return compile_template(message.template).renderer({"sync": {"name": definition.sync}, "run": run_names})
    return all_columns


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
