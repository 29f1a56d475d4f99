"""The items of several invoices in the order of the invoices: stored bytes, or rendered."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.response_format import ResponseFormat
from app.invoices.queries.items import items_of_invoices
from app.invoices.rendering.items import render_batches
from app.invoices.rendering.stored_documents import stored_items
from app.invoices.repository.representations import StoredPart


@dataclass(slots=True)
class ItemsOfPage:
    """The items of the invoices of a page."""

    connection: AsyncConnection
    response_format: ResponseFormat
    stored: Mapping[int, StoredPart]
    """The first part of each invoice with a stored representation, by the invoice's key."""
    batches: AsyncIterator[Sequence[RowMapping]] | None
    """The items of the other invoices, in the order of the invoices."""
    _pending: Sequence[RowMapping] = ()

    async def of_invoice(self, head: RowMapping) -> AsyncGenerator[bytes, None]:
        """Yield the items of the next invoice as JSON without brackets."""
        links = self.response_format.links
        first = self.stored.get(head["id"])
        if first is None:
            rows = self._rows_of(head["id"])
            items = render_batches(rows, head["tax_percent"], self.response_format)
        else:
            items = stored_items(self.connection, head["id"], first, links)
        async with aclosing(items) as parts:
            async for part in parts:
                yield part

    async def _rows_of(self, invoice_id: int) -> AsyncGenerator[Sequence[RowMapping], None]:
        """Split the rows, which come over one cursor, by invoice."""
        while self.batches is not None:
            if not self._pending:
                # CPython's `anext` with a default fails with SQLAlchemy's greenlets.
                async for batch in self.batches:
                    self._pending = batch
                    break
            items = [row for row in self._pending if row["invoice_id"] == invoice_id]
            if not items:
                return
            self._pending = self._pending[len(items) :]
            yield items


async def open_items(
    connection: AsyncConnection, heads: Sequence[RowMapping], response_format: ResponseFormat
) -> ItemsOfPage:
    """Start to read the items of invoices that are not stored; `read_heads` returned the heads."""
    frozen = [head["id"] for head in heads if head["document_version"] is not None]
    stored = {head["id"]: part for head in heads if (part := StoredPart.of(head)) is not None}
    others = [head["id"] for head in heads if head["id"] not in stored]
    batches = None
    if others:
        statement, values = items_of_invoices(others, {*frozen} - {*stored})
        batches = (await connection.stream(statement, values)).mappings().partitions()
    return ItemsOfPage(connection, response_format, stored, batches)
