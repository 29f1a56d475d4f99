"""Invoices as the documents that are sent: from what is kept, or made and then kept.

The items of an invoice are written while they are read, so that one of a hundred thousand takes
no more memory than one of a few.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import Final

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.conditional_get import Answers
from app.api.caching.response_cache import Body, KeptBodies
from app.api.links import Links
from app.billing.currencies import get_currency
from app.database.statements import AnySelect
from app.invoices.rendering.rows import Version, heads, invoice, item, items_statement
from app.invoices.schemas import FIELDS, encode_invoice, encode_invoices, encode_items
from app.settings import Settings

CHUNK: Final = 100
"""Items that are in memory at a time, of each answer under way."""
LARGEST_KEPT: Final = 1024 * 1024
"""Bytes of a document that is kept at most: a few large ones would take the room of all others."""


async def item_batches(
    connection: AsyncConnection, statement: AnySelect
) -> AsyncGenerator[Sequence[RowMapping], None]:
    """Yield the rows of a select of items in batches, by a cursor."""
    # As a context, the result would swallow the exit of this generator when it is closed early.
    found = await connection.stream(statement, execution_options={"yield_per": CHUNK})
    async for rows in found.mappings().partitions():
        yield rows


class Documents:
    """The documents of one answer, with the same fields and links in each.

    Those of a transaction that may yet be rolled back must not be kept: `keep=False`.
    """

    def __init__(
        self, answers: Answers, fields: tuple[str, ...] = FIELDS, *, keep: bool = True
    ) -> None:
        self._bodies: KeptBodies = answers.bodies
        self._settings: Settings = answers.settings
        self._currency = get_currency(answers.settings.currency)
        self._links: Links = answers.links
        self._largest_kept = LARGEST_KEPT if keep else 0
        self.fields = fields
        self.has_items = "items" in fields

    @cached_property
    def _shown(self) -> str:
        """Names what documents show besides the versions."""
        return self._bodies.validator((self._links, self.fields))

    def light(self, row: RowMapping) -> bytes:
        """Return the document of a row, without items."""
        return encode_invoice(invoice(row, self.fields, self._settings), self._links)

    def light_array(self, rows: Sequence[RowMapping], versions: Sequence[Version]) -> bytes:
        """Return the documents of rows in these versions, without items, as an array."""
        key = self._bodies.validator((self._shown, versions))
        kept = self._bodies.get(key)
        if kept is None:
            shown = [invoice(row, self.fields, self._settings) for row in rows]
            kept = Body(encode_invoices(shown, self._links))
            self._bodies.keep(key, kept)
        return kept.content

    def kept(self, versions: Sequence[Version]) -> list[bytes] | None:
        """Return the documents of these versions, if all of them are kept."""
        found = [self._bodies.get(self._key(version)) for version in versions]
        contents = [body.content for body in found if body is not None]
        return contents if len(contents) == len(versions) else None

    async def made(
        self, connection: AsyncConnection, versions: Sequence[Version]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the documents of these versions, with commas between, in parts.

        The connection is one that sees the moment of these versions. What is made is kept.
        """
        kept = {version: self._bodies.get(self._key(version)) for version in versions}
        missing = [version.invoice_id for version, body in kept.items() if body is None]
        rows = await heads(connection, self.fields, missing)
        async with aclosing(item_batches(connection, items_statement(missing))) as batches:
            items = _ItemsInTurn(batches)
            comma = b""
            for version, body in kept.items():
                if body is not None:
                    yield comma + body.content
                else:
                    made = self._keeping(version, self._parts(rows[version.invoice_id], items))
                    async with aclosing(made) as parts:
                        yield comma + await anext(parts)
                        async for part in parts:
                            yield part
                comma = b","

    def _key(self, version: Version) -> tuple[str, Version]:
        return (self._shown, version)

    async def _keeping(
        self, version: Version, parts: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        seen: list[bytes] = []
        size = 0
        async with aclosing(parts):
            async for part in parts:
                size += len(part)
                if size <= self._largest_kept:
                    seen.append(part)
                else:
                    seen.clear()
                yield part
        if size <= self._largest_kept:
            self._bodies.keep(self._key(version), Body(b"".join(seen)))

    async def _parts(self, row: RowMapping, items: "_ItemsInTurn") -> AsyncGenerator[bytes, None]:
        at = self.fields.index("items")
        before = self._some_fields(row, self.fields[:at])
        after = self._some_fields(row, self.fields[at + 1 :])
        opening = b"{" + before + (b"," if before else b"") + b'"items":['
        async with aclosing(items.of(row["id"])) as batches:
            async for batch in batches:
                shown = [item(each, row["tax_percent"], self._currency) for each in batch]
                yield opening + encode_items(shown, self._links)[1:-1]
                opening = b","
        closing = b"]" + (b"," if after else b"") + after + b"}"
        yield closing if opening == b"," else opening + closing

    def _some_fields(self, row: RowMapping, fields: Sequence[str]) -> bytes:
        """Return some fields of an invoice as they stand between braces."""
        return encode_invoice(invoice(row, fields, self._settings), self._links)[1:-1]


class _ItemsInTurn:
    """The items of several invoices over one cursor, each in its turn."""

    def __init__(self, batches: AsyncIterator[Sequence[RowMapping]]) -> None:
        self._batches = batches
        self._read: Sequence[RowMapping] = ()

    async def of(self, invoice_id: int) -> AsyncGenerator[Sequence[RowMapping], None]:
        """Yield the items of the next invoice."""
        while True:
            if not self._read:
                async for batch in self._batches:
                    self._read = batch
                    break
            own = [row for row in self._read if row["invoice_id"] == invoice_id]
            if not own:
                return
            self._read = self._read[len(own) :]
            yield own
