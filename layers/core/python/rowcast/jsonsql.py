"""JSON text out of DuckDB values, exactly: DuckDB's own to_json rounds decimals and prints NaN."""

from __future__ import annotations

from collections.abc import Callable

from rowcast.bounds import MOST_CHARACTERS, MOST_EXPONENT_DIGITS, MOST_LEVELS
from rowcast.models import ColumnType
from rowcast.sqltext import literal, own, quote

STRING = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"-?[0-9][0-9.eE+-]*"
NUMBER_TOKENS = rf'(?s){STRING}|{_NUMBER}|[^"0-9-]+'
"""Cuts JSON text into strings, numbers and the rest."""
_BEFORE_NUMBER = r"(^|[\[,:])\s*"
_INEXACT = rf"{_BEFORE_NUMBER}(-0|-?[0-9]{{16}}|-?[0-9]+[.eE])"
_BEYOND = (
    rf"{_BEFORE_NUMBER}(-?[0-9.]+[eE][+-]?0*[1-9][0-9]{{{MOST_EXPONENT_DIGITS}}}|[0-9.eE+-]{{{MOST_CHARACTERS}}}[0-9])"
)
"""A number that is too long, or its exponent is; or text that looks like one."""
_NUMBER_BEYOND = (
    f"a number of more than {MOST_CHARACTERS:,} characters or with an exponent of more than {MOST_EXPONENT_DIGITS}"
    " digits"
)


def json_value(column_type: ColumnType, value: str) -> str:
    """VARCHAR: the JSON text of a value in its physical type; NULL for null."""
    return _JSON[column_type](value)


def json_canonical(text: str, refusing: str = "") -> str:
    """VARCHAR: any JSON text with its keys sorted and numbers as they are written; NULL for JSON's null.

    A VARIANT's objects are sorted and hold no key twice (the last one stays), but its numbers are doubles. So numbers
    that a double may not hold travel through it as strings that begin with \u0001; where a string holds that itself, it
    is doubled. The raw characters 1 and 2, which no JSON text holds, mark the numbers meanwhile.

    `refusing`: the arm of a CASE that is asked where such numbers are.
    """
    marked = (
        f"regexp_replace(replace({text}, '\\u0001', '\\u0001\\u0001'),"
        f" {literal(f'(?s)({STRING})|({_NUMBER})')}, '\\1' || chr(1) || '\\2' || chr(2), 'g')"
    )
    strings = f"replace(replace(replace({marked}, chr(1) || chr(2), ''), chr(1), '\"\\u0001'), chr(2), '\"')"
    unmarked = (
        f"replace(regexp_replace({_sorted(strings)}, {literal(_MARKED)}, '\\1', 'g'), '\\u0001\\u0001', '\\u0001')"
    )
    return (
        f"CASE WHEN regexp_matches({text}, '^\\s*null\\s*$') THEN NULL"
        f" WHEN NOT regexp_matches({text}, {literal(_INEXACT)}) THEN {_sorted(text)} {refusing} ELSE {unmarked} END"
    )


_MARKED = rf'"\\u0001({_NUMBER})"'


def _sorted(text: str) -> str:
    return f"({text})::JSON::VARIANT::JSON::VARCHAR"


def json_numbers_settled(text: str) -> str:
    """VARCHAR: canonical JSON text with equal numbers spelled alike."""
    simple = f"regexp_replace({text}, {literal(_ZEROS)}, '\\1\\2\\3\\4\\5\\6', 'g')"
    return (
        f"CASE WHEN regexp_matches({text}, {literal(f'{_BEFORE_NUMBER}-?[0-9.]+[eE]')}) THEN {_settled_slowly(text)}"
        f" WHEN regexp_matches({text}, {literal(f'{_BEFORE_NUMBER}(-0|-?[0-9]+[.])')}) THEN {simple} ELSE {text} END"
    )


_END = r"([,\]}]|$)"
_ZEROS = rf"(?s)({STRING})|-(0)(?:\.0+)?{_END}|(\.[0-9]*[1-9])0+{_END}|\.0+{_END}"
"""What to leave out of numbers: of strings it keeps all."""


