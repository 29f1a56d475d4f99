"""The values of a cost export's cells. Every function raises ValueError for what it cannot read."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DECIMALS = 40
"""More decimals than any provider gives; so that every sum stays exact."""
_MONEY_DIGITS = 12
_QUANTITY_DIGITS = 30
_FIGURES = re.compile(r"[-0-9.,:+/ _TZeEx'%]*")
_SHOWN = 40
"""Characters of a wrong value that are shown at most."""


def text(cell: str) -> str:
    """Return the text of a cell; `NULL` and white space alone are none, which is empty."""
    value = cell.strip()
    if "\0" in value:
        raise ValueError("has a NUL character")
    return "" if value == "NULL" else value


def money(cell: str) -> Decimal:
    """Return an amount of less than 10^12, with or without an exponent."""
    return _number(cell, _MONEY_DIGITS)


def quantity(cell: str) -> Decimal | None:
    """Return a quantity; None where there is none."""
    return _number(cell, _QUANTITY_DIGITS) if text(cell) else None


def _number(cell: str, digits: int) -> Decimal:
    value = text(cell)
    if not value:
        raise ValueError("is empty")
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"is not a number: {_shown(value)}")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not number:
        return Decimal(0)
    if number.adjusted() >= digits:
        raise ValueError(f"is too large: {_shown(value)}")
    if not isinstance(exponent, int) or exponent < -_DECIMALS:
        raise ValueError(f"has more than {_DECIMALS} decimals: {_shown(value)}")
    return number


@lru_cache(maxsize=65536)
def moment(cell: str) -> datetime:
    """Return a moment in UTC, from ISO 8601 or its usual relatives; no offset means UTC."""
    value = text(cell)
    if not value:
        raise ValueError("is empty")
    try:
        found = datetime.fromisoformat(value.removesuffix(" UTC"))
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is not a date and time: {_shown(value)}") from error
    return found


def _shown(value: str) -> str:
    """Show a value that can only be a number or a date gone wrong: no words of anybody's."""
    return value if len(value) <= _SHOWN and _FIGURES.fullmatch(value) else "…"
