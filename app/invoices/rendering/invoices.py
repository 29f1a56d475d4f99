"""Invoices as documents, from the response cache or rendered and then cached.

Items are rendered while they are read, so that an invoice of a hundred thousand items takes no more
memory than one of a few.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import Final

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import CachedResponse, ResponseCache
from app.api.response_format import ResponseFormat
from app.api.serializers import Links
from app.invoices.rendering.items import json_array
from app.invoices.rendering.items_of_page import open_items
from app.invoices.rendering.rendered import around_items, invoice_row
from app.invoices.rendering.stored_documents import form_of, stored_document
from app.invoices.repository.columns import VERSION
from app.invoices.repository.reads import (
    Version,
    read_heads,
    read_stored,
    version_columns,
)
from app.invoices.schemas import INVOICE_FIELDS, encode_invoice, encode_invoices
from app.settings import Settings

CACHED_BYTES: Final = 1024 * 1024
"""The largest document that is cached: a few large ones would evict all others."""
STORED_BYTES: Final = 1024 * 1024
"""The largest response that is read whole from stored lines; a larger one is streamed."""


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
        self.columns = (VERSION,) if self._has_items else (VERSION, *fields)
        """The fields to select with the versions: those of documents without items."""
        self._key = self.etag()
        """The part of a cache key that is not the version."""

    def etag(self, *state: object) -> str:
        """Return the ETag of documents, from a version or from all versions of a page."""
        return self._cache.etag((self._links, self._fields, *state))

    def cached_invoice(self, row: RowMapping, version: Version) -> list[bytes] | None:
        """Return a document that is cached, or has no items and needs the row alone."""
        if not self._has_items:
            return [
                encode_invoice(invoice_row(row, self._fields, self._settings), context=self._links)
            ]
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
            content = [invoice_row(row, self._fields, self._settings) for row in rows]
            response = CachedResponse(encode_invoices(content, context=self._links))
            self._cache.store(key, response)
        return [response.body]

    async def stored_invoice(
        self, connection: AsyncConnection, version: Version
    ) -> list[bytes] | None:
        """Return a document that is stored, as `stored_page` does."""
        return await self._stored(connection, [version])

    async def stored_page(
        self, connection: AsyncConnection, versions: Sequence[Version]
    ) -> list[bytes] | None:
        """Return the array of documents that are all stored, read by one statement.

        None if they are not, if an invoice has changed since its version, or if they are large.
        """
        documents = await self._stored(connection, versions)
        return None if documents is None else [b"[", b",".join(documents), b"]"]

    async def _stored(
        self, connection: AsyncConnection, versions: Sequence[Version]
    ) -> list[bytes] | None:
        if any(version.document_version is None for version in versions):
            return None
        cached = {version: self._cache.get((self._key, version)) for version in versions}
        missing = [version.invoice_id for version, response in cached.items() if response is None]
        found = await read_stored(connection, missing, form_of(self._links))
        documents: list[bytes] = []
        size = 0
        for version, response in cached.items():
            row = found.get(version.invoice_id)
            document = self._stored_document(row, version) if response is None else response.body
            size += len(document or b"")
            if document is None or size > STORED_BYTES:
                return None
            documents.append(document)
        return documents

    def _stored_document(self, row: RowMapping | None, version: Version) -> bytes | None:
        """Return the document of a stored representation, if it has the version and all items."""
        if row is None or version_columns(row) != version or not row["is_last"]:
            return None
        document = stored_document(row, self._fields, self._links)
        self._cache.store((self._key, version), CachedResponse(document))
        return document

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
        self, connection: AsyncConnection, versions: Sequence[Version]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the documents of the versions, with commas between, in parts.

        The versions must be the current ones of the connection's snapshot.
        """
        cached = {version: self._cache.get((self._key, version)) for version in versions}
        missing = [version.invoice_id for version, response in cached.items() if response is None]
        heads = await read_heads(connection, missing, self._fields, form_of(self._links))
        items = await open_items(connection, [heads[each] for each in missing], self._format)
        comma = b""
        for version, response in cached.items():
            if response is not None:
                yield comma + response.body
            else:
                head = heads[version.invoice_id]
                around = around_items(head, self._fields, self._settings, self._format)
                document = json_array(items.of_invoice(head), *around)
                async with aclosing(self._store(version, document)) as parts:
                    yield comma + await anext(parts)
                    async for part in parts:
                        yield part
            comma = b","

    @cached_property
    def _format(self) -> ResponseFormat:
        return ResponseFormat(self._links, self._settings.currency)

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