def _settled_slowly(text: str) -> str:
    """For numbers with exponents, too."""
    tokens, token = f"regexp_extract_all({text}, {literal(NUMBER_TOKENS)})", own("token")
    numeric = f"ascii({token}) = 45 OR ascii({token}) BETWEEN 48 AND 57"
    exponent = f"({numeric}) AND regexp_matches({token}, '[eE]')"
    expanded = (
        f"list_transform({tokens}, lambda {token}: CASE WHEN {exponent} THEN {_plain_digits(token)} ELSE {token} END)"
    )
    settled = (
        f"list_transform({expanded}, lambda {token}: CASE WHEN {numeric} THEN {plain_number(token)} ELSE {token} END)"
    )
    return f"array_to_string({settled}, '')"


def _plain_digits(number: str) -> str:
    """A JSON number with an exponent as plain digits. Beyond 400 places it stays as it is: no double needs more."""
    parts = (
        f"{{'w': regexp_extract({number}, '^-?([0-9]+)', 1), 'f': regexp_extract({number}, '\\.([0-9]+)', 1),"
        f" 'e': TRY_CAST(regexp_extract({number}, '[eE](.*)$', 1) AS BIGINT)}}"
    )
    part = own("part")
    whole, fraction, shift = (f"{part}.{name}" for name in "wfe")
    moved = (
        f"CASE WHEN length({whole}) + {shift} <= 0"
        f" THEN '0.' || repeat('0', -length({whole}) - {shift}) || {whole} || {fraction}"
        f" WHEN {shift} >= length({fraction}) THEN {whole} || {fraction} || repeat('0', {shift} - length({fraction}))"
        f" ELSE left({whole} || {fraction}, length({whole}) + {shift}) || '.'"
        f" || substr({whole} || {fraction}, length({whole}) + {shift} + 1) END"
    )
    sign = f"CASE WHEN starts_with({number}, '-') THEN '-' ELSE '' END"
    signed = f"regexp_replace({sign} || {moved}, '^(-?)0+([0-9])', '\\1\\2')"
    return f"list_transform([{parts}], lambda {part}: CASE WHEN abs({shift}) <= 400 THEN {signed} ELSE {number} END)[1]"


def plain_number(text: str) -> str:
    """Digits without a fraction's trailing zeros, with a digit before the point, and zero without a sign."""
    trimmed = (
        f"ends_with({text}, '0') AND contains({text}, '.') OR ends_with({text}, '.')"  # rtrim is slow: few need it
    )
    cut = f"CASE WHEN {trimmed} THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
    return (
        f"CASE WHEN ascii({text}) BETWEEN 49 AND 57 THEN {cut}"  # as most begin
        f" WHEN {cut} IN ('-0', '', '-') THEN '0' WHEN ascii({cut}) = 46 THEN '0' || {cut}"
        f" WHEN starts_with({cut}, '-.') THEN '-0' || substr({cut}, 2) ELSE {cut} END"
    )


def same_numbers(a: str, b: str) -> str:
    """BOOLEAN: whether two decimals' texts are of one number: as by `plain_number`, but sooner planned and later done,
    for the few whose texts differ."""
    digits = "'^(-?)0*([0-9]*)(?:\\.([0-9]*?)0*)?$', '\\1\\2.\\3'"
    a, b = (f"regexp_replace({text}, {digits})" for text in (a, b))
    return f"({a} = {b} OR ({a} IN ('.', '-.') AND {b} IN ('.', '-.')))"


