"""Reads of the documents of credit notes, as their PDF and XML need them."""

from functools import partial
from uuid import UUID

from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.credit_notes.errors import CreditNoteNotFound
from app.credit_notes.models import CreditNote
from app.credit_notes.repository import read_batches
from app.customers.models import Customer
from app.documents.document import parse_document
from app.invoices.models import Invoice
from app.invoices.queries.documents import IssuedDocument


async def find_document(connection: AsyncConnection, uuid: UUID) -> IssuedDocument:
    """Return the document of a credit note; raises `CreditNoteNotFound`."""
    statement = (
        select(
            CreditNote.invoice_id,
            CreditNote.digest,
            cast(CreditNote.content, Text).label("content"),
            Customer.uuid.label("customer"),
        )
        .join(Invoice, Invoice.id == CreditNote.invoice_id)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(CreditNote.uuid == uuid)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise CreditNoteNotFound
    return IssuedDocument(
        row.invoice_id,
        row.customer,
        row.digest,
        row.content.encode(),
        parse_document(row.content),
        partial(read_batches, uuid),
    )
