"""Frozen documents as stored bytes.

They are rendered once, by the schemas, with marks for the base URLs of links; the lines are
compressed. A response takes them from the database, replaces the marks, and adds the values of the
fields that may still change. Nothing else is parsed or rendered again.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

import zstandard
from pydantic_core import to_json
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import REPRESENTATION_VERSION
from app.api.response_format import ResponseFormat
from app.api.serializers import Links, build_links
from app.invoices.queries.items import items_of_invoices
from app.invoices.rendering.items import render_batches
from app.invoices.rendering.rendered import invoice_row
from app.invoices.repository import representations
from app.invoices.repository.columns import LIVE_FIELDS
from app.invoices.repository.reads import read_head
from app.invoices.repository.representations import StoredPart, UnrepresentedInvoice
from app.invoices.schemas import INVOICE_FIELDS, encode_invoice
from app.settings import Settings

PART_BYTES: Final = 768 * 1024
"""A part is stored once it has so many bytes before compression."""
_LAYOUT: Final = 2
"""The version of the layout of the bytes. Raise it with each change of this module that makes
others of them."""
_BASE: Final = b"\x01"
_PLATFORM: Final = b"\x02"
_END: Final = b"\x03"
_ITEMS: Final = b"\x04"
"""Marks: the base URLs, the end of a member, and the items. JSON has no control characters."""
_LEVEL: Final = 3
_decompressor: Final = zstandard.ZstdDecompressor()


def form_of(links: Links) -> str:
    """Return the form of representations with the style of UUIDs of a response."""
    style = "hex" if links.hex_uuids else "hyphens"
    return f"{REPRESENTATION_VERSION}.{_LAYOUT} {style}"


@dataclass(frozen=True, slots=True)
class _Marks:
    """Links with random tokens as base URLs: no value of an invoice has them."""

    links: Links

    @classmethod
    def of(cls, links: Links) -> "_Marks":
        return cls(Links(token_hex(), token_hex(), links.hex_uuids))

    def replace_tokens(self, body: bytes) -> bytes:
        body = body.replace(self.links.base.encode(), _BASE)
        return body.replace(self.links.platform.encode(), _PLATFORM)


async def store_document(
    connection: AsyncConnection, invoice: UnrepresentedInvoice, settings: Settings
) -> None:
    """Render and store a frozen invoice in the style of UUIDs of the settings."""
    links = build_links(settings)
    marks = _Marks.of(links)
    head = marks.replace_tokens(await _render_head(connection, invoice.id, marks.links, settings))
    statement, values = items_of_invoices([invoice.id], [invoice.id])
    result = await connection.stream(statement, values)
    rendered = render_batches(
        result.mappings().partitions(),
        invoice.tax_percent,
        ResponseFormat(marks.links, settings.currency),
    )
    number, form = 0, form_of(links)
    pending: list[bytes] = []

    async def store(*, is_last: bool) -> None:
        body = marks.replace_tokens(b",".join(pending))
        compressed = zstandard.ZstdCompressor(level=_LEVEL).compress(body)
        part = StoredPart(compressed, is_last, None if number else head)
        await representations.store_part(connection, invoice, form, number, part)

    async with aclosing(rendered) as batches:
        async for batch in batches:
            if sum(map(len, pending)) >= PART_BYTES:
                await store(is_last=False)
                number, pending = number + 1, []
            pending.append(batch)
    await store(is_last=True)


async def _render_head(
    connection: AsyncConnection, invoice_id: int, links: Links, settings: Settings
) -> bytes:
    """Return the members of an invoice, each with a mark at its end; see `LinesRepresentation`."""
    row = await read_head(connection, invoice_id, INVOICE_FIELDS)
    members = []
    for field in INVOICE_FIELDS:
        if field == "items":
            member = b'"items":[' + _ITEMS + b"]"
        elif field in LIVE_FIELDS:
            member = f'"{field}":'.encode()
        else:
            member = encode_invoice(invoice_row(row, (field,), settings), context=links)[1:-1]
        members.append(member)
    return _END.join(members)


def stored_document(row: RowMapping, fields: Sequence[str], links: Links) -> bytes:
    """Return an invoice with its items from a row of `read_stored`, which has all of its items."""
    members = dict(zip(INVOICE_FIELDS, _replace_marks(row["head"], links).split(_END), strict=True))
    for field in LIVE_FIELDS:
        members[field] += to_json(row[field])
    # A due date that is null has no member.
    shown = b",".join([member for field in fields if (member := members[field])])
    before, _, after = shown.partition(_ITEMS)
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
    return body.replace(_BASE, base).replace(_PLATFORM, platform)