def json_arriving(text: str, column: str) -> str:
    """`json_canonical` of a column's JSON text; an error that names the column where nothing further on could read it:
    deeper than `MOST_LEVELS`, with half of a surrogate pair, or with a number beyond the bounds."""
    no_strings = f"regexp_replace({text}, {literal(STRING)}, '', 'g')"
    brackets = rf"regexp_extract_all({no_strings}, '[\[\]{{}}]')"
    bracket, so_far, step = own("bracket"), own("so_far"), own("step")
    steps = (
        f"list_transform({brackets}, lambda {bracket}: CASE WHEN {bracket} IN ('[', '{{')"
        " THEN {'depth': 1, 'most': 1} ELSE {'depth': -1, 'most': 0} END)"
    )
    levels = (
        f"list_reduce({steps}, lambda {so_far}, {step}: {{'depth': {so_far}.depth + {step}.depth,"
        f" 'most': greatest({so_far}.most, {so_far}.depth + {step}.depth)}}).most"
    )
    too_deep = _refusal(column, f"JSON of more than {MOST_LEVELS} levels or with text that is no Unicode")
    long_number = (
        f"WHEN regexp_matches({text}, {literal(_BEYOND)}) AND regexp_matches({no_strings}, {literal(_BEYOND)})"
        f" THEN {_refusal(column, _NUMBER_BEYOND)}"
    )
    return (
        f"CASE WHEN length({text}) - length(translate({text}, '[{{', '')) > {MOST_LEVELS} AND {levels} > {MOST_LEVELS}"
        f" OR (contains({text}, '\\ud') OR contains({text}, '\\uD')) AND TRY_CAST({text} AS JSON) IS NULL"
        f" THEN {too_deep} ELSE {json_canonical(text, long_number)} END"
    )


def decimal_arriving(text: str, column: str) -> str:
    """A decimal's text; an error that names the column where it is too long to be read as a number."""
    return f"CASE WHEN strlen({text}) > {MOST_CHARACTERS} THEN {_refusal(column, _NUMBER_BEYOND)} ELSE {text} END"


def _refusal(column: str, what: str) -> str:
    name = quote(column)
    message = (
        f'Column "{column}" holds {what}, which has no exact form here:'
        f" write {name}::VARCHAR AS {name} in the query, or leave the column out."
    )
    return f"error({literal(message)})::VARCHAR"


def _text(value: str) -> str:
    return f"to_json({value})::VARCHAR"


def _decimal(value: str) -> str:
    text = f"{value}::VARCHAR"
    return (
        f"CASE WHEN ascii({text}) BETWEEN 48 AND 57 THEN {text}"  # as most begin
        f" WHEN {text} IN ('NaN', 'Infinity', '-Infinity') THEN '\"' || {text} || '\"'"
        f" ELSE regexp_replace({text}, '^(-?)\\.', '\\10.') END"
    )


def _float(value: str) -> str:
    return (
        f"CASE WHEN isnan({value}) THEN '\"NaN\"'"
        f" WHEN isinf({value}) THEN CASE WHEN {value} > 0 THEN '\"Infinity\"' ELSE '\"-Infinity\"' END"
        f" ELSE {value}::VARCHAR END"
    )


def _time(value: str) -> str:
    text = f"{value}::VARCHAR"
    return f"'\"' || CASE WHEN length({text}) > 8 THEN rpad({text}, 15, '0') ELSE {text} END || '\"'"


def _instant(value: str, moment: str, zone: str = "") -> str:
    """ISO 8601, with six digits of a second if it has a fraction. `moment`: the value as a TIMESTAMP."""
    whole, part = (f"strftime({moment}, '\"%Y-%m-%dT%H:%M:%S{digits}{zone}\"')" for digits in ("", ".%f"))
    return (
        f"CASE WHEN NOT isfinite({value}) THEN '\"' || {value}::VARCHAR || '\"'"
        f" WHEN epoch_us({value}) % 1000000 = 0 THEN {whole} ELSE {part} END"
    )


_JSON: dict[ColumnType, Callable[[str], str]] = {
    "boolean": lambda value: f"CASE WHEN {value} THEN 'true' WHEN NOT {value} THEN 'false' END",
    "integer": lambda value: f"{value}::VARCHAR",
    "decimal": _decimal,
    "float": _float,
    "text": _text,
    "bytes": lambda value: f"'\"' || base64({value}) || '\"'",
    "date": lambda value: f"'\"' || strftime({value}, '%Y-%m-%d') || '\"'",
    "time": _time,
    "timestamp": lambda value: _instant(value, value),
    "timestamptz": lambda value: _instant(value, f"make_timestamp(epoch_us({value}))", "Z"),
    "uuid": lambda value: f"'\"' || {value}::VARCHAR || '\"'",
    "json": lambda value: value,
}
