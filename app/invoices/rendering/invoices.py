"""Invoices as documents, from the response cache or rendered and then cached.

Items are rendered while they are read, so that an invoice of a hundred thousand items takes no more
memory than one of a few.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import Final

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import CachedResponse, ResponseCache
from app.api.links import Links
from app.billing.currencies import get_currency
from app.invoices.queries.items import item_batches, items_of_invoices
from app.invoices.rendering.items import render_batches
from app.invoices.rendering.json_array import json_array
from app.invoices.rendering.response_format import ResponseFormat
from app.invoices.rendering.rows import invoice_row
from app.invoices.repository.reads import Version, read_heads
from app.invoices.schemas import INVOICE_FIELDS, Row, encode_invoice, encode_invoices
from app.settings import Settings

CACHED_BYTES: Final = 1024 * 1024
"""The largest document that is cached: a few large ones would evict all others."""


class InvoiceRenderer:
    """Renders the documents of one response, with the same fields and links in each."""

    def __init__(
        self,
        settings: Settings,
        cache: ResponseCache,
        links: Links,
        fields: tuple[str, ...] = INVOICE_FIELDS,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._links = links
        self._fields = fields
        self._has_items = "items" in fields
        self.columns = () if self._has_items else fields
        """The fields to select with the versions: those of documents without items."""
        self._key = self.etag()
        """The part of a cache key that is not the version."""

    def etag(self, *state: object) -> str:
        """Return the ETag of documents, from a version or from all versions of a page."""
        return self._cache.etag((self._links, self._fields, *state))

    def cached_invoice(self, row: RowMapping, version: Version) -> list[bytes] | None:
        """Return a document that is cached, or has no items and needs the row alone."""
        if not self._has_items:
            return [encode_invoice(self._row(row, self._fields), self._links)]
        response = self._cache.get((self._key, version))
        return None if response is None else [response.body]

    def cached_page(
        self, rows: Sequence[RowMapping], versions: Sequence[Version]
    ) -> list[bytes] | None:
        """Return the array of documents that are all cached, or have no items.

        Of documents without items the whole array is cached.
        """
        if self._has_items:
            found = [self._cache.get((self._key, version)) for version in versions]
            bodies = [response.body for response in found if response is not None]
            return [b"[", b",".join(bodies), b"]"] if len(bodies) == len(versions) else None
        key = self.etag(versions)
        response = self._cache.get(key)
        if response is None:
            content = [self._row(row, self._fields) for row in rows]
            response = CachedResponse(encode_invoices(content, self._links))
            self._cache.store(key, response)
        return [response.body]

    async def render_page(
        self, connection: AsyncConnection, versions: Sequence[Version]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the array of the documents of the versions in parts, as `render` does."""
        yield b"["
        async with aclosing(self.render(connection, versions)) as parts:
            async for part in parts:
                yield part
        yield b"]"

    async def render(
        self, connection: AsyncConnection, versions: Sequence[Version], *, store: bool = True
    ) -> AsyncGenerator[bytes, None]:
        """Yield the documents of the versions, with commas between, in parts.

        The versions must be the current ones of the connection's snapshot. Store nothing of a
        transaction that may roll back.
        """
        cached = {version: self._cache.get((self._key, version)) for version in versions}
        missing = [version.invoice_id for version, response in cached.items() if response is None]
        heads = await read_heads(connection, missing, self._fields)
        async with aclosing(item_batches(connection, items_of_invoices(missing))) as batches:
            items = _ItemsByInvoice(batches)
            comma = b""
            for version, response in cached.items():
                if response is not None:
                    yield comma + response.body
                else:
                    document = self._document(heads[version.invoice_id], items)
                    if store:
                        document = self._store(version, document)
                    async with aclosing(document) as parts:
                        yield comma + await anext(parts)
                        async for part in parts:
                            yield part
                comma = b","

    @cached_property
    def _format(self) -> ResponseFormat:
        return ResponseFormat(self._links, get_currency(self._settings.currency))

    def _row(self, row: RowMapping, fields: Sequence[str]) -> Row:
        return invoice_row(row, fields, self._settings)

    async def _store(
        self, version: Version, document: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the parts of a document, and store it unless it is too large."""
        seen: list[bytes] = []
        size = 0
        async with aclosing(document):
            async for part in document:
                size += len(part)
                if size <= CACHED_BYTES:
                    seen.append(part)
                else:
                    seen.clear()
                yield part
        if size <= CACHED_BYTES:
            self._cache.store((self._key, version), CachedResponse(b"".join(seen)))

    async def _document(
        self, head: RowMapping, items: "_ItemsByInvoice"
    ) -> AsyncGenerator[bytes, None]:
        position = self._fields.index("items")
        before = self._members(head, self._fields[:position])
        after = self._members(head, self._fields[position + 1 :])
        prefix = b"{" + before + (b"," if before else b"") + b'"items":'
        batches = items.of_invoice(head["id"])
        rendered = render_batches(batches, head["tax_percent"], self._format)
        async with aclosing(json_array(rendered, prefix)) as parts:
            async for part in parts:
                yield part
        yield (b"," if after else b"") + after + b"}"

    def _members(self, row: RowMapping, fields: Sequence[str]) -> bytes:
        """Return some members of the JSON object, without braces."""
        return encode_invoice(self._row(row, fields), self._links)[1:-1]


class _ItemsByInvoice:
    """Splits the items of several invoices, which come over one cursor in the invoices' order."""

    def __init__(self, batches: AsyncIterator[Sequence[RowMapping]]) -> None:
        self._batches = batches
        self._pending: Sequence[RowMapping] = ()

    async def of_invoice(self, invoice_id: int) -> AsyncGenerator[Sequence[RowMapping], None]:
        """Yield the items of the next invoice."""
        while True:
            if not self._pending:
                async for batch in self._batches:
                    self._pending = batch
                    break
            items = [row for row in self._pending if row["invoice_id"] == invoice_id]
            if not items:
                return
            self._pending = self._pending[len(items) :]
            yield items
