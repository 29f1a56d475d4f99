"""The items of one invoice: stored bytes, or rendered."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.response_format import ResponseFormat
from app.invoices.queries.items import ItemFilters, filtered_items
from app.invoices.rendering.items import json_array, render_batches
from app.invoices.rendering.stored_documents import fill, form_of, stored_items
from app.invoices.repository.reads import FoundInvoice, read_stored, version_columns
from app.invoices.repository.representations import find_first_part


async def stored_items_of_invoice(
    connection: AsyncConnection,
    *,
    invoice: FoundInvoice,
    filters: ItemFilters,
    response_format: ResponseFormat,
) -> list[bytes] | None:
    """Return the array of all items of an invoice, if they are stored and few.

    None if filters choose among them, or if the invoice has changed since it was found.
    """
    if not invoice.is_frozen or filters != ItemFilters():
        return None
    links = response_format.links
    row = (await read_stored(connection, [invoice.id], form_of(links))).get(invoice.id)
    if row is None or version_columns(row) != invoice.version or not row["is_last"]:
        return None
    return [b"[", fill(row["body"], links), b"]"]


async def render_items(
    connection: AsyncConnection,
    *,
    invoice: FoundInvoice,
    filters: ItemFilters,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield the array of an invoice's items that match the filters, in parts."""
    items = _items(connection, invoice, filters, response_format)
    async with aclosing(json_array(items)) as parts:
        async for part in parts:
            yield part


async def _items(
    connection: AsyncConnection,
    invoice: FoundInvoice,
    filters: ItemFilters,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield the items without brackets; those of a whole document are stored as bytes."""
    links = response_format.links
    if invoice.is_frozen and filters == ItemFilters():
        first = await find_first_part(connection, invoice.id, form_of(links))
        if first is not None:
            async with aclosing(stored_items(connection, invoice.id, first, links)) as parts:
                async for part in parts:
                    yield part
            return
    result = await connection.stream(
        filtered_items(invoice.id, filters, is_frozen=invoice.is_frozen)
    )
    batches = result.mappings().partitions()
    rendered = render_batches(batches, invoice.tax_percent, response_format)
    async with aclosing(rendered) as parts:
        async for part in parts:
            yield part
