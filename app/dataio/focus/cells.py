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
_SHOWN = 60
"""Characters of a wrong value that are quoted at most."""
_NUMBERS = "FOCUS writes numbers with a decimal point and nothing between thousands"


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
        hint = f" ({_NUMBERS})" if "," in value else ""
        raise ValueError(f"is not a number: {quoted(value)}{hint}")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not number:
        return Decimal(0)
    if number.adjusted() >= digits:
        raise ValueError(f"is too large: {quoted(value)}")
    if not isinstance(exponent, int) or exponent < -_DECIMALS:
        raise ValueError(f"has more than {_DECIMALS} decimals: {quoted(value)}")
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
        raise ValueError(f"is not a date and time: {quoted(value)}") from error
    return found


def quoted(value: str) -> str:
    """Quote a value that cannot be read, for the terminal of the operator who imports the file.

    Characters that a terminal would act on, or not show, are escaped; of a long value the beginning
    is shown.
    """
    start = value[:_SHOWN]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start)
    if len(value) > _SHOWN:
        return f'"{shown}…" ({len(value):,} characters)'
    return f'"{shown}"'
