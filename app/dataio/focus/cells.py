"""Parses the cells of a cost export. The functions raise ValueError for an invalid value."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
MAX_DECIMALS = 40
"""More decimals than any provider uses, and few enough that every sum is exact."""
MONEY_DIGITS = 12
QUANTITY_DIGITS = 30
_MAX_QUOTED = 60
"""Characters of an invalid value that an error message quotes."""
_NUMBER_FORMAT = "FOCUS numbers have a decimal point and no thousands separators"


def parse_text(cell: str) -> str:
    """Return the text of a cell, which is empty for `NULL` and for white space."""
    value = cell.strip()
    if "\0" in value:
        raise ValueError("has a NUL character")
    return "" if value == "NULL" else value


def parse_required_text(cell: str) -> str:
    """Return the text of a cell, which must not be empty."""
    value = parse_text(cell)
    if not value:
        raise ValueError("is empty")
    return value


def parse_money(cell: str) -> Decimal:
    """Return an amount of less than 10^12, which may have an exponent."""
    return _parse_number(cell, MONEY_DIGITS)


def parse_quantity(cell: str) -> Decimal | None:
    """Return a quantity, or None for an empty cell."""
    return _parse_number(cell, QUANTITY_DIGITS) if parse_text(cell) else None


def _parse_number(cell: str, digits: int) -> Decimal:
    value = parse_required_text(cell)
    if not NUMBER.fullmatch(value):
        hint = f" ({_NUMBER_FORMAT})" if "," in value else ""
        raise ValueError(f"is not a number: {quote(value)}{hint}")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not number:
        return Decimal(0)
    if number.adjusted() >= digits:
        raise ValueError(f"is too large: {quote(value)}")
    if not isinstance(exponent, int) or exponent < -MAX_DECIMALS:
        raise ValueError(f"has more than {MAX_DECIMALS} decimals: {quote(value)}")
    return number


@lru_cache(maxsize=65536)
def parse_timestamp(cell: str) -> datetime:
    """Return a time in UTC from ISO 8601 or a frequent variant. A time without an offset is UTC."""
    value = parse_required_text(cell)
    try:
        time = datetime.fromisoformat(value.removesuffix(" UTC"))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is not a date and time: {quote(value)}") from error


def quote(value: str) -> str:
    """Quote an invalid value for the operator's terminal.

    Escapes characters that a terminal would interpret or not show, and cuts a long value.
    """
    start = value[:_MAX_QUOTED]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start)
    if len(value) > _MAX_QUOTED:
        return f'"{shown}…" ({len(value):,} characters)'
    return f'"{shown}"'
