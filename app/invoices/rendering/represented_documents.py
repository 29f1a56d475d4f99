"""Frozen documents, rendered once by the schemas and stored as bytes.

Marks stand for the base URLs of links; the lines are compressed
(`app.invoices.rendering.stored_documents`).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

import zstandard
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.response_format import ResponseFormat
from app.api.serializers import Links, build_links
from app.invoices.rendering.items_of_page import ItemsOfPage, open_items
from app.invoices.rendering.rendered import invoice_row
from app.invoices.rendering.stored_documents import BASE, END, ITEMS, PLATFORM, form_of
from app.invoices.repository import representations
from app.invoices.repository.columns import LIVE_FIELDS
from app.invoices.repository.reads import read_heads
from app.invoices.repository.representations import NewPart, UnrepresentedInvoice
from app.invoices.schemas import INVOICE_FIELDS, encode_invoice
from app.settings import Settings

PART_BYTES: Final = 768 * 1024
"""A part is complete once it has so many bytes before compression."""
_PENDING_BYTES: Final = 4 * 1024 * 1024
"""Parts are stored once they have so many bytes together."""
_LEVEL: Final = 3


@dataclass(frozen=True, slots=True)
class _Marks:
    """Links with random tokens as base URLs: no value of an invoice has them."""

    links: Links

    @classmethod
    def of(cls, links: Links) -> "_Marks":
        return cls(Links(token_hex(), token_hex(), links.hex_uuids))

    def replace_tokens(self, body: bytes) -> bytes:
        body = body.replace(self.links.base.encode(), BASE)
        return body.replace(self.links.platform.encode(), PLATFORM)


async def store_documents(
    connection: AsyncConnection, invoices: Sequence[UnrepresentedInvoice], settings: Settings
) -> None:
    """Render and store frozen invoices in the style of UUIDs of the settings.

    The number of statements depends on their size and not on their number.
    """
    links = build_links(settings)
    form, marks = form_of(links), _Marks.of(links)
    heads = await read_heads(connection, [invoice.id for invoice in invoices], INVOICE_FIELDS, form)
    items = await open_items(
        connection,
        [heads[invoice.id] for invoice in invoices],
        ResponseFormat(marks.links, settings.currency),
    )
    pending: list[NewPart] = []
    for invoice in invoices:
        async with aclosing(_parts(invoice, heads[invoice.id], items, marks, settings)) as parts:
            async for part in parts:
                pending.append(part)
                if sum(len(each.body) for each in pending) >= _PENDING_BYTES:
                    await representations.store_parts(connection, form, pending)
                    pending = []
    await representations.store_parts(connection, form, pending)


async def _parts(
    invoice: UnrepresentedInvoice,
    head: RowMapping,
    items: ItemsOfPage,
    marks: _Marks,
    settings: Settings,
) -> AsyncGenerator[NewPart, None]:
    """Yield the parts of an invoice, which is the next one of the items."""
    number, rendered = 0, list[bytes]()
    members: bytes | None = _render_members(head, marks, settings)
    async with aclosing(items.of_invoice(head)) as batches:
        async for batch in batches:
            if sum(map(len, rendered)) >= PART_BYTES:
                yield NewPart(invoice, number, members, _compress(rendered, marks), is_last=False)
                number, rendered, members = number + 1, [], None
            rendered.append(batch)
    yield NewPart(invoice, number, members, _compress(rendered, marks), is_last=True)


def _compress(rendered: Sequence[bytes], marks: _Marks) -> bytes:
    body = marks.replace_tokens(b",".join(rendered))
    return zstandard.ZstdCompressor(level=_LEVEL).compress(body)


def _render_members(head: RowMapping, marks: _Marks, settings: Settings) -> bytes:
    """Return the members of an invoice, each with a mark at its end; see `LinesRepresentation`."""
    members = []
    for field in INVOICE_FIELDS:
        if field == "items":
            member = b'"items":[' + ITEMS + b"]"
        elif field in LIVE_FIELDS:
            member = f'"{field}":'.encode()
        else:
            row = invoice_row(head, (field,), settings)
            member = encode_invoice(row, context=marks.links)[1:-1]
        members.append(member)
    return marks.replace_tokens(END.join(members))
