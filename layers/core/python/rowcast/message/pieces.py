"""What a template puts out in one go, as one Python expression."""

from __future__ import annotations

from typing import NamedTuple


class Hole(NamedTuple):
    writers: str
    code: str


def joined(parts: list[str | Hole]) -> tuple[str, list[str]]:
    """The parts as a form for `%` and the code of its values. A string that is one value is written whole."""
    form = ""
    values: list[str] = []
    for number, part in enumerate(parts):
        if isinstance(part, str):
            whole = number > 0 and isinstance(parts[number - 1], Hole) and values and values[-1].startswith("STRINGS")
            form += (part[1:] if whole else part).replace("%", "%%")
            continue
        after = parts[number + 1] if number + 1 < len(parts) else ""
        if part.writers == "INSIDE" and form.endswith('"') and isinstance(after, str) and after[:1] == '"':
            form = form[:-1]
            values.append("STRINGS" + part.code)
        else:
            values.append(part.writers + part.code)
        form += "%s"
    return form, values


def chunk(form: str, values: list[str]) -> str:
    """The expression of what `joined` gives."""
    return f"{form!r} % ({', '.join(values)},)" if values else repr(form.replace("%%", "%"))
