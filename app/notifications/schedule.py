"""Recording what is to be sent, in the transaction of the change that asks for it."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.vocabulary import DeliveryState
from app.invoices.tables import Invoice
from app.mailbox import Mailbox
from app.notifications.recipients import recipients
from app.notifications.tables import OPEN, Delivery
from app.outbox import repository as outbox
from app.settings import Settings

JOB = "deliver"
"""The worker's job that sends one delivery; its argument `delivery` is the delivery's UUID."""

NOBODY = "Neither an owner of the customer nor the customer itself has an e-mail address."


async def schedule(connection: AsyncConnection, invoice_id: int, settings: Settings) -> list[UUID]:
    """Record one delivery of the invoice per recipient, and a job for each; return their UUIDs.

    A recipient who is still being delivered this invoice gets no second delivery. Where there is
    nobody to write to, one failed delivery is recorded with the reason, and nothing is returned.
    Everything is written in the caller's transaction: nothing is sent unless it commits.
    """
    customer = select(Invoice.customer_id).where(Invoice.id == invoice_id)
    customer_id = (await connection.execute(customer)).scalar_one()
    addresses = await recipients(connection, customer_id)
    if not addresses:
        await _record(connection, _row(invoice_id, "", settings) | _FAILED)
        return []
    scheduled = []
    for address in addresses:
        uuid = await _record(connection, _row(invoice_id, address, settings))
        if uuid is not None:
            await enqueue(connection, uuid)
            scheduled.append(uuid)
    return scheduled


async def enqueue(connection: AsyncConnection, delivery: UUID) -> None:
    """Record the job that sends a delivery, in the caller's transaction."""
    await outbox.record(connection, JOB, {"delivery": str(delivery)})


_FAILED: dict[str, Any] = {
    "state": DeliveryState.FAILED,
    "next_attempt_at": None,
    "last_error": NOBODY,
}


def _row(invoice_id: int, recipient: str, settings: Settings) -> dict[str, Any]:
    now = clock.now()
    return {
        "uuid": uuid4(),
        "invoice_id": invoice_id,
        "recipient": recipient,
        "state": DeliveryState.PENDING,
        "next_attempt_at": now,
        "last_error": "",
        "message_id": f"<{uuid4()}@{Mailbox.parse(settings.mail_from).domain}>",
        "created_at": now,
    }


async def _record(connection: AsyncConnection, row: dict[str, Any]) -> UUID | None:
    statement = (
        insert(Delivery)
        .values(row)
        .on_conflict_do_nothing(
            index_elements=[Delivery.invoice_id, func.lower(Delivery.recipient)],
            index_where=text(OPEN),
        )
        .returning(Delivery.uuid)
    )
    return (await connection.execute(statement)).scalar_one_or_none()
