"""Deliveries of a test's invoice."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.deliveries.schedule import schedule_deliveries
from app.invoices.models import Invoice
from app.settings import Settings
from tests.support.factories import Row


async def schedule_invoice(
    connection: AsyncConnection, settings: Settings, invoice: Row
) -> list[UUID]:
    """Schedule the deliveries of an invoice to its customer."""
    customer = select(Invoice.customer_id).where(Invoice.id == invoice.id)
    customer_id = (await connection.execute(customer)).scalar_one()
    return await schedule_deliveries(
        connection, settings, invoice_id=invoice.id, customer_id=customer_id
    )
