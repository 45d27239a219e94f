"""Times and rates as people write them, and as the definition and EventBridge Scheduler take them."""

from __future__ import annotations

import re

from project.model import Schedule
from rowcast.definition import Rate

_SECONDS = {
    "ms": 0.001,
    "millisecond": 0.001,
    "s": 1,
    "second": 1,
    "m": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "day": 86_400,
}


def seconds(text: str) -> float:
    """`500ms`, `1s`, `5 minutes`."""
    found = re.fullmatch(r"([\d.]+) ?([a-z]+)", text)
    assert found, "the schema lets nothing else through"
    unit = found[2]
    return float(found[1]) * _SECONDS[unit if unit in _SECONDS else unit.removesuffix("s")]


def rate(text: str) -> Rate:
    """`600 per minute`."""
    count, unit = text.split(" per ")
    return Rate(count=int(count), seconds=int(_SECONDS[unit]))


def share(value: str | float) -> float:
    """`15%` or 0.15."""
    return round(float(value.rstrip("% ")) / 100, 10) if isinstance(value, str) else float(value)


def schedule(value: object) -> Schedule:
    if not isinstance(value, dict):
        return Schedule()
    if "every" in value:
        count, unit = value["every"].split()
        unit = unit.removesuffix("s")
        return Schedule(f"rate({count} {unit if int(count) == 1 else unit + 's'})")
    return Schedule(f"cron({' '.join(value['cron'].split())})", value.get("timezone", "UTC"))


def period(schedule: Schedule) -> float | None:
    """Seconds between two starts, where a schedule's form tells them: a rate, or a time of every day."""
    if schedule.expression is None:
        return None
    inner = schedule.expression.partition("(")[2].rstrip(")")
    if schedule.expression.startswith("rate("):
        return seconds(inner)
    minute, hour, *days = inner.split()
    daily = all(day in ("*", "?") for day in days)
    return 86_400.0 if daily and minute.isdecimal() and hour.isdecimal() else None


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...], str], ...] = (
    ("minute", 0, 59, (), ""),
    ("hour", 0, 23, (), ""),
    ("day of month", 1, 31, (), "?LW"),
    ("month", 1, 12, _MONTHS, ""),
    ("day of week", 1, 7, _DAYS, "?L#"),
    ("year", 1970, 2199, (), ""),
)


def cron_fault(text: str) -> tuple[str, str | None] | None:
    """What is wrong with a cron expression of EventBridge Scheduler, and what was perhaps meant."""
    inner = text.strip()
    if inner.startswith("cron("):
        return "only the fields themselves, without cron( )", inner.removeprefix("cron(").rstrip(") ")
    parts = inner.split()
    if len(parts) != len(_FIELDS):
        return f"{len(parts)} fields instead of 6 (minute hour day-of-month month day-of-week year)", _six(parts)
    for part, (name, least, most, names, marks) in zip(parts, _FIELDS, strict=True):
        if not all(_part_is_good(item, least, most, names, marks) for item in part.upper().split(",")):
            return f"'{part}' is no {name} ({least}-{most}{' or ' + names[0] + '-' + names[-1] if names else ''})", None
    day, weekday = parts[2], parts[4]
    if (day == "?") == (weekday == "?"):
        return "exactly one of day-of-month and day-of-week must be ?", _with_question_mark(parts)
    return None


def _six(parts: list[str]) -> str | None:
    """The five fields of Unix as six, when that is certain: weekdays are numbered differently."""
    if len(parts) != 5 or re.search(r"\d", parts[4]):
        return None
    changed = _with_question_mark([*parts, "*"])
    return changed if changed and cron_fault(changed) is None else None


def _with_question_mark(parts: list[str]) -> str | None:
    for index in (4, 2):
        if parts[index] in ("*", "?"):
            other = 6 - index
            changed = [*parts]
            changed[index], changed[other] = "?", "*" if parts[other] == "?" else parts[other]
            return " ".join(changed)
    return None


def _part_is_good(item: str, least: int, most: int, names: tuple[str, ...], marks: str) -> bool:
    if item in ("*", "?"):
        return item == "*" or "?" in marks
    if "L" in marks and re.fullmatch(r"L|LW" if "W" in marks else r"L|[1-7]L", item):
        return True
    if "L" in marks and "W" in marks and re.fullmatch(r"L-\d{1,2}", item):
        return True
    if "W" in marks and (found := re.fullmatch(r"(\d{1,2})W", item)):
        return least <= int(found[1]) <= most
    if "#" in marks and "#" in item:
        day, _, nth = item.partition("#")
        return _value(day, least, most, names) is not None and nth in tuple("12345")
    span, slash, step = item.partition("/")
    if slash and not (step.isdecimal() and 1 <= int(step) <= most):
        return False
    first, dash, last = span.partition("-")
    if dash:
        return _value(first, least, most, names) is not None and _value(last, least, most, names) is not None
    return (bool(slash) and span == "*") or _value(first, least, most, names) is not None


def _value(text: str, least: int, most: int, names: tuple[str, ...]) -> int | None:
    if text in names:
        return names.index(text) + least
    value = int(text) if re.fullmatch(r"\d{1,4}", text) else None
    return value if value is not None and least <= value <= most else None
