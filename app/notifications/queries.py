"""List deliveries for an operator."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.customers.models import Customer
from app.deliveries.models import Delivery
from app.invoices.models import Invoice


async def list_deliveries(
    connection: AsyncConnection,
    *,
    state: DeliveryState | None = None,
    invoice: UUID | None = None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return at most `limit` deliveries, newest first, optionally of one state or one invoice."""
    statement = (
        select(
            Delivery.uuid,
            Delivery.state,
            Invoice.number.label("invoice_number"),
            Invoice.uuid.label("invoice_uuid"),
            Customer.name.label("customer_name"),
            Delivery.recipient,
            Delivery.attempts,
            Delivery.next_attempt_at,
            Delivery.created_at,
            Delivery.sent_at,
            Delivery.message_id,
            Delivery.last_error,
        )
        .join(Invoice, Invoice.id == Delivery.invoice_id)
        .join(Customer, Customer.id == Invoice.customer_id)
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    if state is not None:
        statement = statement.where(Delivery.state == state)
    if invoice is not None:
        statement = statement.where(Invoice.uuid == invoice)
    return (await connection.execute(statement)).mappings().all()
