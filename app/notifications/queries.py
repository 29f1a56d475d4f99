"""Reads of deliveries for an operator."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.credit_notes.models import CreditNote
from app.customers.models import Customer
from app.deliveries.models import Delivery
from app.invoices.models import Invoice


async def list_deliveries(
    connection: AsyncConnection,
    *,
    state: DeliveryState | None = None,
    invoice: UUID | None = None,
    credit_note: UUID | None = None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return at most `limit` deliveries, newest first, optionally of one state or one document.

    Those of an invoice include those of its credit notes. `credit_note_number` is None for a
    delivery of an invoice.
    """
    statement = (
        select(
            Delivery.uuid,
            Delivery.state,
            Invoice.number.label("invoice_number"),
            Invoice.uuid.label("invoice_uuid"),
            CreditNote.number.label("credit_note_number"),
            CreditNote.uuid.label("credit_note_uuid"),
            Customer.name.label("customer_name"),
            Delivery.recipient,
            Delivery.attempts,
            Delivery.next_attempt_at,
            Delivery.created_at,
            Delivery.sent_at,
            Delivery.message_id,
            Delivery.last_error,
        )
        .outerjoin(CreditNote, CreditNote.id == Delivery.credit_note_id)
        .join(Invoice, Invoice.id == func.coalesce(Delivery.invoice_id, CreditNote.invoice_id))
        .join(Customer, Customer.id == Invoice.customer_id)
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    if state is not None:
        statement = statement.where(Delivery.state == state)
    if invoice is not None:
        statement = statement.where(Invoice.uuid == invoice)
    if credit_note is not None:
        statement = statement.where(CreditNote.uuid == credit_note)
    return (await connection.execute(statement)).mappings().all()
