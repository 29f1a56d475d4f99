"""JSON objects as PostgreSQL stores them: read and written without losing a digit."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import chain
from math import isfinite
from secrets import token_hex
from typing import Any, Final

MAX_LEVELS: Final = 150
"""Nested objects and arrays. The API's serializer stops at 255 levels, of which the response itself
has some."""
MAX_DIGITS: Final = 4000
"""Digits of a whole number as PostgreSQL writes it. Python reads 4,300 at most."""
# The lookbehind excludes the seconds of a time, the most frequent other match.
_FRACTION = re.compile(rb"[:,\[]\s*-?\d+[.eE](?<!:\d\d:\d\d\.)")

_PLAIN: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
"""Encodes objects without Decimals."""


def has_fractions(text: bytes) -> bool:
    """Return whether JSON may hold a number with a fraction or an exponent.

    A text that looks like one can cause a wrong True, never a wrong False.
    """
    return _FRACTION.search(text) is not None


def load_with_decimals(line: bytes) -> Any:
    """Parse JSON and return each number with a fraction or an exponent as a Decimal."""
    return json.loads(line, parse_float=Decimal)


class StorableObject(dict[str, Any]):
    """A JSON object that PostgreSQL can store, with its JSON text. It must not be modified.

    Raises ValueError as `dump_object` does.
    """

    __slots__ = ("text",)

    def __init__(self, value: dict[str, Any]) -> None:
        super().__init__(value)
        self.text = dump_object(value)


def dump_object(value: dict[str, Any]) -> str:
    """Return the JSON text of an object, with every digit of its Decimals.

    Raises ValueError for values that PostgreSQL cannot store or JSON does not have: NUL, lone
    surrogates, infinite numbers, other types. Also for values that could not be read again: more
    than `MAX_LEVELS` levels, or a whole number of more than `MAX_DIGITS` digits.
    """
    if isinstance(value, StorableObject):
        return value.text
    try:
        text = _encode(value)
    except (TypeError, RecursionError) as error:
        raise ValueError("not a JSON object that can be stored") from error
    except ValueError as error:
        raise ValueError(f"numbers must be finite, of at most {MAX_DIGITS} digits") from error
    if text.count("{") + text.count("[") > MAX_LEVELS and _has_levels(value, MAX_LEVELS + 1):
        raise ValueError(f"more than {MAX_LEVELS} levels cannot be stored")
    if "\\u0000" in text and _has_nul(value):
        raise ValueError("NUL characters cannot be stored")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("lone surrogates cannot be stored") from error
    return text


def _encode(value: dict[str, Any]) -> str:
    """Encode with a placeholder for each Decimal, and replace the placeholders by the digits."""
    with suppress(TypeError):
        return _PLAIN.encode(value)
    decimals: list[str] = []
    placeholder = "\ue000decimal\ue000"

    def encode_decimal(other: object) -> str:
        if not isinstance(other, Decimal):
            raise TypeError(type(other).__name__)
        if not isfinite(other):
            raise ValueError("numbers must be finite")
        if other.adjusted() >= MAX_DIGITS:
            raise ValueError("a number has too many digits")
        decimals.append(str(other))
        return placeholder

    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=encode_decimal)
    text = encoder.encode(value)
    while decimals and text.count(f'"{placeholder}"') != len(decimals):
        # A text of the object is equal to the placeholder.
        placeholder = token_hex()
        decimals.clear()
        text = encoder.encode(value)
    if not decimals:
        return text
    pieces = text.split(f'"{placeholder}"')
    return "".join(chain.from_iterable(zip(pieces, [*decimals, ""], strict=True)))


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, (list, tuple)):
        yield from value


def _has_levels(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list, tuple)):
        return False
    return levels <= 1 or any(_has_levels(child, levels - 1) for child in _children(value))


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict) and any("\0" in key for key in value):
        return True
    return any(map(_has_nul, _children(value)))
