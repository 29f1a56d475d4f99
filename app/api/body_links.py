"""The fields of request bodies that name other records by their URLs."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from uuid import UUID

from app.api.request_model import NULL, BodyContext, BodyField, FieldError
from app.formats import parse_uuid

_NO_MATCH: Final = "Invalid hyperlink - No URL match."
_OTHER_MATCH: Final = "Invalid hyperlink - Incorrect URL match."
_RECORD: Final = re.compile(r"/api/(?P<collection>[a-z-]+)/(?P<uuid>[^/]+)/")


@dataclass(frozen=True, slots=True)
class Link(BodyField):
    """The URL of a record; its value is the UUID. The action finds the record.

    The scheme, the host, a prefix before `/api/` and the query do not count; a path alone works.
    """

    collections: tuple[str, ...]
    """The names in the path before the UUID that are accepted."""

    null_texts: ClassVar[frozenset[str]] = frozenset({""})

    def parse(self, value: Any, _context: BodyContext) -> UUID:
        """Return the UUID of the record."""
        return _linked_uuid(value, self.collections)

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a URL."""
        return {"type": "string", "format": "uri"}


@dataclass(frozen=True, slots=True)
class Links(BodyField):
    """A list of URLs of records; its value is their UUIDs, each once, in order."""

    collections: tuple[str, ...]

    def parse(self, value: Any, _context: BodyContext) -> list[UUID]:
        """Return the UUIDs. Only the first invalid URL is reported."""
        if not isinstance(value, list):
            raise FieldError(f'Expected a list of items but got type "{type(value).__name__}".')
        if None in value or "" in value:
            raise FieldError(NULL)
        return list(dict.fromkeys(_linked_uuid(item, self.collections) for item in value))

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a list of URLs."""
        return {"type": "array", "items": {"type": "string", "format": "uri"}}


def _linked_uuid(value: Any, collections: tuple[str, ...]) -> UUID:
    if not isinstance(value, str):
        kind = type(value).__name__
        raise FieldError(f"Incorrect type. Expected URL string, received {kind}.")
    path = re.split(r"[?#]", value, maxsplit=1)[0]
    start = path.rfind("/api/")
    record = _RECORD.fullmatch(path, start) if start >= 0 else None
    uuid = parse_uuid(record["uuid"]) if record else None
    if record is None or uuid is None:
        raise FieldError(_NO_MATCH)
    if record["collection"] not in collections:
        raise FieldError(_OTHER_MATCH)
    return uuid
