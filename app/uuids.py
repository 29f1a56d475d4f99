"""UUIDs in text, with hyphens or as 32 hex digits, in either case."""

import re
from typing import Final
from uuid import UUID

UUID_PATTERN: Final = (
    "[0-9a-fA-F]{32}|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)
_UUID: Final = re.compile(UUID_PATTERN)


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID that the whole text is, or None."""
    return UUID(text) if _UUID.fullmatch(text) else None


def find_uuid(text: str) -> UUID | None:
    """Return the last UUID within a text, such as a link, or None."""
    found = None
    for part in re.findall(r"[0-9a-fA-F-]+", text):
        found = parse_uuid(part) or found
    return found
