"""Arithmetic of templates: exact. Integers and decimals stay what they are and keep their scale."""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from liquid.filter import flatten
from liquid.undefined import Undefined

from rowcast.message.values import MAX_DIGITS, RowRefused

Number = int | Decimal
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_DIVISION_DIGITS = 34
_EXACT = decimal.Context(
    prec=MAX_DIGITS, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
)
_ROUNDING = decimal.Context(prec=2 * MAX_DIGITS, rounding=decimal.ROUND_HALF_UP)
_DIVIDING = decimal.Context(prec=_DIVISION_DIGITS, traps=[decimal.InvalidOperation, decimal.Overflow])


def parse_number(text: str) -> Number | None:
    """The number that a text spells, exactly; None when it spells none."""
    text = text.strip()
    if not _NUMBER.fullmatch(text) or len(text) > MAX_DIGITS:
        return None
    return int(text) if text.lstrip("+-").isdigit() else Decimal(text)


def to_number(value: Any) -> Number:
    """As Liquid reads numbers: what is none counts as 0."""
    if isinstance(value, int):
        return _bounded(int(value))
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
            raise RowRefused("a number is too large")
        return value
    if isinstance(value, str):
        return to_number(parse_number(value))
    return 0


def to_integer(value: Any) -> int | None:
    """For counts and positions; None when the value is no number."""
    number = parse_number(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
        return None
    return int(to_number(number))


def _bounded(number: int) -> int:
    if number.bit_length() > MAX_DIGITS * 3:
        raise RowRefused("a number is too large")
    return number


def _exactly(operation: str, left: Number, right: Number) -> Number:
    try:
        if isinstance(left, int) and isinstance(right, int):
            return _bounded(int(getattr(left, f"__{operation}__")(right)))
        method = {"add": _EXACT.add, "sub": _EXACT.subtract, "mul": _EXACT.multiply}[operation]
        return method(Decimal(left), Decimal(right))
    except ArithmeticError:
        reason = "the result has too many digits"
    raise RowRefused(reason)


def plus(left: Any, right: Any) -> Number:
    return _exactly("add", to_number(left), to_number(right))


def minus(left: Any, right: Any) -> Number:
    return _exactly("sub", to_number(left), to_number(right))


def times(left: Any, right: Any) -> Number:
    return _exactly("mul", to_number(left), to_number(right))


def divided_by(left: Any, right: Any) -> Number:
    """Integers divide to an integer, as in Liquid; otherwise the quotient has up to 34 digits."""
    number, divisor = to_number(left), to_number(right)
    if not divisor:
        raise RowRefused("division by zero")
    if isinstance(number, int) and isinstance(divisor, int):
        return number // divisor
    return _DIVIDING.divide(Decimal(number), Decimal(divisor))


def modulo(left: Any, right: Any) -> Number:
    """The remainder has the divisor's sign."""
    number, divisor = to_number(left), to_number(right)
    if not divisor:
        raise RowRefused("division by zero")
    if isinstance(number, int) and isinstance(divisor, int):
        return number % divisor
    remainder = _EXACT.remainder(Decimal(number), Decimal(divisor))
    return _EXACT.add(remainder, Decimal(divisor)) if remainder and (remainder < 0) != (divisor < 0) else remainder


def absolute(value: Any) -> Number:
    number = to_number(value)
    return abs(number) if isinstance(number, int) else number.copy_abs()


def at_most(left: Any, right: Any) -> Number:
    return min(to_number(left), to_number(right))


def at_least(left: Any, right: Any) -> Number:
    return max(to_number(left), to_number(right))


def ceil(value: Any) -> int:
    return math.ceil(to_number(value))


def floor(value: Any) -> int:
    return math.floor(to_number(value))


def round_(value: Any, digits: Any = 0) -> Number:
    """Halves go away from zero. With digits the result has that scale; without, it is an integer."""
    number, places = to_number(value), to_integer(digits) or 0
    if abs(places) > MAX_DIGITS:
        raise RowRefused("too many digits to round to")
    if isinstance(number, int) and places >= 0:
        return number
    rounded = Decimal(number).quantize(Decimal((0, (1,), -places)), context=_ROUNDING)
    return rounded if places > 0 else int(rounded)


def flat(items: Any) -> Any:
    """As Liquid sees an array of arrays: one array of all that is in them."""
    return flatten(items) if isinstance(items, list | tuple) else items


def sum_(items: Any, name: Any = None) -> Number:
    total: Number = 0
    for item in flat(items):
        value = item if name is None or isinstance(name, Undefined) else item.get(name) if type(item) is dict else 0
        total = _exactly("add", total, to_number(value))
    return total


NUMBER_FILTERS: dict[str, Callable[..., Any]] = {
    "abs": absolute,
    "at_least": at_least,
    "at_most": at_most,
    "ceil": ceil,
    "divided_by": divided_by,
    "floor": floor,
    "minus": minus,
    "modulo": modulo,
    "plus": plus,
    "round": round_,
    "times": times,
}
