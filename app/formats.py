"""The text formats of UUIDs, numbers and dates that the service reads."""

import re
from datetime import date
from typing import Final
from uuid import UUID

UUID_FORMAT: Final = re.compile(
    "[0-9a-fA-F]{32}|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)
"""A UUID with or without hyphens, in upper or lower case."""
NIL_UUID: Final = UUID(int=0)
"""The UUID of no record (RFC 9562, 5.9)."""
_MAX_DIGITS: Final = 18
"""The digits of a number that the database can hold; a UUID has more."""
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID that the whole text represents, or None."""
    return UUID(text) if UUID_FORMAT.fullmatch(text) else None


def parse_number(text: str) -> int | None:
    """Return the number of a document that the whole text represents, or None."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None


def find_uuid(text: str) -> UUID | None:
    """Return the last UUID within a text such as a link, or None."""
    found = None
    for part in re.findall(r"[0-9a-fA-F-]+", text):
        found = parse_uuid(part) or found
    return found


def parse_iso_date(text: str) -> date:
    """Return the date of `YYYY-MM-DD`, and of no other ISO 8601 form. Raises ValueError."""
    if not _ISO_DATE.fullmatch(text):
        raise ValueError("a date must be a string like 2026-11-01")
    return date.fromisoformat(text)
