"""What a YAML scalar is to Docker Compose, and how Compose prints it.

Source: go-yaml v3 (`resolve.go`), which Compose reads with. It is YAML 1.2 with remains of 1.1: base 60 does not exist
(`2222:22` is a text), a leading zero means octal, `_` may part digits, `yes` is a text, and a date is a date.
"""

from __future__ import annotations

import re

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Value: TypeAlias = "bool | int | float | str | Timestamp | None"

_WORDS: dict[str, bool | float | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{word: float("nan") for word in (".nan", ".NaN", ".NAN")},
    **{sign + word: float("inf") for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **{word: float("-inf") for word in ("-.inf", "-.Inf", "-.INF")},
}
_INTEGER = re.compile(r"[+-]?(?:0[bB][01]+|0[oO][0-7]+|0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_CLOCK = r"(?:[01]?[0-9]|2[0-3]):[0-5]?[0-9]:[0-5]?[0-9](?:[.,][0-9]+)?"
_DATE = re.compile(
    rf"([0-9]{{4}})-([0-9]{{1,2}})-([0-9]{{1,2}})(?:[Tt]{_CLOCK}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})| {_CLOCK})?", re.ASCII
)
_BASES = {"b": 2, "o": 8, "x": 16}


class Timestamp(Record):
    """A date or time that is not in quotes: to Compose it is neither a text nor a number."""

    text: str


_LONGEST_INTEGER = 100  # characters: any longer one is out of range


def typed(text: str) -> Value:
    """The value of a plain scalar.

    >>> typed("2222:22"), typed("0123"), typed("8_080"), typed("1e3"), typed("yes"), typed("~")
    ('2222:22', 83, 8080, 1000.0, 'yes', None)
    """
    if text[:1] not in "+-.0123456789":
        return _WORDS.get(text, text)
    if text in _WORDS:
        return _WORDS[text]
    if (date := _DATE.fullmatch(text)) and _is_a_day(*map(int, date.groups())):
        return Timestamp(text)
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(plain) and len(plain) < _LONGEST_INTEGER:
        number = _integer(plain)
        if -(1 << 63) <= number < 1 << 64 and (plain[0] != "+" or number < 1 << 63):
            return number
    if _FLOAT.fullmatch(plain) and abs(fraction := float(plain)) != float("inf"):
        return fraction
    return text


def _integer(plain: str) -> int:
    digits = plain.lstrip("+-")
    base = _BASES.get(digits[1:2].lower(), 8 if digits[0] == "0" else 10)
    number = int(digits[2:] if base in (2, 16) or digits[1:2] in ("o", "O") else digits, base)
    return -number if plain[0] == "-" else number


def _is_a_day(year: int, month: int, day: int) -> bool:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 1 <= month <= 12 and 1 <= day <= days[month - 1]


def shown(value: Value) -> str:
    """A value as Go prints it, which is how Compose makes a text of a number in `environment` or `labels`.

    >>> shown(True), shown(1.50), shown(123456789.5), shown(0.00001)
    ('true', '1.5', '1.234567895e+08', '1e-05')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Timestamp):
        return value.text
    if isinstance(value, int):
        return str(value)
    return _float(value)


def _float(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, power = repr(value).removesuffix(".0").partition("e")
    sign, (whole, _, fraction) = "-" * (mantissa[0] == "-"), mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) + len(digits) - len(fraction) - 1
    if not digits or (not power and -5 < exponent < 6):
        return mantissa
    digits = digits.rstrip("0")
    return f"{sign}{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}e{exponent:+03d}"
