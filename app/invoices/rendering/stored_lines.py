"""The lines of frozen documents as stored bytes.

They are rendered once, by the schemas, with marks for the base URLs of links, and compressed. A
response takes them from the database and replaces the marks: nothing is parsed or rendered again.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from secrets import token_hex
from typing import Final

import zstandard
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import REPRESENTATION_VERSION
from app.api.response_format import ResponseFormat
from app.api.serializers import Links
from app.billing.currencies import Currency
from app.invoices.queries.items import items_of_invoices
from app.invoices.rendering.items import render_batches
from app.invoices.repository import representations
from app.invoices.repository.representations import StoredPart, UnrepresentedInvoice

PART_BYTES: Final = 768 * 1024
"""A part is stored once it has so many bytes before compression."""
_BASE: Final = b"\x01"
_PLATFORM: Final = b"\x02"
"""Marks of the base URLs: JSON has no control characters."""
_LEVEL: Final = 3


def form_of(links: Links) -> str:
    """Return the form of representations with the style of UUIDs of a response."""
    return f"{REPRESENTATION_VERSION} {'hex' if links.hex_uuids else 'hyphens'}"


async def store_lines(
    connection: AsyncConnection, invoice: UnrepresentedInvoice, links: Links, currency: Currency
) -> None:
    """Render and store the lines of a frozen invoice in the style of the links."""
    # No value of the invoice contains these tokens, so that only links are marked.
    base, platform = token_hex(), token_hex()
    marked = ResponseFormat(Links(base, platform, links.hex_uuids), currency)
    statement, values = items_of_invoices([invoice.id], [invoice.id])
    result = await connection.stream(statement, values)
    rendered = render_batches(result.mappings().partitions(), invoice.tax_percent, marked)
    number, form = 0, form_of(links)
    pending: list[bytes] = []
    async with aclosing(rendered) as batches:
        async for batch in batches:
            if sum(map(len, pending)) >= PART_BYTES:
                part = StoredPart(_compress(pending, base, platform), is_last=False)
                await representations.store_part(connection, invoice, form, number, part)
                number, pending = number + 1, []
            pending.append(batch)
    part = StoredPart(_compress(pending, base, platform), is_last=True)
    await representations.store_part(connection, invoice, form, number, part)


def _compress(batches: Sequence[bytes], base: str, platform: str) -> bytes:
    body = b",".join(batches)
    body = body.replace(base.encode(), _BASE).replace(platform.encode(), _PLATFORM)
    return zstandard.ZstdCompressor(level=_LEVEL).compress(body)


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
    base, platform = (to_json(each)[1:-1] for each in (links.base, links.platform))
    filled = zstandard.decompress(body).replace(_BASE, base)
    return filled.replace(_PLATFORM, platform)
