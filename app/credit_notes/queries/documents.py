"""Reads of the documents of credit notes, as their PDF and XML need them."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from uuid import UUID

from pydantic_core import from_json, to_json
from sqlalchemy import ColumnElement, Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.credit_notes.errors import CreditNoteNotFound
from app.credit_notes.models import CreditNote
from app.credit_notes.repository import read_batches
from app.customers.models import Customer
from app.documents.completion import complete
from app.documents.document import CREDIT_NOTE_PREFIX, parse_document
from app.formats import parse_number, parse_uuid
from app.invoices.models import Invoice, InvoiceDocument
from app.invoices.queries.documents import IssuedDocument
from app.invoices.repository.item_sources import is_present_document


async def find_document(connection: AsyncConnection, uuid: UUID) -> IssuedDocument:
    """Return the document of a credit note; raises `CreditNoteNotFound`.

    Values that were empty are those that its invoice has been completed with since.
    """
    return await _find(connection, CreditNote.uuid == uuid)


async def find_by_id(connection: AsyncConnection, credit_note_id: int) -> IssuedDocument:
    """Return the document of the credit note with this key, as `find_document` does."""
    return await _find(connection, CreditNote.id == credit_note_id)


async def find_by_reference(connection: AsyncConnection, reference: str) -> int:
    """Return the key of the credit note with a UUID or a number, such as `CN-1` or `1`.

    Raises `CreditNoteNotFound`.
    """
    if (number := parse_number(reference.upper().removeprefix(CREDIT_NOTE_PREFIX))) is not None:
        condition = CreditNote.number == number
    elif uuid := parse_uuid(reference):
        condition = CreditNote.uuid == uuid
    else:
        raise CreditNoteNotFound
    found = await connection.execute(select(CreditNote.id).where(condition))
    key = found.scalar_one_or_none()
    if key is None:
        raise CreditNoteNotFound
    return key


async def list_issued(connection: AsyncConnection, month: Period | None = None) -> Sequence[int]:
    """Return the keys of the credit notes, of one month of issue or all, in their order."""
    statement = select(CreditNote.id).order_by(CreditNote.number)
    if month is not None:
        days = CreditNote.issue_date.between(month.first_day, month.last_day)
        statement = statement.where(days)
    return (await connection.execute(statement)).scalars().all()


async def _find(connection: AsyncConnection, condition: ColumnElement[bool]) -> IssuedDocument:
    statement = (
        select(
            CreditNote.uuid,
            CreditNote.invoice_id,
            CreditNote.digest,
            cast(CreditNote.content, Text).label("content"),
            cast(InvoiceDocument.content, Text).label("of_invoice"),
            Customer.uuid.label("customer"),
        )
        .join(Invoice, Invoice.id == CreditNote.invoice_id)
        .outerjoin(InvoiceDocument, is_present_document)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(condition)
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
        partial(read_batches, row.uuid),
    )
