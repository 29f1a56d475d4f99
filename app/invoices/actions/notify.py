"""Notify the recipients of an invoice: record the deliveries that the worker sends."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.deliveries.schedule import schedule_deliveries
from app.invoices.errors import NotificationNotAllowed
from app.invoices.repository import writes
from app.invoices.states import PAY
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class NotifyInvoice:
    """Send a created invoice to its recipients."""

    invoice_id: int
    customer_id: int


async def notify(
    connection: AsyncConnection, command: NotifyInvoice, settings: Settings
) -> list[UUID]:
    """Record a delivery and its job for each recipient; raises `NotificationNotAllowed`.

    Returns the deliveries; a recipient with one under way gets no second.

    The invoice stays locked, so that it is not paid or canceled before the transaction ends.
    """
    if await writes.lock_state(connection, command.invoice_id) not in PAY.valid:
        raise NotificationNotAllowed
    return await schedule_deliveries(
        connection, settings, invoice_id=command.invoice_id, customer_id=command.customer_id
    )
