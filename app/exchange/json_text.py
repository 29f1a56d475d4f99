"""JSON objects as PostgreSQL stores them: to text and back without losing a digit."""

import json
import re
from decimal import Decimal
from itertools import chain
from math import isfinite
from secrets import token_hex
from typing import Any

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
    surrogates, numbers that are not finite, other types, hundreds of levels.
    """
    if isinstance(value, Storable):
        return value.text
    try:
        text = _encode(value)
    except (TypeError, RecursionError) as error:
        raise ValueError("not a JSON object that can be stored") from error
    except ValueError as error:
        raise ValueError("numbers must be finite") from error
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


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value
