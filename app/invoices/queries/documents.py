"""Reads of the frozen documents of issued invoices, as their PDF and XML need them."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Integer,
    Row,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.documents.document import DocumentLine, FrozenDocument, parse_document, parse_lines
from app.formats import parse_number, parse_uuid
from app.invoices.errors import InvoiceNotFound, NotIssued
from app.invoices.models import UNFROZEN, DocumentLines, Invoice, InvoiceDocument

BATCH: Final = 100
"""The lines that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class IssuedDocument:
    """One version of a document, which never changes."""

    invoice_id: int
    """The key of the row of the invoice: the document's own, or the one that it credits."""
    customer: UUID
    digest: bytes
    """SHA-256 of the whole content, lines included."""
    content: bytes
    """The document without its lines, as JSON."""
    document: FrozenDocument
    """The same, parsed."""
    read_batches: Callable[[AsyncConnection], AsyncGenerator[bytes]]
    """Yields JSON arrays of the lines, in the order of the API. The connection must be in a
    transaction."""

    async def read_lines(
        self, connection: AsyncConnection
    ) -> AsyncGenerator[Sequence[DocumentLine]]:
        """Yield the lines in batches, as `read_batches` does."""
        async for batch in self.read_batches(connection):
            yield parse_lines(batch)


@dataclass(frozen=True, slots=True)
class NotifiableInvoice:
    """An invoice as a notification needs it."""

    id: int
    state: str
    total: Decimal
    document: IssuedDocument | None
    """None if it was not issued, or is to be frozen first."""


async def find_document(connection: AsyncConnection, invoice_id: int) -> IssuedDocument | None:
    """Return the present document of an existing invoice; None if it is to be frozen first.

    Raises NotIssued.
    """
    row = (await connection.execute(_DOCUMENTS, {"invoices": [invoice_id]})).one()
    if row.content is not None:
        return _to_document(row)
    if not row.is_unfrozen:
        raise NotIssued(row.number)
    return None


async def read_notifiable(
    connection: AsyncConnection, invoice_ids: Sequence[int]
) -> Mapping[int, NotifiableInvoice]:
    """Return the state and the present document of invoices, by their keys."""
    rows = await connection.execute(_DOCUMENTS, {"invoices": list(invoice_ids)})
    return {
        row.id: NotifiableInvoice(
            row.id,
            row.state,
            row.total_cost,
            None if row.content is None else _to_document(row),
        )
        for row in rows
    }


def _to_document(row: Row[*tuple[Any, ...]]) -> IssuedDocument:
    return IssuedDocument(
        row.id,
        UUID(row.customer),
        row.digest,
        row.content.encode(),
        parse_document(row.content),
        partial(_read_batches, row.id, row.lines_version),
    )


async def find_by_reference(connection: AsyncConnection, reference: str) -> int:
    """Return the key of the invoice with a UUID or a number; raises InvoiceNotFound."""
    if (number := parse_number(reference)) is not None:
        condition = Invoice.number == number
    elif uuid := parse_uuid(reference):
        condition = Invoice.uuid == uuid
    else:
        raise InvoiceNotFound
    found = (await connection.execute(select(Invoice.id).where(condition))).scalar_one_or_none()
    if found is None:
        raise InvoiceNotFound
    return found


async def list_issued(connection: AsyncConnection, month: Period | None = None) -> Sequence[int]:
    """Return the keys of the issued invoices, of one month or all, in the order of the numbers."""
    statement = select(Invoice.id).where(or_(Invoice.document_version.is_not(None), UNFROZEN))
    if month is not None:
        statement = statement.where(Invoice.year == month.year, Invoice.month == month.month)
    return (await connection.execute(statement.order_by(Invoice.number))).scalars().all()


async def _read_batches(
    invoice_id: int, lines_version: int, connection: AsyncConnection
) -> AsyncGenerator[bytes]:
    values = {"invoice": invoice_id, "version": lines_version}
    async with connection.stream(_LINES, values) as result:
        async for rows in result.partitions():
            yield f"[{','.join(row.value for row in rows)}]".encode()


def _select_documents() -> Select[*tuple[Any, ...]]:
    content = InvoiceDocument.content
    return (
        select(
            Invoice.id,
            Invoice.number,
            Invoice.state,
            Invoice.total_cost,
            literal_column(UNFROZEN.text, Boolean).label("is_unfrozen"),
            cast(content, Text).label("content"),
            content["api"]["customer"].astext.label("customer"),
            InvoiceDocument.lines_version,
            InvoiceDocument.digest,
        )
        .outerjoin(
            InvoiceDocument,
            and_(
                InvoiceDocument.invoice_id == Invoice.id,
                InvoiceDocument.version == Invoice.document_version,
            ),
        )
        .where(Invoice.id == any_(bindparam("invoices", type_=ARRAY(BigInteger))))
    )


def _select_lines() -> Select[str]:
    line = (
        func.jsonb_each(DocumentLines.content)
        .table_valued(column("key", Text), column("value", JSONB))
        .render_derived(name="line")
        .lateral("line")
    )
    return (
        # Details may be as large as an item may be, and documents do not need them.
        select(cast(line.c.value.op("-")(literal_column("'details'")), Text).label("value"))
        .select_from(DocumentLines)
        .join(line, true())
        .where(
            DocumentLines.invoice_id == bindparam("invoice"),
            DocumentLines.version == bindparam("version"),
        )
        .order_by(cast(line.c.value["position"].astext, Integer))
        .execution_options(yield_per=BATCH)
    )


_DOCUMENTS: Final = _select_documents()
_LINES: Final = _select_lines()
