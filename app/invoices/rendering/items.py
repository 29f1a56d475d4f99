"""Items of invoices, rendered while they are read."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from decimal import Decimal

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.queries.items import ItemFilters, filtered_items, item_batches
from app.invoices.rendering.json_array import json_array
from app.invoices.rendering.response_format import ResponseFormat
from app.invoices.rendering.rows import item_row
from app.invoices.repository.reads import FoundInvoice
from app.invoices.schemas import encode_items


def render_items(
    connection: AsyncConnection,
    *,
    invoice: FoundInvoice,
    filters: ItemFilters,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield the array of an invoice's items that match the filters, in parts."""
    batches = item_batches(connection, filtered_items(invoice.id, filters))
    return json_array(render_batches(batches, invoice.tax_percent, response_format))


async def render_batches(
    batches: AsyncGenerator[Sequence[RowMapping], None],
    tax_percent: Decimal,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield each batch as JSON without brackets, then close the generator of the batches."""
    async with aclosing(batches):
        async for rows in batches:
            items = [item_row(row, tax_percent, response_format.currency) for row in rows]
            yield encode_items(items, response_format.links)[1:-1]
