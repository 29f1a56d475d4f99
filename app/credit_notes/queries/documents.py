"""Reads of the documents of credit notes, as their PDF and XML need them."""

from functools import partial
from hashlib import sha256
from uuid import UUID

from pydantic_core import from_json, to_json
from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.credit_notes.errors import CreditNoteNotFound
from app.credit_notes.models import CreditNote
from app.credit_notes.repository import read_batches
from app.customers.models import Customer
from app.documents.completion import complete
from app.documents.document import parse_document
from app.invoices.models import Invoice, InvoiceDocument
from app.invoices.queries.documents import IssuedDocument
from app.invoices.repository.item_sources import is_present_document


async def find_document(connection: AsyncConnection, uuid: UUID) -> IssuedDocument:
    """Return the document of a credit note; raises `CreditNoteNotFound`.

    Values that were empty are those that its invoice has been completed with since.
    """
    statement = (
        select(
            CreditNote.invoice_id,
            CreditNote.digest,
            cast(CreditNote.content, Text).label("content"),
            cast(InvoiceDocument.content, Text).label("of_invoice"),
            Customer.uuid.label("customer"),
        )
        .join(Invoice, Invoice.id == CreditNote.invoice_id)
        .outerjoin(InvoiceDocument, is_present_document)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(CreditNote.uuid == uuid)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise CreditNoteNotFound
    content, digest = row.content.encode(), row.digest
    if row.of_invoice is not None:
        own = from_json(content)
        if missing := complete(own, from_json(row.of_invoice)):
            content = to_json(missing.fill(own))
            digest = sha256(digest + sha256(content).digest()).digest()
    return IssuedDocument(
        row.invoice_id,
        row.customer,
        digest,
        content,
        parse_document(content),
        partial(read_batches, uuid),
    )
