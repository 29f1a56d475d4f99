"""Responses from frozen documents that are stored as bytes.

`app.invoices.rendering.represented_documents` makes the bytes. A response takes them from the
database, replaces the marks by its base URLs, and adds the values of the fields that may still
change. Nothing else is parsed or rendered again.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import zstandard
from pydantic_core import to_json
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import REPRESENTATION_VERSION
from app.api.serializers import Links
from app.invoices.repository import representations
from app.invoices.repository.columns import LIVE_FIELDS
from app.invoices.repository.representations import StoredPart
from app.invoices.schemas import INVOICE_FIELDS

_LAYOUT: Final = 2
"""The version of the layout of the bytes. Raise it with each change of this module that makes
others of them, or of those that make them."""
BASE: Final = b"\x01"
PLATFORM: Final = b"\x02"
END: Final = b"\x03"
ITEMS: Final = b"\x04"
"""Marks: the base URLs, the end of a member, and the items. JSON has no control characters."""
_decompressor: Final = zstandard.ZstdDecompressor()


def form_of(links: Links) -> str:
    """Return the form of representations with the style of UUIDs of a response."""
    style = "hex" if links.hex_uuids else "hyphens"
    return f"{REPRESENTATION_VERSION}.{_LAYOUT} {style}"


def stored_document(row: RowMapping, fields: Sequence[str], links: Links) -> bytes:
    """Return an invoice with its items from a row of `read_stored`, which has all of its items."""
    members = dict(zip(INVOICE_FIELDS, _replace_marks(row["head"], links).split(END), strict=True))
    for field in LIVE_FIELDS:
        members[field] += to_json(row[field])
    # A due date that is null has no member.
    shown = b",".join([member for field in fields if (member := members[field])])
    before, _, after = shown.partition(ITEMS)
    return b"".join((b"{", before, fill(row["body"], links), after, b"}"))


async def stored_items(
    connection: AsyncConnection, invoice_id: int, first: StoredPart, links: Links
) -> AsyncGenerator[bytes, None]:
    """Yield the items of an invoice, without brackets, from its first part and the next ones."""
    number, part = 0, first
    while True:
        if body := fill(part.body, links):
            yield body
        if part.is_last:
            return
        number += 1
        part = await representations.read_part(connection, invoice_id, form_of(links), number)


def fill(body: bytes, links: Links) -> bytes:
    """Return the items of a part, without brackets, with the links of a response."""
    return _replace_marks(_decompressor.decompress(body), links)


def _replace_marks(body: bytes, links: Links) -> bytes:
    base, platform = (to_json(each)[1:-1] for each in (links.base, links.platform))
    return body.replace(BASE, base).replace(PLATFORM, platform)
