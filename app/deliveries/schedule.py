"""Recording what is to be sent, in the transaction of the change that asks for it."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.database.server_clock import database_now
from app.deliveries.models import OPEN, Delivery
from app.invoices.models import Invoice
from app.mailbox import Mailbox
from app.notifications.recipients import Recipient, recipients
from app.outbox import repository as outbox
from app.settings import Settings

JOB = "deliver"
"""The worker's job that sends one delivery; its argument `delivery` is the delivery's UUID."""

NOBODY = "Neither an owner of the customer nor the customer itself has an e-mail address."


async def schedule(connection: AsyncConnection, invoice_id: int, settings: Settings) -> list[UUID]:
    """Record one delivery of the invoice per recipient, and a job for each; return their UUIDs.

    A recipient who is still being delivered this invoice gets no second delivery. For an address
    that cannot be written to, and where there is nobody to write to, a failed delivery is recorded
    with the reason and is not returned. Everything is written in the caller's transaction: nothing
    is sent unless it commits.
    """
    customer = select(Invoice.customer_id).where(Invoice.id == invoice_id)
    customer_id = (await connection.execute(customer)).scalar_one()
    scheduled = []
    for recipient in await recipients(connection, customer_id) or [Recipient("", NOBODY)]:
        row = _row(invoice_id, recipient.address, settings)
        if recipient.problem:
            await _record(connection, row | _failed(recipient.problem))
        elif uuid := await _record(connection, row):
            await enqueue(connection, uuid)
            scheduled.append(uuid)
    return scheduled


async def enqueue(connection: AsyncConnection, delivery: UUID) -> None:
    """Record the job that sends a delivery, in the caller's transaction."""
    await outbox.record(connection, JOB, {"delivery": str(delivery)})


def _failed(reason: str) -> dict[str, Any]:
    return {"state": DeliveryState.FAILED, "next_attempt_at": None, "last_error": reason}


def _row(invoice_id: int, recipient: str, settings: Settings) -> dict[str, Any]:
    now = database_now()
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
