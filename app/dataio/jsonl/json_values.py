"""JSON objects as PostgreSQL stores them: to text and back without losing a digit."""

import json
import re
from decimal import Decimal
from itertools import chain
from math import isfinite
from secrets import token_hex
from typing import Any, Final

MOST_LEVELS: Final = 150
"""Levels of objects and arrays: what writes answers stops at 255, those of the answer included."""
MOST_DIGITS: Final = 4000
"""Digits of a whole number, as PostgreSQL writes it: Python reads no more than 4,300."""
# What looks like one most often is the seconds of a time.
_FRACTION = re.compile(rb"[:,\[]\s*-?\d+[.eE](?<!:\d\d:\d\d\.)")


def has_fractions(text: bytes) -> bool:
    """Whether JSON may hold a number with a fraction or an exponent; rarely mistaken."""
    return _FRACTION.search(text) is not None


def load_exactly(line: bytes) -> Any:
    """Read JSON with each number that has a fraction or an exponent as a Decimal."""
    return json.loads(line, parse_float=Decimal)


class Storable(dict[str, Any]):
    """A JSON object that PostgreSQL stores, with its text; it stays as it is.

    Raises ValueError as `dump_object` does.
    """

    __slots__ = ("text",)

    def __init__(self, value: dict[str, Any]) -> None:
        super().__init__(value)
        self.text = dump_object(value)


def dump_object(value: dict[str, Any]) -> str:
    """Return the JSON text of an object, Decimals digit by digit.

    Raises ValueError for what PostgreSQL does not store or JSON does not know: NUL, lone
    surrogates, numbers that are not finite, other types; and for what could not be read again:
    more than `MOST_LEVELS` levels, whole numbers of thousands of digits.
    """
    if isinstance(value, Storable):
        return value.text
    try:
        text = _encode(value)
    except (TypeError, RecursionError) as error:
        raise ValueError("not a JSON object that can be stored") from error
    except ValueError as error:
        raise ValueError(f"numbers must be finite, of at most {MOST_DIGITS} digits") from error
    if text.count("{") + text.count("[") > MOST_LEVELS and _has_levels(value, MOST_LEVELS + 1):
        raise ValueError(f"more than {MOST_LEVELS} levels cannot be stored")
    if "\\u0000" in text and _has_nul(value):
        raise ValueError("NUL characters cannot be stored")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("lone surrogates cannot be stored") from error
    return text


def _encode(value: dict[str, Any]) -> str:
    decimals: list[str] = []
    mark = "\ue000decimal\ue000"

    def stand_in(other: object) -> str:
        if not isinstance(other, Decimal):
            raise TypeError(type(other).__name__)
        if not isfinite(other):
            raise ValueError("numbers must be finite")
        if other.adjusted() >= MOST_DIGITS:
            raise ValueError("a number has too many digits")
        decimals.append(str(other))
        return mark

    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=stand_in)
    text = encoder.encode(value)
    while decimals and text.count(f'"{mark}"') != len(decimals):  # a text says the same
        mark = token_hex()
        decimals.clear()
        text = encoder.encode(value)
    if not decimals:
        return text
    pieces = text.split(f'"{mark}"')
    return "".join(chain.from_iterable(zip(pieces, [*decimals, ""], strict=True)))


def _has_levels(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return levels <= 1 or any(_has_levels(each, levels - 1) for each in value.values())
    if isinstance(value, (list, tuple)):
        return levels <= 1 or any(_has_levels(each, levels - 1) for each in value)
    return False


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value
